"""How much rows depend on their neighbours, and how far back the present reaches where they do."""

from __future__ import annotations

import numpy as np
import pytest

from shipworthy.deployment.updating.adwin import window
from shipworthy.deployment.updating.contest import batches
from shipworthy.deployment.updating.dependence import Dependence, dependence, steady


def _days(seed: int, many: int, rows: int, *, moved: float = 0.0) -> np.ndarray:
    """Losses of days that are good or bad as a whole; in the second half all worse by `moved`."""
    random = np.random.default_rng(seed)
    day = np.repeat(random.normal(0.3, 0.08, many), rows) + np.where(np.arange(many * rows) * 2 < many * rows, 0, moved)
    return np.clip(day + random.normal(0, 0.15, many * rows), 0, 1)


@pytest.mark.parametrize("seed", range(5))
def test_rows_on_their_own_depend_on_nothing(seed: int) -> None:
    losses = np.random.default_rng(seed).beta(1, 4, 20_000)
    assert dependence(losses).effect < 1.3
    assert abs(steady(losses) - 20_000) < 100


@pytest.mark.parametrize("seed", range(5))
def test_good_and_bad_days_are_no_change(seed: int) -> None:
    losses = _days(seed, 60, 400)
    found = dependence(losses)
    assert found.effect > 20
    assert 256 <= found.length <= 512
    assert window(losses) < 2_000
    assert steady(losses) > 23_000


def test_a_change_is_seen_through_the_days() -> None:
    reach = [steady(_days(seed, 120, 400, moved=0.25)) for seed in range(5)]
    assert all(16_000 < one < 32_000 for one in reach)


def test_a_step_between_rows_on_their_own_is_no_dependence() -> None:
    random = np.random.default_rng(0)
    losses = np.clip(random.normal(np.repeat([0.2, 0.35, 0.25, 0.4], 5_000), 0.1), 0, 1)
    assert dependence(losses).effect < 1.5
    assert 4_500 < steady(losses) < 5_600


def test_of_few_rows_nothing_is_known() -> None:
    assert dependence(np.random.default_rng(0).random(239)) == Dependence(1.0, 1)
    assert dependence(np.zeros(0)) == dependence(np.ones(1_000)) == Dependence(1.0, 1)


def test_batches_are_as_long_as_rows_depend_on_each_other() -> None:
    assert len(np.unique(batches(10_000))) == 50
    assert len(np.unique(batches(10_000, 500))) == 20
    assert len(np.unique(batches(1_000, 500))) == 5
