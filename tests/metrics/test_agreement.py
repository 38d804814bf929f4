"""Agreement: by hand, against another way to compute it, by property, at the edge."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import spearmanr

from shipworthy.errors import Misuse
from shipworthy.metrics.agreement import krippendorff_alpha, spearman
from shipworthy.metrics.arrays import Array

RATINGS = hnp.arrays(np.int64, st.tuples(st.integers(1, 12), st.integers(2, 4)), elements=st.integers(-1, 3))


def by_coincidence(codes: Array) -> float:
    """Krippendorff's own route: the coincidence matrix, pair by pair."""
    matrix = np.zeros((codes.max() + 1, codes.max() + 1))
    for unit in codes:
        given_codes = unit[unit >= 0]
        for one, other in permutations(given_codes, 2):
            matrix[one, other] += 1 / (len(given_codes) - 1)
    totals, n = matrix.sum(axis=0), matrix.sum()
    return float(1 - (n - 1) * (n - np.trace(matrix)) / (n * n - (totals**2).sum()))


def test_the_worked_example_of_three_raters_and_fifteen_units() -> None:
    a = [-1, -1, -1, -1, -1, 3, 4, 1, 2, 1, 1, 3, 3, -1, 3]
    b = [1, -1, 2, 1, 3, 3, 4, 3, -1, -1, -1, -1, -1, -1, -1]
    c = [-1, -1, 2, 1, 3, 4, 4, -1, 2, 1, 1, 3, 3, -1, 4]
    assert krippendorff_alpha(np.array([a, b, c]).T) == pytest.approx(0.691, abs=5e-4)


def test_two_raters_by_hand() -> None:
    assert krippendorff_alpha(np.array([[0, 0], [1, 1], [0, 1], [1, 1]])) == pytest.approx(1 - 7 * 2 / 30)


@given(RATINGS)
def test_equal_to_the_coincidence_matrix(codes: Array) -> None:
    found = krippendorff_alpha(codes)
    if np.isnan(found):
        paired = codes[(codes >= 0).sum(axis=1) >= 2]
        assert len(np.unique(paired[paired >= 0])) < 2
    else:
        assert found == pytest.approx(by_coincidence(codes))
        assert found <= 1


@given(RATINGS, st.permutations(range(4)))
def test_names_of_classes_and_order_of_raters_have_no_effect(codes: Array, names: list[int]) -> None:
    renamed = np.where(codes >= 0, np.array(names)[codes], -1)[:, ::-1]
    assert krippendorff_alpha(renamed) == pytest.approx(krippendorff_alpha(codes), nan_ok=True)


@pytest.mark.filterwarnings("error")
def test_alpha_without_pairs_or_variety_is_nan() -> None:
    assert np.isnan(krippendorff_alpha(np.zeros((0, 3), dtype=int)))
    assert np.isnan(krippendorff_alpha(np.array([[0, -1], [-1, 1]])))
    assert np.isnan(krippendorff_alpha(np.full((4, 2), -1)))
    assert np.isnan(krippendorff_alpha(np.ones((4, 2), dtype=int)))


def test_a_list_of_codes_is_refused() -> None:
    with pytest.raises(Misuse, match="codes must be a table of units by raters"):
        krippendorff_alpha(np.zeros(3))


def test_spearman_by_hand() -> None:
    assert spearman(np.array([1.0, 2, 3]), np.array([10.0, 30, 20])) == pytest.approx(0.5)


@given(hnp.arrays(np.float64, (2, 12), elements=st.integers(0, 5).map(float)))
def test_spearman_equals_scipy_and_is_1_with_itself(pair: Array) -> None:
    left, right = pair
    if np.ptp(left) and np.ptp(right):
        assert spearman(left, right) == pytest.approx(spearmanr(left, right).statistic, abs=1e-12)
        assert spearman(left, np.exp(left)) == pytest.approx(1)
        assert spearman(left, -left) == pytest.approx(-1)


@pytest.mark.filterwarnings("error")
def test_spearman_of_nothing_a_constant_or_a_gap_is_nan() -> None:
    assert np.isnan(spearman(np.zeros(0), np.zeros(0)))
    assert np.isnan(spearman(np.ones(1), np.ones(1)))
    assert np.isnan(spearman(np.ones(3), np.arange(3.0)))
    assert np.isnan(spearman(np.array([1, np.nan, 2]), np.arange(3.0)))
