"""The search looks where the data allows, beyond its bounds if it must, and stops."""

from __future__ import annotations

import math
import time

import numpy as np

from shipworthy.core.project import Learning, parse
from shipworthy.core.table import Table
from shipworthy.learning.search.bounds import portfolio, ranges, widened
from shipworthy.learning.search.folds import folds
from shipworthy.learning.search.purse import Purse
from shipworthy.learning.search.search import search

from ..conftest import INPUTS, job, sample


def project(rule: str = "", data: str = "") -> object:
    return parse(f'[project]\nname = "p"\n[data]\ntarget = "y"\n{data}\n[split]\n{rule}')


def test_the_portfolio_lies_inside_the_first_ranges() -> None:
    for rows in (300, 3_000, 100_000):
        bounds = ranges(rows, INPUTS)
        for settings in portfolio(rows):
            assert all(low <= settings[name] <= high for name, (low, high) in bounds.items())


def test_a_range_is_widened_where_the_best_touches_it_and_only_there() -> None:
    bounds = ranges(3_000, INPUTS)
    best = {"learning_rate": 0.2, "num_leaves": 20, "feature_fraction": 1.0}
    again = widened(bounds, best)
    assert again["learning_rate"] == (bounds["learning_rate"][0], 0.3)
    assert {name: again[name] for name in again if name != "learning_rate"} == {
        name: bounds[name] for name in bounds if name != "learning_rate"}


def test_a_search_finds_settings_and_ends_before_its_time() -> None:
    inputs, truth = sample("binary", rows=600)
    held = np.arange(600) % 3 == 0
    begun = time.monotonic()
    course = search(inputs, truth, job("binary"), (held, ~held), clock=begun, end=begun + 1.0)
    assert course.trials == len(course.gains) >= 1
    assert course.stopped
    assert all(after.loss <= before.loss for before, after in zip(course.gains, course.gains[1:], strict=False))
    assert course.settings["rounds"] >= 5


def test_without_search_only_the_default_settings_are_tried() -> None:
    inputs, truth = sample("regression", rows=300)
    begun = time.monotonic()
    held = np.arange(300) % 4 == 0
    course = search(inputs, truth, job("regression"), (held,), clock=begun, end=begun + 5, trials=1)
    assert course.trials == 1
    assert course.settings["learning_rate"] == 0.08


def test_by_trials_the_clock_has_no_say() -> None:
    inputs, truth = sample("binary", rows=300)
    held = np.arange(300) % 3 == 0
    both = [search(inputs, truth, job("binary"), (held,), clock=0.0, end=math.inf, trials=3) for _ in "ab"]
    assert [(one.trials, one.loss, one.settings, one.cut) for one in both] == 2 * [
        (3, both[0].loss, both[0].settings, False)]


def test_a_search_that_the_clock_ends_still_fits_the_default_settings_in_full_and_says_so() -> None:
    inputs, truth = sample("binary", rows=300)
    held = np.arange(300) % 3 == 0
    late = search(inputs, truth, job("binary"), (held,), clock=0.0, end=time.monotonic() - 1)
    whole = search(inputs, truth, job("binary"), (held,), clock=0.0, end=math.inf, trials=1)
    assert late.cut and not whole.cut
    assert (late.trials, late.loss, late.settings) == (1, whole.loss, whole.settings)


def test_in_time_the_newest_rows_are_held_back() -> None:
    table = Table.of({"x": np.arange(200.0), "t": np.arange(200.0), "y": ["a", "b"] * 100})
    (held,) = folds(table, np.arange(200) % 2, project('kind = "time"', 'time = "t"'))  # type: ignore[arg-type]
    assert held.sum() == 40
    assert held[160:].all()


def test_rows_of_one_group_are_held_back_together_and_every_row_once() -> None:
    who = [f"p{n % 30}" for n in range(300)]
    table = Table.of({"who": who, "y": ["a", "b"] * 150})
    held = folds(table, np.arange(300) % 2, project('kind = "grouped"', 'group = "who"'))  # type: ignore[arg-type]
    assert np.sum(held, axis=0).tolist() == [1] * 300
    for mask in held:
        assert not set(np.array(who)[mask]) & set(np.array(who)[~mask])


def test_a_budget_that_is_used_up_ends_a_search_after_its_first_trial_and_every_trial_has_its_price() -> None:
    inputs, truth = sample("binary", rows=300)
    held = np.arange(300) % 3 == 0
    purse = Purse(Learning(max_cpu_seconds=1.0), lambda: (2.0, 0.5))
    ended = search(inputs, truth, job("binary"), (held,), clock=0.0, end=math.inf, trials=5, purse=purse)
    assert (ended.trials, ended.stopped, ended.cut) == (1, "the budget of 1 CPU seconds was used", True)
    [gain] = ended.gains
    assert gain.metric is not None and 0.5 < gain.metric <= 1
    assert (gain.cpu_seconds, gain.kwh) == (2.0, 0.5)
