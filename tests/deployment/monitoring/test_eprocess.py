from __future__ import annotations

import numpy as np
import pytest

from shipworthy.core.grid import FIXED
from shipworthy.deployment.monitoring.eprocess import WEIGHTS, crossings, follow, fresh, log_bets, share_growth, stakes

LIMIT = 0.1802


def windows_to_alarm(risk: float, *, seed: int, healthy: int = 100, bar: float = 1_000.0) -> float:
    random = np.random.default_rng(seed)
    wrong = np.r_[random.binomial(100, 0.15, healthy), random.binomial(100, risk, 200)]
    path = follow(fresh(), share_growth(wrong, np.full(len(wrong), 100), LIMIT))[1]
    passed = np.flatnonzero(path >= bar)
    return float(passed[0] + 1 - healthy) if passed.size else np.inf


def test_one_label_by_hand() -> None:
    stake = stakes(0.2)
    state, path = follow(fresh(), log_bets(np.array([1.0]), 0.2))
    grown = 1 + stake * 0.8
    assert path[0] == pytest.approx(grown @ WEIGHTS, abs=1e-5)
    assert state / FIXED == pytest.approx(np.log1p(grown), abs=2e-6)


def test_the_state_is_sixteen_bytes_after_any_number_of_labels() -> None:
    state = follow(fresh(), share_growth(np.full(2_000, 30), np.full(2_000, 100), LIMIT))[0]
    assert fresh().nbytes == state.nbytes == 16


def test_no_bet_can_lose_all_of_its_capital() -> None:
    for limit in (0.001, 0.2, 0.999):
        assert (np.diff(stakes(limit)) > 0).all()
        assert stakes(limit).max() < 1 / limit


def test_a_bet_does_not_grow_on_average_while_the_mean_loss_is_the_limit() -> None:
    wrong, right = np.exp(log_bets(np.array([1.0, 0.0]), 0.2) / FIXED)
    assert (0.2 * wrong + 0.8 * right <= 1).all()


def test_buckets_of_labels_add_up_to_the_same_bits() -> None:
    loss = (np.random.default_rng(0).random(500) < 0.3).astype(np.float64)
    summed = log_bets(loss, LIMIT).sum(axis=0)
    assert (summed == share_growth(np.array([int(loss.sum())]), np.array([500]), LIMIT)[0]).all()


def test_any_cut_into_calls_gives_the_same_bits() -> None:
    growth = share_growth(np.random.default_rng(1).binomial(50, 0.2, 300), np.full(300, 50), LIMIT)
    whole, path = follow(fresh(), growth)
    state, parts = fresh(), []
    for start, end in ((0, 1), (1, 120), (120, 120), (120, 300)):
        state, part = follow(state, growth[start:end])
        parts.append(part)
    assert (state == whole).all()
    assert (np.concatenate(parts) == path).all()


@pytest.mark.parametrize(("risk", "windows"), [(0.22, 15), (0.25, 5), (0.30, 3)])
def test_harm_is_found_within_these_windows_of_a_hundred_labels(risk: float, windows: int) -> None:
    assert np.median([windows_to_alarm(risk, seed=seed) for seed in range(200)]) <= windows


def test_harm_after_ten_thousand_healthy_labels_is_found_as_fast_as_on_day_one() -> None:
    early, late = (np.median([windows_to_alarm(0.25, seed=seed, healthy=healthy) for seed in range(30)])
                   for healthy in (0, 100))
    assert late <= early + 1


def test_a_million_healthy_labels_never_page() -> None:
    wrong = np.random.default_rng(0).binomial(100, 0.15, 10_000)
    assert follow(fresh(), share_growth(wrong, np.full(10_000, 100), LIMIT))[1].max() < 100


@pytest.mark.parametrize("risk", [0.15, 0.18])
def test_a_risk_below_the_limit_does_not_page_at_the_bar_of_an_hourly_watch(risk: float) -> None:
    assert all(windows_to_alarm(risk, seed=seed, healthy=0, bar=8_760.0) == np.inf for seed in range(40))


def test_at_the_limit_the_statistic_grows_by_at_most_one_a_window_on_average() -> None:
    random, last = np.random.default_rng(3), []
    for _ in range(2_000):
        wrong = random.binomial(100, LIMIT, 20)
        last.append(follow(fresh(), share_growth(wrong, np.full(20, 100), LIMIT))[1][-1])
    assert 5 < np.mean(last) < 24


def test_a_bounded_loss_is_bet_on_too() -> None:
    random = np.random.default_rng(0)
    healthy, harmful = random.beta(3, 17, (200, 50)), random.beta(5, 15, (20, 50))
    growth = np.array([log_bets(row, 0.18).sum(axis=0) for row in np.concatenate([healthy, harmful])])
    path = follow(fresh(), growth)[1]
    assert path[:200].max() < 100
    assert path[205] > 1_000


def test_capital_beyond_all_bounds_is_held_and_finite() -> None:
    state, path = follow(fresh(), share_growth(np.full(50, 10_000), np.full(50, 10_000), 0.01))
    assert np.isfinite(path).all()
    assert (state > 0).all()


def test_after_an_alarm_the_evidence_begins_afresh() -> None:
    assert crossings(share_growth(np.full(12, 30), np.full(12, 100), LIMIT), 1_000.0) == [2, 5, 8, 11]
