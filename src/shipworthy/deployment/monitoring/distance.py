"""How far a column has moved, in words that need no statistics: what stands beside its test."""

from __future__ import annotations

import numpy as np

from shipworthy.core.grid import NULL, UNSEEN, Cells
from shipworthy.core.table import Floats, Ints
from shipworthy.metrics.drift import wasserstein

WORTH_SAYING = 0.01


def places(cells: Cells) -> tuple[Ints, Floats]:
    """The cells of a number from lowest to highest, without the infinite and the missing, and where each lies.

    A body cell lies in its middle, one that is far outside at its near end: a distance to it is a lower bound.
    """
    edges = np.asarray(cells.edges)
    return np.arange(len(edges) + 1), np.r_[edges[0], (edges[:-1] + edges[1:]) / 2, edges[-1]]


def distance(cells: Cells, before: Ints, now: Ints) -> float:
    """How far rows must move on average, in the column's own unit; of a category the share that must change.

    before, now: (cells,) counts. Missing values have no place and do not count. NaN if a side is empty.
    Source: Vallender (1974), W1 between two counts; total variation.
    """
    if cells.kind == "number":
        line, at = places(cells)
        return wasserstein(before[line], now[line], at)
    old, new = before[:NULL], now[:NULL]
    if not old.sum() or not new.sum():
        return float("nan")
    return float(np.abs(old / old.sum() - new / new.sum()).sum() / 2)


def apart(cells: Cells, before: Ints, now: Ints) -> str:
    """The distance of two counts of a column in words, with what became missing or was never seen."""
    moved = distance(cells, before, now)
    told = []
    if np.isfinite(moved):
        unit = f" {cells.unit}" if cells.unit else ""
        told = [f"moved by {moved:.3g}{unit}" if cells.kind == "number" else f"{moved:.0%} of values changed"]
    missing = [float(side[[-2, -1] if cells.kind == "number" else [NULL]].sum() / max(1, side.sum()))
               for side in (before, now)]
    if abs(missing[1] - missing[0]) >= WORTH_SAYING:
        told.append(f"missing {missing[0]:.0%}, now {missing[1]:.0%}")
    unseen = float(now[UNSEEN] / max(1, now.sum())) if cells.kind == "category" else 0.0
    if unseen >= WORTH_SAYING:
        told.append(f"{unseen:.0%} never seen")
    return ", ".join(told) or "all missing"
