"""Contrasts: how far a margin moves when one input alone changes, as one sum of trees; and the gap of two programs.

Each leaf that holds the one value is paired with each that holds the other, where the two meet in all other inputs; the
pair adds the difference of the two. So one search bounds a change, where two copies of the ensemble would forget that
the other inputs are the same.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shipworthy.core.table import Floats, Ints
from shipworthy.verification.formal.boxes import Cells, Leaves, fixed, holds, stacked
from shipworthy.verification.formal.cells import Words

At = tuple[int, int]  # a cell, or a bit where the cell is −1


def negated(leaves: Leaves) -> Leaves:
    """The sum with the other sign."""
    return replace(leaves, value=-leaves.value, base=-leaves.base)


def change(leaves: Leaves, place: int, start: At, end: At | None) -> Leaves:
    """The sum with an input at `end`, or anywhere if None, less the sum with it at `start`; other inputs alike."""
    before = holds(leaves, place, *start)
    after = np.ones_like(before) if end is None else holds(leaves, place, *end)
    differ = before != after
    reads = np.logical_or.reduceat(differ, leaves.start[:-1]) if len(differ) else np.empty(0, np.bool_)
    few = trees(leaves, np.flatnonzero(reads))
    return pairs(fixed(few, {place: end}) if end is not None else few, fixed(negated(few), {place: start}))


def gap(one: Leaves, other: Leaves) -> Leaves:
    """The one sum less the other, over the same space."""
    return stacked(one.space, [one, negated(other)])


def trees(leaves: Leaves, chosen: Ints) -> Leaves:
    """Some trees of a sum; base and slack stay those of the whole."""
    keep = np.isin(leaves.tree, chosen)
    start = np.concatenate([[0], np.cumsum(np.diff(leaves.start)[chosen])]).astype(np.int64)
    return replace(leaves, lo=leaves.lo[:, keep], hi=leaves.hi[:, keep], mask=leaves.mask[:, keep],
                   value=leaves.value[keep], start=start)


def pairs(one: Leaves, other: Leaves) -> Leaves:
    """Two sums over the same trees as one: every pair of leaves of a tree that meet, and what both add."""
    parts: list[tuple[Cells, Cells, Words, Floats]] = []
    for tree in range(len(one.start) - 1):
        parts.append(_pairs(one, slice(*one.start[tree : tree + 2]), other, slice(*other.start[tree : tree + 2])))
    sizes = [len(part[3]) for part in parts]
    base, slack = one.base + other.base, one.slack + other.slack
    if not parts:
        return replace(trees(one, np.empty(0, np.int64)), base=base, slack=slack)
    lo, hi = (np.concatenate([part[n] for part in parts], axis=1) for n in (0, 1))
    mask = np.concatenate([part[2] for part in parts], axis=1)
    return Leaves(one.space, lo, hi, mask, np.concatenate([part[3] for part in parts]),
                  np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), base, slack)


def _pairs(one: Leaves, a: slice, other: Leaves, b: slice) -> tuple[Cells, Cells, Words, Floats]:
    lo = np.maximum(one.lo[:, a, None], other.lo[:, None, b])
    hi = np.minimum(one.hi[:, a, None], other.hi[:, None, b])
    mask = one.mask[:, a, None] & other.mask[:, None, b]
    some = np.logical_or.reduceat(mask != 0, one.space.first[:-1], axis=0)
    meet = ((lo <= hi) | some).all(axis=0)
    value = one.value[a, None] + other.value[None, b]
    return lo[:, meet], hi[:, meet], mask[:, meet], value[meet]


def positions(leaves: Leaves, place: int, lo: int, hi: int, bits: int) -> list[At]:
    """Every cell and bit of an input inside a box that some leaf tells apart: all that it can be."""
    found: list[At] = [(cell, -1) for cell in range(lo, hi + 1)]
    found += [(-1, bit) for bit in range(bits.bit_length()) if bits >> bit & 1]
    return _distinct(leaves, place, found)


def _distinct(leaves: Leaves, place: int, found: list[At]) -> list[At]:
    """One of all that the same leaves hold."""
    seen: dict[bytes, At] = {}
    for cell, bit in found:
        seen.setdefault(np.packbits(holds(leaves, place, cell, bit)).tobytes(), (cell, bit))
    return list(seen.values())
