from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shipworthy.learning.selection.mitigation import Rows, figures, prices, reduction, thresholds
from shipworthy.learning.training.reweighing import reweighing


def people(rows: int = 4_000, seed: int = 0, *, apart: float = 0.8, noise: float = 0.7) -> Rows:
    """One number that tells the outcome, lower in group 0; and the group."""
    random = np.random.default_rng(seed)
    group = random.integers(0, 2, rows)
    merit = random.normal(size=rows) + apart * group
    outcome = (merit + noise * random.normal(size=rows) > 0.4).astype(np.int64)
    return Rows(np.stack([merit, group.astype(float)], axis=1), outcome, group)


def line(inputs: Any, outcome: Any, weights: Any) -> Any:
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(outcome)) == 1:
        return lambda asked: np.full(len(asked), 1.0 if outcome[0] else -1.0)
    model = LogisticRegression().fit(inputs, outcome, sample_weight=weights)
    return model.decision_function


def test_figures_by_hand() -> None:
    outcome, group = np.array([1, 0, 1, 0]), np.array([0, 0, 1, 1])
    assert figures(np.array([1, 0, 1, 1]), outcome, group) == (0.75, 0.5, 0.5, 1.0)
    assert figures(np.array([1, 0, 0.5, 0.5]), outcome, group) == (0.75, 0.0, 1.0, 0.5)


def test_weights_make_group_and_outcome_independent() -> None:
    rows = people()
    weight = reweighing(rows.group, rows.outcome)
    rates = [np.average(rows.outcome[rows.group == code], weights=weight[rows.group == code]) for code in (0, 1)]
    assert rates[0] == pytest.approx(rates[1]) == pytest.approx(rows.outcome.mean())
    assert weight.sum() == pytest.approx(len(weight))


def test_rows_of_small_groups_weigh_one() -> None:
    group, outcome = np.array(["a"] * 60 + ["b"] * 10), np.array([0, 1, 1] * 20 + [0] * 10)
    assert set(reweighing(group, outcome)[60:].tolist()) == {1.0}


@pytest.mark.parametrize(("rule", "at"), [("parity", 1), ("odds", 3)])
def test_thresholds_by_group_close_the_gap_that_they_are_for(rule: Any, at: int) -> None:
    rows = people()
    score = rows.inputs[:, 0]
    chance = thresholds(score, rows.outcome, rows.group, rule)(score, rows.group)
    assert figures(chance, rows.outcome, rows.group)[at] < 0.01


@pytest.mark.parametrize(("rule", "at"), [("parity", 1), ("odds", 3)])
def test_a_reduction_keeps_to_its_bound_on_its_own_rows(rule: Any, at: int) -> None:
    rows = people()
    chance = reduction(line, rows, rule, bound=0.03, rounds=20)(rows.inputs)
    plain = figures(line(rows.inputs, rows.outcome, np.ones(len(rows.outcome)))(rows.inputs) >= 0, rows.outcome,
                    rows.group)
    found = figures(chance, rows.outcome, rows.group)
    assert found[at] < min(0.09, plain[at] / 2)
    assert 0.6 < found[0] <= plain[0] + 0.01


def test_the_table_shows_that_a_parity_fix_wrecks_odds() -> None:
    learn, judge = people(seed=1, noise=0.1), people(seed=2, noise=0.1)
    found = {one.method: one for one in prices(learn, judge, [1], (line, line))}
    assert [one.setting for one in found.values() if one.setting] == ['[fairness] mitigation = "reweighing"']
    assert found["thresholds by group, equal rates"].gap < 0.05 < found["as it is"].gap
    assert found["thresholds by group, equal rates"].odds > found["as it is"].odds
    assert [name for name, one in found.items() if not one.attribute] == ["protected columns left out"]
