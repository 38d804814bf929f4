"""Groups: by hand, against scikit-learn, by property, at the edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import recall_score

from shipworthy.errors import Misuse
from shipworthy.metrics import fairness as f
from shipworthy.metrics.arrays import Array
from shipworthy.metrics.intervals import bootstrap

GROUP = np.array(["a"] * 4 + ["b"] * 4)
TRUTH = np.array([1, 1, 0, 0, 1, 1, 0, 0])
CALLED = np.array([1, 1, 1, 0, 1, 0, 0, 0])


def people(seed: int, n: int = 600) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, n)
    return rng.integers(0, 2, n), (rng.random(n) < 0.3 + 0.1 * group).astype(int), group


def test_by_hand() -> None:
    rates = f.selection_rates(CALLED, GROUP)
    assert rates.group.tolist() == ["a", "b"]
    assert rates.rate.tolist() == [0.75, 0.25]
    assert rates.hits.tolist() == [3, 1]
    assert rates.rows.tolist() == [4, 4]
    assert f.true_positive_rates(TRUTH, CALLED, GROUP).rate.tolist() == [1, 0.5]
    assert f.false_positive_rates(TRUTH, CALLED, GROUP).rate.tolist() == [0.5, 0]
    assert f.impact_ratio(CALLED, GROUP) == pytest.approx(1 / 3)
    assert f.equalised_odds_difference(TRUTH, CALLED, GROUP) == 0.5


def test_rates_equal_scikit_learn() -> None:
    truth, called, group = people(0)
    found = f.true_positive_rates(truth, called, group)
    alarmed = f.false_positive_rates(truth, called, group)
    for code, tpr, fpr in zip(found.group, found.rate, alarmed.rate):
        of = group == code
        assert tpr == pytest.approx(recall_score(truth[of], called[of]))
        assert fpr == pytest.approx(1 - recall_score(truth[of], called[of], pos_label=0))


def test_the_interval_agrees_with_redrawing_rows() -> None:
    truth, called, group = people(1, 3000)
    assert f.impact_ratio_interval(called, group, seed=0) == pytest.approx(
        bootstrap(f.impact_ratio, called, group, seed=0, draws=800), abs=0.015)
    assert f.equalised_odds_interval(truth, called, group, seed=0) == pytest.approx(
        bootstrap(f.equalised_odds_difference, truth, called, group, seed=0, draws=800), abs=0.015)


@given(hnp.arrays(np.int64, (3, 40), elements=st.integers(0, 1)), st.permutations(range(40)))
def test_names_of_groups_and_order_of_rows_have_no_effect(table: Array, order: list[int]) -> None:
    truth, called, group = table
    ratio, gap = f.impact_ratio(called, group), f.equalised_odds_difference(truth, called, group)
    truth, called, renamed = truth[order], called[order], np.array(["y", "x"])[group[order]]
    assert f.impact_ratio(called, renamed) == pytest.approx(ratio, nan_ok=True)
    assert f.equalised_odds_difference(truth, called, renamed) == pytest.approx(gap, nan_ok=True)
    assert np.isnan(ratio) or 0 <= ratio <= 1
    assert np.isnan(gap) or 0 <= gap <= 1


def test_a_perfect_record_of_three_people_is_not_certain() -> None:
    group = np.repeat(["a", "b"], [3, 1000])
    truth = np.concatenate([[1, 1, 0], np.arange(1000) % 2])
    low, high = f.equalised_odds_interval(truth, truth, group, seed=0)
    assert f.equalised_odds_difference(truth, truth, group) == 0
    assert low >= 0
    assert high >= 0.5


def test_the_same_seed_gives_the_same_interval() -> None:
    truth, called, group = people(2)
    assert f.impact_ratio_interval(called, group, seed=5) == f.impact_ratio_interval(called, group, seed=5)
    assert f.equalised_odds_interval(truth, called, group, seed=5) == f.equalised_odds_interval(
        truth, called, group, seed=5)


@pytest.mark.filterwarnings("error")
def test_what_is_undefined_is_nan() -> None:
    none, ones = np.zeros(0, dtype=int), np.ones(8, dtype=int)
    assert np.isnan(f.impact_ratio(none, none))
    assert np.isnan(f.equalised_odds_difference(none, none, none))
    assert np.isnan(f.impact_ratio(CALLED, ones))
    assert np.isnan(f.impact_ratio(np.zeros(8, dtype=int), GROUP))
    assert np.isnan(f.equalised_odds_difference(np.array([1, 1, 0, 0, 1, 1, 1, 1]), CALLED, GROUP))
    assert np.isnan(f.impact_ratio_interval(CALLED, ones, seed=0)).all()
    assert np.isnan(f.equalised_odds_interval(ones, CALLED, GROUP, seed=0)).all()


def test_arrays_of_other_lengths_are_refused() -> None:
    with pytest.raises(Misuse, match="same length"):
        f.impact_ratio(CALLED, GROUP[:-1])
    with pytest.raises(Misuse, match="same length"):
        f.equalised_odds_difference(TRUTH[:-1], CALLED, GROUP)
