"""Planted faults in figures that plugins count: ones that do not add up, and ones that lie about what they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from shipworthy.core.meters import OwnMeter
from shipworthy.core.table import Ints, Table
from shipworthy.marks import sabotage, twin

Case = Mapping[str, Any]


def rows_and_high(table: Table) -> Ints:
    """Rows, and those that score above a half."""
    return np.array([table.rows, (table.numbers("score") > 0.5).sum()], np.int64)


def share(sums: Ints) -> float:
    """The second count as a share of the first."""
    return float(sums[1] / sums[0])


def _with(case: Case, function: Callable[[Table], Any], *, cells: int = 2) -> Case:
    return {**case, "meters": (OwnMeter("planted", "rows", cells, function, share),)}


@twin("meters-conform")
def honest_meter(case: Case, seed: int) -> Case:
    """A count of rows, and a share made of it."""
    return _with(case, rows_and_high)


@sabotage("a figure that does not merge", check="meters-conform")
def largest_kept(case: Case) -> Case:
    """The largest score instead of a count: the largest of two parts do not add up."""
    return _with(case, lambda table: np.array([table.rows, 1_000 * np.max(table.numbers("score"), initial=0)],
                                              np.int64))


@sabotage("a figure that lies about its signature", check="meters-conform")
def floats_given(case: Case) -> Case:
    """It says that it counts two integers, and gives a mean."""
    return _with(case, lambda table: np.array([np.mean(table.numbers("score"))]))


@sabotage("a figure that counts an empty table", check="meters-conform")
def one_too_many(case: Case) -> Case:
    """Every table counts as one row more than it has."""
    return _with(case, lambda table: np.array([table.rows + 1, 0]))


@sabotage("a figure that depends on order", check="meters-conform")
def order_counted(case: Case) -> Case:
    """How often a score is above the one before it."""
    return _with(case, lambda table: np.array([table.rows, (np.diff(table.numbers("score")) > 0).sum()], np.int64))
