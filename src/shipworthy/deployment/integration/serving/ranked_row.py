"""One row through all trees at once, in rank space: one mask per input, joined; the bit left in each tree is its leaf.

Source: Lucchese et al. (2015), QuickScorer, on the masks that `kernels.ranked` makes for many rows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from math import isnan

import numpy as np
import numpy.typing as npt

from shipworthy.core.program import Term
from shipworthy.core.table import Floats
from shipworthy.kernels import ranked

WORD = 64
MOST_BYTES = 64_000_000
ALL = np.uint64(2**64 - 1)
ONE = np.uint64(1)

Sum = Callable[[list[float]], list[float]]


def summed(term: Term, outputs: int) -> Sum | None:
    """A function from one tidied row to the sum of its leaves per output, added in the order of the trees.

    None where trees have more than 64 leaves or the masks would take more than 64 MB.
    """
    compiled = ranked.compile_trees(term.arrays)
    if compiled is None or any(words != 1 for _, words, _ in compiled.trees):
        return None
    count = len(compiled.trees)
    if sum(axis.cells for axis in compiled.axes.values()) * count * 8 > MOST_BYTES:
        return None
    masks = [(place, _finder(axis), _masks(compiled, place, axis.cells)) for place, axis in compiled.axes.items()]
    whole = np.array([(1 << len(leaves)) - 1 for leaves, _, _ in compiled.trees], np.uint64)
    start = np.arange(count) * WORD
    add = _adder(term, compiled, outputs)

    def total(row: list[float]) -> list[float]:
        left = whole
        for place, find, table in masks:
            left = left & table[find(row[place])]
        return add(start + np.bitwise_count(left - ONE))

    return total


def _masks(compiled: ranked.Compiled, place: int, cells: int) -> list[npt.NDArray[np.uint64]]:
    """Per cell of an input, the leaves that each tree keeps open, (trees,)."""
    table = np.full((cells, len(compiled.trees)), ALL)
    for number, (_, _, masks) in enumerate(compiled.trees):
        for read, words in masks:
            if read == place:
                table[:, number] = words
    return list(table)


def _finder(axis: ranked.Axis) -> Callable[[float], int]:
    """The cell of one value, as `Axis.find` has it."""
    cuts, codes = axis.cuts.tolist(), axis.codes
    absent, zero = len(cuts) + 1, len(cuts) + 2
    if codes:
        return lambda value: int(value) if -1 < value < codes else codes

    def find(value: float) -> int:
        return zero if value == 0 else absent if isnan(value) else bisect_left(cuts, value)

    return find


def _adder(term: Term, compiled: ranked.Compiled, outputs: int) -> Callable[[npt.NDArray[np.int64]], list[float]]:
    leaf = np.asarray(term.arrays["leaf"], np.float64)
    table: Floats = np.zeros((len(compiled.trees) * WORD, leaf.shape[1]))
    for number, (leaves, _, _) in enumerate(compiled.trees):
        table[number * WORD : number * WORD + len(leaves)] = leaf[leaves]
    if leaf.shape[1] > 1:
        return lambda places: list(table[places].cumsum(axis=0)[-1].tolist())
    flat = table[:, 0]
    if outputs == 1:
        return lambda places: [float(flat[places].cumsum()[-1])]
    own = [np.flatnonzero(np.asarray(term.arrays["output"]) == output) for output in range(outputs)]
    return lambda places: [float(flat[places[at]].cumsum()[-1]) if len(at) else 0.0 for at in own]
