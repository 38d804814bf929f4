from __future__ import annotations

import numpy as np
import pytest

from shipworthy.deployment.updating.adwin import Adwin, window


def errors(*stretches: tuple[int, float], seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.concatenate([random.random(n) < share for n, share in stretches]).astype(np.float64)


def test_the_first_cut_is_where_river_and_moa_make_it() -> None:
    """River 0.26.1, ADWIN(delta=0.002): change told after row 5,375, window of 4,352 rows."""
    found, seen = Adwin(), errors((5_000, 0.2), (3_000, 0.35), (2_000, 0.2))
    first = next(place for place, loss in enumerate(seen.tolist()) if found.update(loss))
    assert (first, found.rows) == (5_375, 4_352)


def test_the_window_forgets_what_was_before_a_change() -> None:
    assert 1_500 < window(errors((5_000, 0.1), (2_000, 0.4))) < 2_300


def test_a_window_without_a_change_is_all_there_is() -> None:
    kept = [window(errors((4_000, 0.2), seed=seed)) for seed in range(20)]
    assert kept.count(4_000) >= 19


def test_equal_losses_are_never_cut() -> None:
    assert window(np.zeros(3_000)) == 3_000


def test_of_no_rows_the_window_is_one() -> None:
    assert window(np.empty(0)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_sums_and_spread_are_those_of_the_rows_in_the_window(seed: int) -> None:
    random = np.random.default_rng(seed)
    losses = np.r_[random.random(300) ** 3, random.random(200 * seed)]
    found = Adwin()
    for loss in losses.tolist():
        found.update(loss)
    kept = losses[len(losses) - found.rows:]
    assert found.rows == sum(rows for rows, _, _ in found.buckets)
    assert np.isclose(found.total, kept.sum())
    assert np.isclose(found.spread, kept.var() * len(kept), atol=1e-9)
