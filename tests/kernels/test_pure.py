"""Links and calibration are written out, and agree with the functions that they replace."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.kernels import pure

finite = st.floats(-800, 800)


def test_exp_is_within_one_unit_in_the_last_place() -> None:
    x = np.concatenate([np.random.default_rng(0).uniform(-708, 709, 200_000), np.linspace(-1, 1, 20_001)])
    exact = np.exp(x.astype(np.longdouble))
    assert float(np.max(np.abs(pure.exp(x) - exact) / np.spacing(exact.astype(np.float64)))) < 1


def test_log_is_within_one_unit_in_the_last_place() -> None:
    random = np.random.default_rng(0)
    wide = 10.0 ** random.uniform(-300, 300, 100_000)
    x = np.concatenate([random.random(100_000), wide, np.linspace(0.9, 1.1, 9_999)])
    exact = np.log(x.astype(np.longdouble))
    assert float(np.max(np.abs(pure.log(x) - exact) / np.spacing(np.abs(exact.astype(np.float64))))) < 1
    assert pure.log(np.array([1.0]))[0] == 0 and np.isnan(pure.log(np.array([np.nan])))[0]


def test_exp_has_the_usual_ends() -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, 710.0, 1e300, -746.0, -745.0, np.nan])
    wanted = [1.0, 1.0, np.inf, 0.0, np.inf, np.inf, 0.0, 5e-324, np.nan]
    assert np.array_equal(pure.exp(x), wanted, equal_nan=True)


@given(st.lists(finite, min_size=1, max_size=20))
def test_logistic_is_a_probability_and_mirrors(margins: list[float]) -> None:
    there, back = pure.logistic(np.array(margins)), pure.logistic(-np.array(margins))
    assert ((there >= 0) & (there <= 1)).all()
    assert np.allclose(there + back, 1, rtol=0, atol=1e-15)


@given(st.lists(st.lists(finite, min_size=3, max_size=3), min_size=1, max_size=9))
def test_softmax_adds_up_to_one(margins: list[list[float]]) -> None:
    assert np.allclose(pure.softmax(np.array(margins)).sum(axis=1), 1, rtol=0, atol=1e-15)


@given(knots=st.lists(st.integers(-9, 9), min_size=1, max_size=8), seed=st.integers(0, 1_000))
@settings(deadline=None)
def test_interpolate_agrees_with_numpy(knots: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    at = np.sort(np.array(knots, np.float64))
    values = np.sort(random.normal(size=len(at)))
    x = np.concatenate([at, np.nextafter(at, 20), np.nextafter(at, -20), random.normal(size=50) * 5,
                        [np.inf, -np.inf]])
    assert np.allclose(pure.interpolate(x, at, values), np.interp(x, at, values), rtol=0, atol=1e-15)
    assert np.isnan(pure.interpolate(np.array([np.nan]), at, values)[0])
