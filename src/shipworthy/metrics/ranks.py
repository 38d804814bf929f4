"""Ranks with ties: what AUC, DeLong's interval, Spearman's correlation and equal-mass bins share."""

from __future__ import annotations

import numpy as np

from shipworthy.metrics.arrays import Floats, Ints


def runs(ordered: Floats) -> Ints:
    """Positions where a new value begins in a sorted array, (number of distinct values,)."""
    if not len(ordered):
        return np.zeros(0, dtype=np.int64)
    return np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1]).astype(np.int64, copy=False)


def midranks(values: Floats) -> Floats:
    """Rank of every value from 1 to n, (n,); equal values share the mean of theirs. values: (n,), not NaN.

    >>> midranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    order = np.argsort(values)
    starts = runs(values[order])
    ends = np.append(starts[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + ends + 1) / 2, ends - starts) if len(values) else 0.0
    return ranks
