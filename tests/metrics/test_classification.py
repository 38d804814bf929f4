"""Class probabilities and decisions: by hand, against scikit-learn, by property, at the edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as reference

from shipworthy.errors import Misuse
from shipworthy.metrics import METRICS
from shipworthy.metrics import classification as c
from shipworthy.metrics.arrays import Array

EMPTY = np.zeros(0)
TRUTH = np.array([0, 0, 1, 1])
SCORE = np.array([0.1, 0.4, 0.35, 0.8])
ACTUAL = np.array([1, 1, 1, 0, 0, 0, 0, 0])
CALLED = np.array([1, 1, 0, 1, 0, 0, 0, 0])


def rows(seed: int, n: int = 200, steps: int = 12) -> tuple[Array, Array]:
    """Rows with many tied probabilities."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, n), rng.integers(1, steps, n) / steps


def classes(seed: int, n: int = 150, k: int = 4) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, k, n), rng.dirichlet(np.ones(k), n)


def test_three_of_four_pairs_in_order_is_an_auc_of_three_quarters() -> None:
    assert c.auc(TRUTH, SCORE) == 0.75


def test_a_tie_counts_half_a_win() -> None:
    assert c.auc(np.array([0, 1]), np.array([0.5, 0.5])) == 0.5


def test_average_precision_by_hand() -> None:
    assert c.average_precision(TRUTH, SCORE) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_log_loss_by_hand() -> None:
    assert c.log_loss(np.array([1, 0]), np.array([0.5, 0.75])) == pytest.approx(np.log(2) * 1.5)
    many = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]])
    assert c.log_loss(np.array([0, 1]), many) == pytest.approx(np.log(2) * 1.5)


def test_a_certain_and_wrong_row_costs_36_not_infinity() -> None:
    assert c.log_loss(np.array([1]), np.array([0.0])) == pytest.approx(52 * np.log(2))


def test_brier_by_hand() -> None:
    assert c.brier(np.array([0, 1]), np.array([0.5, 0.5])) == 0.25


def test_decisions_by_hand() -> None:
    assert c.confusion(ACTUAL, CALLED) == (2, 1, 1, 4)
    assert c.accuracy(ACTUAL, CALLED) == 0.75
    assert c.precision(ACTUAL, CALLED) == pytest.approx(2 / 3)
    assert c.recall(ACTUAL, CALLED) == pytest.approx(2 / 3)
    assert c.f1(ACTUAL, CALLED) == pytest.approx(2 / 3)
    assert c.false_positive_rate(ACTUAL, CALLED) == 0.2
    assert c.balanced_accuracy(ACTUAL, CALLED) == pytest.approx((2 / 3 + 0.8) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_binary_metrics_equal_scikit_learn(seed: int) -> None:
    truth, p = rows(seed)
    called = (p >= 0.6).astype(int)
    assert c.auc(truth, p) == pytest.approx(reference.roc_auc_score(truth, p), abs=1e-12)
    assert c.average_precision(truth, p) == pytest.approx(reference.average_precision_score(truth, p))
    assert c.log_loss(truth, p) == pytest.approx(reference.log_loss(truth, p), abs=1e-12)
    assert c.brier(truth, p) == pytest.approx(reference.brier_score_loss(truth, p), abs=1e-12)
    assert c.accuracy(truth, called) == pytest.approx(reference.accuracy_score(truth, called))
    balanced = reference.balanced_accuracy_score(truth, called)
    assert c.balanced_accuracy(truth, called) == pytest.approx(balanced)
    assert c.precision(truth, called) == pytest.approx(reference.precision_score(truth, called))
    assert c.recall(truth, called) == pytest.approx(reference.recall_score(truth, called))
    assert c.f1(truth, called) == pytest.approx(reference.f1_score(truth, called))
    flipped = reference.recall_score(truth, called, pos_label=0)
    assert c.false_positive_rate(truth, called) == pytest.approx(1 - flipped)


@pytest.mark.parametrize("seed", range(3))
def test_metrics_of_many_classes_equal_scikit_learn(seed: int) -> None:
    truth, p = classes(seed)
    called = p.argmax(axis=1)
    assert c.auc(truth, p) == pytest.approx(reference.roc_auc_score(truth, p, multi_class="ovr"), abs=1e-12)
    assert c.log_loss(truth, p) == pytest.approx(reference.log_loss(truth, p), abs=1e-12)
    balanced = reference.balanced_accuracy_score(truth, called)
    assert c.accuracy(truth, called) == pytest.approx(reference.accuracy_score(truth, called))
    assert c.balanced_accuracy(truth, called) == pytest.approx(balanced)


def test_two_columns_say_the_same_as_one() -> None:
    truth, p = rows(9)
    both = np.stack([1 - p, p], axis=1)
    assert c.auc(truth, both) == pytest.approx(c.auc(truth, p))
    assert c.log_loss(truth, both) == pytest.approx(c.log_loss(truth, p))


SCORES = hnp.arrays(np.float64, st.integers(2, 40), elements=st.integers(-20, 20).map(float))


@given(SCORES)
def test_auc_keeps_under_rising_maps_and_order_of_rows_and_turns_with_the_sign(score: Array) -> None:
    truth = np.arange(len(score)) % 2
    area = c.auc(truth, score)
    shuffled = np.random.default_rng(int(np.abs(score).sum())).permutation(len(score))
    assert 0 <= area <= 1
    assert c.auc(truth, 3 * score + 7) == pytest.approx(area)
    assert c.auc(truth[shuffled], score[shuffled]) == pytest.approx(area)
    assert c.auc(truth, -score) == pytest.approx(1 - area)
    assert c.auc(1 - truth, score) == pytest.approx(1 - area)


@given(SCORES)
def test_average_precision_does_not_depend_on_the_order_of_rows(score: Array) -> None:
    truth = np.arange(len(score)) % 2
    assert c.average_precision(truth[::-1], score[::-1]) == pytest.approx(c.average_precision(truth, score))


@given(hnp.arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 1)), st.floats(0, 1))
def test_no_constant_beats_the_base_rate_on_a_proper_score(truth: Array, p: float) -> None:
    base, other = np.full(len(truth), truth.mean()), np.full(len(truth), p)
    assert c.brier(truth, base) <= c.brier(truth, other) + 1e-12
    assert c.log_loss(truth, base) <= c.log_loss(truth, other) + 1e-12


