from __future__ import annotations

import numpy as np
import pytest

from shipworthy.deployment.monitoring.onset import FEWEST_USUAL, Onset, rises

BAR = 100_000.0


def losses(risk: float, *, seed: int, healthy: int = 5_000, after: int = 5_000) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.r_[random.random(healthy) < 0.2, random.random(after) < risk].astype(np.float64)


def test_a_steady_loss_alarms_about_once_in_a_hundred_thousand_labels() -> None:
    found = [rises(Onset(), losses(0.2, seed=seed), bar=BAR)[1] for seed in range(60)]
    assert sum(map(len, found)) <= 12


@pytest.mark.parametrize(("risk", "labels"), [(0.25, 1_000), (0.30, 300), (0.40, 120)])
def test_a_risen_loss_is_noticed_within_these_labels(risk: float, labels: int) -> None:
    waits = []
    for seed in range(30):
        found = [rise.at - 4_999 for rise in rises(Onset(), losses(risk, seed=seed), bar=BAR)[1]]
        waits.append(min((wait for wait in found if wait > 0), default=np.inf))
    assert np.median(waits) <= labels


def test_the_labels_since_the_rise_are_told() -> None:
    gaps = []
    for seed in range(30):
        rise = next(one for one in rises(Onset(), losses(0.4, seed=seed), bar=BAR)[1] if one.at >= 5_000)
        gaps.append(rise.at - rise.labels - 4_999)
    assert abs(np.median(gaps)) <= 25


def test_a_fallen_loss_is_no_alarm() -> None:
    assert rises(Onset(), losses(0.05, seed=0), bar=BAR)[1] == ()


def test_any_cut_into_calls_says_the_same() -> None:
    loss = losses(0.3, seed=2)
    whole, found = rises(Onset(), loss, bar=BAR)
    state, told, start = Onset(), [], 0
    for part in np.array_split(loss, [100, 150, 4_000, 5_150]):
        state, some = rises(state, part, bar=BAR)
        told += [(start + rise.at, rise.labels) for rise in some]
        start += len(part)
    assert told == [(rise.at, rise.labels) for rise in found]
    assert len(told) == 1
    assert state.rows == whole.rows
    np.testing.assert_allclose(state.log_m, whole.log_m, atol=1e-8)
    assert (state.since == whole.since).all()


def test_the_first_labels_teach_and_never_alarm() -> None:
    assert rises(Onset(), np.ones(FEWEST_USUAL), bar=2.0)[1] == ()


def test_after_an_alarm_the_new_loss_is_the_usual_one() -> None:
    loss = np.r_[losses(0.4, seed=4), losses(0.4, seed=5, healthy=0)]
    assert len(rises(Onset(), loss, bar=BAR)[1]) == 1


def test_a_loss_that_is_always_zero_or_one_stays_finite() -> None:
    for value in (0.0, 1.0):
        state, found = rises(Onset(), np.full(5_000, value), bar=BAR)
        assert found == ()
        assert np.isfinite(state.log_m).all()
