"""Windows of time over tallies: which sums lie in which hour, day or week, and whether a window is over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shipworthy.core.clock import MINUTE
from shipworthy.core.table import Ints
from shipworthy.core.tallies import Sums
from shipworthy.deployment.monitoring.joined import FEWEST_ROWS, start_of, window_of

GRACE = MINUTE
EVER = -(2**62)


@dataclass(frozen=True)
class Cut:
    """Windows over sums, in the order of their time; a tiny one is part of the next.

    first, last: (w,) numbers of the first and last window of each. start, stop: (w,) places of their sums. rows: (w,).
    full: (w,) whether no row will join it any more.
    """

    level: str
    first: Ints
    last: Ints
    start: Ints
    stop: Ints
    rows: Ints
    full: np.ndarray[tuple[int], np.dtype[np.bool_]]

    def __len__(self) -> int:
        return len(self.first)

    def end(self, place: int) -> int:
        """The last microsecond of a window."""
        return start_of(int(self.last[place]) + 1, self.level) - 1


def cut(found: Sums, level: str, *, since: int = EVER, until: int, every: bool = False) -> Cut:
    """The windows of sums that arrived from `since` on. found: ordered by time, its first meter counts rows.

    until: the last microsecond of which anything is known; a minute's grace lets rows under way come in.
    every: also those after the first that is not full; else they wait until the one before them is over. The last is
    cut even where it is tiny.
    """
    begin = int(np.searchsorted(found.at, since))
    number, rows = window_of(found.at[begin:], level), found.cells[begin:, 0]
    edges = [*(np.flatnonzero(np.diff(number)) + 1), len(number)] if len(number) else []
    now, start, kept = int(window_of(np.array([until - GRACE]), level)[0]), 0, []
    for edge in edges:
        n, full = int(rows[start:edge].sum()), bool(number[edge - 1] < now)
        if n < FEWEST_ROWS and not (every and edge == len(number)):
            continue
        kept.append((number[start], number[edge - 1], start + begin, edge + begin, n, full))
        start = edge
        if not full and not every:
            break
    first, last, begins, ends, counted, over = np.array(kept, np.int64).reshape(len(kept), 6).T
    return Cut(level, first, last, begins, ends, counted, over > 0)


def summed(cells: Ints, windows: Cut) -> Ints:
    """The cells of every window, (w, width). cells: of the sums that were cut."""
    if not len(windows):
        return np.zeros((0, cells.shape[1]), np.int64)
    total = np.concatenate([np.zeros((1, cells.shape[1]), np.int64), np.cumsum(cells, axis=0)])
    return np.asarray(total[windows.stop] - total[windows.start])