@given(hnp.arrays(np.int64, (2, 30), elements=st.integers(0, 1)))
def test_the_four_counts_add_up_and_f1_lies_between_precision_and_recall(pair: Array) -> None:
    truth, called = pair
    assert sum(c.confusion(truth, called)) == 30
    ends = sorted([c.precision(truth, called), c.recall(truth, called)])
    if not np.isnan(ends).any():
        assert ends[0] - 1e-12 <= c.f1(truth, called) <= ends[1] + 1e-12


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", METRICS)
def test_no_rows_is_nan_without_a_warning(name: str) -> None:
    assert np.isnan(METRICS[name].function(EMPTY, EMPTY))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if m.needs != "decision"])
def test_a_missing_prediction_is_nan_not_a_number(name: str) -> None:
    assert np.isnan(METRICS[name].function(np.array([0, 1, 1]), np.array([0.2, np.nan, 0.9])))


def test_what_is_undefined_is_nan() -> None:
    ones, zeros = np.ones(3, dtype=int), np.zeros(3, dtype=int)
    assert np.isnan(c.auc(ones, np.arange(3.0)))
    assert np.isnan(c.average_precision(zeros, np.arange(3.0)))
    assert np.isnan(c.precision(ones, zeros))
    assert np.isnan(c.recall(zeros, ones))
    assert np.isnan(c.false_positive_rate(ones, ones))
    assert np.isnan(c.f1(zeros, zeros))
    assert np.isnan(c.auc(np.array([0, 1, 0]), np.full((3, 3), 1 / 3)))


def test_arrays_of_other_lengths_are_refused() -> None:
    for metric in METRICS.values():
        with pytest.raises(Misuse, match="same length"):
            metric.function(np.zeros(3), np.zeros(2))
    with pytest.raises(Misuse, match="same length"):
        c.brier(np.zeros(3), np.zeros((3, 3)))


def test_a_class_without_a_column_is_refused() -> None:
    for code in (-1, 2):
        with pytest.raises(Misuse, match="truth has a class that probability has no column for"):
            c.log_loss(np.array([0, code]), np.full((2, 2), 0.5))


def test_words_are_refused_where_numbers_are_meant() -> None:
    with pytest.raises(Misuse, match="a metric takes numbers"):
        c.brier(np.array(["yes", "no"]), np.array([0.5, 0.5]))


def test_single_precision_scores_are_summed_in_double() -> None:
    p = np.full(1_000_000, 0.1, dtype=np.float32)
    assert c.brier(np.zeros(1_000_000), p) == pytest.approx(float(p[0]) ** 2, rel=1e-12)


def test_every_metric_that_can_be_named_says_what_it_needs() -> None:
    assert [name for name, metric in METRICS.items() if metric.name != name] == []
    assert all(metric.task and metric.function.__doc__ for metric in METRICS.values())
