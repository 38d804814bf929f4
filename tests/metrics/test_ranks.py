"""Ranks: by hand, against SciPy, at the edge."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import rankdata

from shipworthy.metrics.arrays import Array
from shipworthy.metrics.ranks import midranks, runs


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert midranks(np.array([3.0, 1.0, 3.0])).tolist() == [2.5, 1, 2.5]


def test_a_run_begins_where_the_value_changes() -> None:
    assert runs(np.array([1.0, 1.0, 2.0, 5.0, 5.0])).tolist() == [0, 2, 3]


@given(hnp.arrays(np.float64, st.integers(0, 50), elements=st.integers(-5, 5).map(float)))
def test_equal_to_scipy(values: Array) -> None:
    assert midranks(values).tolist() == rankdata(values).tolist()


def test_infinities_are_values_like_any_other() -> None:
    assert midranks(np.array([np.inf, -np.inf, np.inf, 0.0])).tolist() == [3.5, 1, 3.5, 2]
