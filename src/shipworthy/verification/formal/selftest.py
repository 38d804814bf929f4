"""Whether rank space and the kernel give the same margins, on rows where they would part first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shipworthy.core.table import Floats, Ints
from shipworthy.kernels import pure
from shipworthy.verification.formal.boxes import Leaves
from shipworthy.verification.formal.cells import ABOVE_ZERO, BELOW_ZERO, Space
from shipworthy.verification.formal.ensemble import Ensemble

BLOCK = 512
ALWAYS = (np.nan, 0.0, -0.0, np.inf, -np.inf, pure.ZERO, -pure.ZERO, ABOVE_ZERO, BELOW_ZERO, 1e-36, -1.0, 0.5)


def hostile(ensemble: Ensemble, rows: Floats, *, most: int = 10_000) -> Floats:
    """Rows as they are, and each border of each input put into one of them: at it, and at both float neighbours.

    A draw of `most` of them, from a fixed seed, where there are more.
    """
    found = [rows[:most]]
    for place, axis in enumerate(ensemble.space.axes):
        cuts = axis.cuts
        sides = [cuts, np.nextafter(cuts, np.inf), np.nextafter(cuts, -np.inf), np.array(ALWAYS)]
        sides.append(np.arange(-1.0, axis.codes + 2))
        values = np.concatenate(sides)
        values = values[np.floor(values) == values] if axis.whole else values
        copies = rows[np.arange(len(values)) % len(rows)].copy()
        copies[:, place] = values
        found.append(copies)
    every = np.concatenate(found)
    return every[np.random.default_rng(0).permutation(len(every))[:most]]


def disagreement(ensemble: Ensemble, weights: tuple[float, ...], rows: Floats) -> Floats | None:
    """The first of some rows whose margin is another by boxes than by the kernel, or that meets not one box a tree."""
    leaves = ensemble.leaves(weights)
    told = ensemble.program.margin(rows) @ np.asarray(weights)
    tables = [_table(leaves, place) for place in range(len(ensemble.space.axes))]
    cells, bits = ensemble.space.find(rows)
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        held = _held(tables, ensemble.space, cells[part], bits[part])
        inside = np.unpackbits(held, axis=1, count=len(leaves.value)).astype(np.float64)
        once = (np.add.reduceat(inside, leaves.start[:-1], axis=1) == 1).all(axis=1)
        seen = inside @ leaves.value + leaves.base
        wrong = np.flatnonzero(~once | ~(np.abs(seen - told[part]) <= 2 * leaves.slack))
        if len(wrong):
            return np.asarray(rows[start + int(wrong[0])])
    return None


def _table(leaves: Leaves, place: int) -> npt.NDArray[np.uint8]:
    """Of every cell, then of every bit of an input, the leaves that hold it, packed: (cells + bits, bytes)."""
    axis, first = leaves.space.axes[place], int(leaves.space.first[place])
    cell = np.arange(len(axis.cuts) + 1)[:, None]
    held = [(leaves.lo[place] <= cell) & (cell <= leaves.hi[place])]
    for word in range(axis.words):
        bit = np.arange(64, dtype=np.uint64)[:, None]
        held.append((leaves.mask[first + word] >> bit & np.uint64(1)) > 0)
    return np.packbits(np.concatenate(held), axis=1)


def _held(tables: list[npt.NDArray[np.uint8]], space: Space, cells: Ints, bits: Ints) -> npt.NDArray[np.uint8]:
    """The leaves that every row meets, packed, (rows, bytes)."""
    every = None
    for place, table in enumerate(tables):
        at = np.where(bits[:, place] < 0, cells[:, place], len(space.axes[place].cuts) + 1 + bits[:, place])
        every = table[at] if every is None else every & table[at]
    assert every is not None
    return every
