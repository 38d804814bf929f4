"""Calibration: by hand, against scikit-learn, by property, at the edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.calibration import calibration_curve

from shipworthy.errors import Misuse
from shipworthy.metrics.arrays import Array
from shipworthy.metrics.calibration import expected_calibration_error, reliability
from shipworthy.metrics.intervals import wilson

TRUTH = np.array([0, 0, 1, 1, 1, 1])
CHANCE = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.8])
CHANCES = hnp.arrays(np.float64, st.integers(1, 60), elements=st.integers(0, 8).map(lambda step: step / 8))


def test_two_bins_by_hand() -> None:
    curve = reliability(TRUTH, CHANCE, bins=2)
    assert curve.n.tolist() == [3, 3]
    assert curve.mean_p == pytest.approx([0.2, 0.7])
    assert curve.mean_y == pytest.approx([1 / 3, 1])
    assert (curve.low[0], curve.high[0]) == wilson(1, 3)
    assert expected_calibration_error(TRUTH, CHANCE, bins=2) == pytest.approx((1 / 3 - 0.2 + 0.3) / 2)


def test_equal_to_scikit_learn_without_ties() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    truth = (rng.random(1000) < p).astype(int)
    curve = reliability(truth, p, bins=10)
    mean_y, mean_p = calibration_curve(truth, p, n_bins=10, strategy="quantile")
    assert curve.mean_p == pytest.approx(mean_p)
    assert curve.mean_y == pytest.approx(mean_y)
    assert curve.n.tolist() == [100] * 10


@given(CHANCES, st.integers(1, 20))
def test_order_of_rows_has_no_effect_and_equal_probabilities_share_a_bin(p: Array, bins: int) -> None:
    truth = np.arange(len(p)) % 2
    curve = reliability(truth, p, bins=bins)
    error = expected_calibration_error(truth, p, bins=bins)
    assert curve.n.sum() == len(p)
    assert len(curve.n) <= min(bins, len(np.unique(p)))
    assert (np.diff(curve.mean_p) > 0).all()
    assert ((curve.low <= curve.mean_y) & (curve.mean_y <= curve.high)).all()
    assert 0 <= error <= 1
    assert expected_calibration_error(truth[::-1], p[::-1], bins=bins) == pytest.approx(error)


def test_the_base_rate_for_every_row_is_calibrated() -> None:
    assert expected_calibration_error(np.array([0, 1, 1, 0]), np.full(4, 0.5)) == 0


def test_a_perfect_model_shows_the_noise_that_the_docstring_states() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.4, 0.6, 20_000)
    found = np.mean([expected_calibration_error((rng.random(len(p)) < p).astype(int), p) for _ in range(20)])
    assert found == pytest.approx(0.8 * np.sqrt(0.25 * 15 / len(p)), rel=0.15)


@pytest.mark.filterwarnings("error")
def test_no_rows() -> None:
    assert np.isnan(expected_calibration_error(np.zeros(0), np.zeros(0)))
    assert reliability(np.zeros(0), np.zeros(0)).n.tolist() == []


def test_what_cannot_be_binned_is_refused() -> None:
    with pytest.raises(Misuse, match="a probability is NaN"):
        reliability(np.array([1]), np.array([np.nan]))
    with pytest.raises(Misuse, match="bins = 0 is less than 1"):
        reliability(TRUTH, CHANCE, bins=0)
