"""Predicted numbers: by hand, against scikit-learn, by property, at the edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as reference

from shipworthy.errors import Misuse
from shipworthy.metrics import regression as r
from shipworthy.metrics.arrays import Array

TRUTH = np.array([1.0, 2.0, 3.0, 4.0])
SAID = np.array([1.0, 3.0, 3.0, 8.0])
PAIRS = hnp.arrays(np.float64, st.tuples(st.just(2), st.integers(2, 30)), elements=st.floats(-1e3, 1e3))


def test_by_hand() -> None:
    assert r.rmse(TRUTH, SAID) == pytest.approx(np.sqrt(17 / 4))
    assert r.mae(TRUTH, SAID) == 1.25
    assert r.median_absolute_error(TRUTH, SAID) == 0.5
    assert r.mean_error(TRUTH, SAID) == 1.25
    assert r.r2(TRUTH, SAID) == pytest.approx(1 - 17 / 5)
    assert r.pinball(TRUTH, SAID, level=0.9) == pytest.approx(0.1 * 5 / 4)


def test_the_bias_is_above_0_when_too_much_is_predicted() -> None:
    assert r.mean_error(np.zeros(2), np.ones(2)) == 1


@given(PAIRS)
def test_equal_to_scikit_learn(pair: Array) -> None:
    truth, said = pair
    assert r.rmse(truth, said) == pytest.approx(reference.root_mean_squared_error(truth, said))
    assert r.mae(truth, said) == pytest.approx(reference.mean_absolute_error(truth, said))
    assert r.median_absolute_error(truth, said) == pytest.approx(reference.median_absolute_error(truth, said))
    assert r.pinball(truth, said, level=0.2) == pytest.approx(
        reference.mean_pinball_loss(truth, said, alpha=0.2), abs=1e-12)
    if np.ptp(truth) > 1e-3:
        assert r.r2(truth, said) == pytest.approx(reference.r2_score(truth, said))


@given(PAIRS)
def test_bias_is_at_most_mae_which_is_at_most_rmse(pair: Array) -> None:
    truth, said = pair
    assert abs(r.mean_error(truth, said)) <= r.mae(truth, said) + 1e-9
    assert r.mae(truth, said) <= r.rmse(truth, said) * (1 + 1e-12) + 1e-9


@given(PAIRS)
def test_half_the_mae_is_the_pinball_loss_of_the_median(pair: Array) -> None:
    assert r.pinball(*pair) == pytest.approx(r.mae(*pair) / 2, abs=1e-12)


def test_a_constant_truth_has_no_r2() -> None:
    assert np.isnan(r.r2(np.full(3, 0.1), np.arange(3.0)))
    assert np.isnan(r.r2(np.ones(1), np.ones(1)))


@pytest.mark.filterwarnings("error")
def test_no_rows_is_nan_without_a_warning() -> None:
    for metric in (r.rmse, r.mae, r.median_absolute_error, r.mean_error, r.r2, r.pinball):
        assert np.isnan(metric(np.zeros(0), np.zeros(0)))


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_quantile_outside_0_and_1_is_refused(level: float) -> None:
    with pytest.raises(Misuse, match="is not between 0 and 1"):
        r.pinball(TRUTH, SAID, level=level)
