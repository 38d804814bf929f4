"""Declared budgets end a search, and the next gain has a price."""

from __future__ import annotations

import pytest

from shipworthy.core.learned import Gain
from shipworthy.core.project import Learning
from shipworthy.learning.search.purse import Purse, marginal, poor, unpaid

COURSE = tuple(Gain(float(n), 1.0, "boosted", 0.80 + 0.01 * min(n, 10), 5.0 * n, 1e-3 * n) for n in range(20))


@pytest.mark.parametrize(("rules", "said"), [
    (Learning(max_cpu_seconds=10.0), "the budget of 10 CPU seconds was used"),
    (Learning(max_kwh=0.002), "the budget of 0.002 kWh was used"),
    (Learning(max_grams=1.0), "the budget of 1 g CO2e was used"),
    (Learning(), ""),
    (Learning(max_cpu_seconds=13.0), ""),
])
def test_a_budget_that_is_used_up_is_named(rules: Learning, said: str) -> None:
    assert Purse(rules, lambda: (12.0, 0.003)).empty() == said


def test_a_budget_is_used_up_by_what_must_still_be_done() -> None:
    assert Purse(Learning(max_cpu_seconds=13.0), lambda: (12.0, 0.0)).empty(next_cpu_seconds=2.0)


def test_the_price_of_a_gain_is_that_of_the_last_trials() -> None:
    last = marginal(COURSE[:8])
    assert last is not None
    assert last.price == pytest.approx(0.001 / 0.06 * 30.0)


def test_no_gain_has_no_price_and_few_trials_no_answer() -> None:
    last = marginal(COURSE)
    assert last is not None
    assert last.price is None
    assert marginal(COURSE[:6]) is None


def test_a_search_that_gains_less_for_a_kwh_than_declared_is_told_to_end() -> None:
    rules = Learning(least_gain_per_kwh=2.0)
    assert poor(rules, COURSE[:10]) == ""
    assert poor(rules, COURSE[:17]) == "the last 6 trials gained 0 for a kWh, under the 2 declared"
    assert unpaid(rules, COURSE) == 4
    assert unpaid(Learning(), COURSE) == 0
