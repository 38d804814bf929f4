"""Putting categories in an order that numeric splits can cut: by the outcome that goes with each level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shipworthy.core.features import Input
from shipworthy.core.table import Floats, Ints

SMOOTHING = 10.0


def orders(inputs: Floats, truth: Floats | Ints, kinds: Sequence[Input], classes: int) -> tuple[Ints | None, ...]:
    """For every category the rank of each code, (levels,), by mean outcome over these rows; None for a number.

    With several classes the outcome is the first principal component of the class shares. For squared error and two
    classes the best of all two-way divisions of the levels is then among the cuts of the ranks.
    Source: Breiman et al. (1984), 4.2.2; Coppersmith, Hong and Hosking (1999) for several classes.
    """
    if classes > 2:
        outcome = np.eye(classes)[np.asarray(truth, np.int64)]
    else:
        outcome = np.asarray(truth, np.float64)[:, None]
    return tuple(_ranks(inputs[:, place], outcome, kind.levels) if kind.categorical else None
                 for place, kind in enumerate(kinds))


def ordered(inputs: Floats, ranks: Sequence[Ints | None]) -> Floats:
    """Inputs with every known code replaced by its rank, and any other code by NaN."""
    out = np.array(inputs, np.float64)
    for place, rank in enumerate(ranks):
        if rank is not None:
            column = inputs[:, place]
            known = (column > -1) & (column < len(rank))
            code = np.where(known, column, 0).astype(np.int64)
            out[:, place] = np.where(known, rank[code], np.nan)
    return out


def _ranks(column: Floats, outcome: Floats, levels: int) -> Ints:
    known = np.isfinite(column)
    codes = column[known].astype(np.int64)
    count = np.bincount(codes, minlength=levels)[:levels].astype(np.float64)
    middle = outcome.mean(axis=0)
    total = np.stack([np.bincount(codes, weights=each, minlength=levels)[:levels] for each in outcome[known].T], axis=1)
    mean = (total + SMOOTHING * middle) / (count + SMOOTHING)[:, None]
    along = (mean - middle)[:, 0]
    if outcome.shape[1] > 1:
        spread = (mean - middle) * np.sqrt(count)[:, None]
        along = (mean - middle) @ np.linalg.svd(spread, full_matrices=False)[2][0]
    ranks = np.empty(levels, np.int64)
    ranks[np.argsort(along, kind="stable")] = np.arange(levels)
    return ranks
