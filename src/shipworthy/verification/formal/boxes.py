"""The leaves of a program as boxes in rank space, with what each adds to a weighted sum of the margins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from shipworthy.core.program import Linear, Program, Term, Trees
from shipworthy.core.table import Floats, Ints
from shipworthy.kernels import pure
from shipworthy.verification.formal.cells import Axis, Space, Words, coded, last_left, listed, words

Cells = npt.NDArray[np.int32]
EPSILON = 2.0**-52


@dataclass(frozen=True)
class Leaves:
    """Boxes in the order of their trees, of each of which every row meets exactly one box.

    lo, hi: (inputs, leaves). mask: (words, leaves). value: (leaves,). start: (trees + 1,), where each tree begins.
    base: what is added to the sum. slack: covers any order of summing, here and in the kernel.
    """

    space: Space
    lo: Cells
    hi: Cells
    mask: Words
    value: Floats
    start: Ints
    base: float
    slack: float

    @property
    def tree(self) -> Ints:
        """(leaves,) the tree of each."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))


def ensemble(program: Program) -> bool:
    """Whether a program is of trees, and of constants beside them."""
    return all(isinstance(term.kind, Trees) or (isinstance(term.kind, Linear) and not len(term.arrays["place"]))
               for term in program.terms) and any(isinstance(term.kind, Trees) for term in program.terms)


def inputs_read(term: Term) -> list[set[int]]:
    """The inputs that every tree of a term reads."""
    a, found = term.arrays, list[set[int]]()
    below: dict[int, set[int]] = {}
    for node in range(len(a["feature"]) - 1, -1, -1):  # children come after their parents
        below[node] = {int(a["feature"][node])}.union(*(below.get(int(a[side][node]), set())
                                                        for side in ("left", "right")))
    for root in a["root"].tolist():
        found.append(below.get(root, set()))
    return found


def leaves_of(program: Program, space: Space, weights: Sequence[float]) -> Leaves:
    """The leaves of weights · margin. weights: one for each output."""
    w = np.asarray(weights, np.float64)
    found: list[Leaves] = []
    base, heavy, constant = 0.0, 0.0, 0.0
    for term in program.terms:
        if isinstance(term.kind, Linear):
            added = np.asarray(term.arrays["intercept"], np.float64)
        else:
            found.append(_term(term, space, w))
            added = np.asarray(term.arrays["base"], np.float64)
        base, constant = base + float(added @ w), constant + float(np.abs(added) @ np.abs(w))
    whole = stacked(space, found, base)
    if len(whole.value):
        heavy = float(np.maximum.reduceat(np.abs(whole.value), whole.start[:-1]).sum())
    count = len(whole.start) - 1 + len(program.terms) + 1
    return replace(whole, slack=count * EPSILON * (heavy + constant))


def stacked(space: Space, parts: Sequence[Leaves], base: float | None = None) -> Leaves:
    """Several sums added up: their trees one after the other."""
    starts = [np.zeros(1, np.int64)]
    for part in parts:
        starts.append(part.start[1:] + starts[-1][-1])
    added = sum(part.base for part in parts) if base is None else base
    if not parts:
        none = np.empty((len(space.axes), 0), np.int32)
        return Leaves(space, none, none, np.empty((int(space.first[-1]), 0), np.uint64), np.empty(0), starts[0], added,
                      0.0)
    lo, hi = (np.concatenate([getattr(part, key) for part in parts], axis=1) for key in ("lo", "hi"))
    mask = np.concatenate([part.mask for part in parts], axis=1)
    return Leaves(space, lo, hi, mask, np.concatenate([part.value for part in parts]), np.concatenate(starts), added,
                  sum(part.slack for part in parts))


def _term(term: Term, space: Space, w: Floats) -> Leaves:
    """All trees of a term walked at once, level by level, from boxes that hold everything."""
    assert isinstance(term.kind, Trees)
    cut, left = _ways(term, space, term.kind.narrow)
    a = {key: np.asarray(term.arrays[key]).astype(np.int64) for key in ("feature", "left", "right", "root", "output")}
    node, tree = a["root"], np.arange(len(a["root"]))
    every = _everything(space)
    lo, hi = (np.repeat(side[None], len(node), axis=0) for side in every[:2])
    mask = np.repeat(every[2][None], len(node), axis=0)
    done = []
    while True:
        ended = node < 0
        done.append((tree[ended], -1 - node[ended], lo[ended], hi[ended], mask[ended]))
        node, tree, lo, hi, mask = node[~ended], tree[~ended], lo[~ended], hi[~ended], mask[~ended]
        if not len(node):
            break
        at, place, numbers = np.arange(len(node)), a["feature"][node], cut[node]
        lo2, hi2 = lo.copy(), hi.copy()
        hi[at, place] = np.minimum(hi[at, place], numbers)
        lo2[at, place] = np.maximum(lo2[at, place], numbers + 1)
        own = _own(space, place)
        mask, mask2 = mask & (left[node] | ~own), mask & (~left[node] | ~own)
        node, tree = np.concatenate([a["left"][node], a["right"][node]]), np.concatenate([tree, tree])
        lo, hi, mask = np.concatenate([lo, lo2]), np.concatenate([hi, hi2]), np.concatenate([mask, mask2])
    return _sorted(space, term, w, [np.concatenate([part[n] for part in done]) for n in range(5)])


def _sorted(space: Space, term: Term, w: Floats, walked: list[npt.NDArray[Any]]) -> Leaves:
    """Reachable leaves by tree, with their values. walked: tree, leaf, lo, hi and mask of each."""
    tree, leaf, lo, hi, mask = walked
    some = np.logical_or.reduceat(mask != 0, space.first[:-1], axis=1) if mask.shape[1] else np.ones((len(tree), 0),
                                                                                                    np.bool_)
    keep = np.flatnonzero(((lo <= hi) | some).all(axis=1))
    keep = keep[np.lexsort((leaf[keep], tree[keep]))]
    tree, leaf = tree[keep], leaf[keep]
    given = np.asarray(term.arrays["leaf"], np.float64)
    output = np.asarray(term.arrays["output"], np.int64)[tree]
    assert isinstance(term.kind, Trees)
    value = (given[leaf, 0] * w[output] if given.shape[1] == 1 else given[leaf] @ w) / term.kind.divisor
    start = np.searchsorted(tree, np.arange(len(term.arrays["root"]) + 1))
    lo, hi, mask = (np.ascontiguousarray(side[keep].T) for side in (lo, hi, mask))
    return Leaves(space, lo, hi, mask, value, start.astype(np.int64), 0.0, 0.0)


def _everything(space: Space) -> tuple[Cells, Cells, Words]:
    lo = np.zeros(len(space.axes), np.int32)
    hi = np.array([-1 if axis.codes else len(axis.cuts) for axis in space.axes], np.int32)
    return lo, hi, np.array([word for axis in space.axes for word in words(_all(axis), axis.words)], np.uint64)


def _all(axis: Axis) -> int:
    return (1 << 1 + axis.codes) - 1 if axis.codes else 3 if axis.zero else 1


def _own(space: Space, place: Ints) -> Words:
    """All ones in the words of each place, (n, words)."""
    at = np.arange(int(space.first[-1]))
    inside = (at >= space.first[place][:, None]) & (at < space.first[place + 1][:, None])
    return np.where(inside, np.uint64(2**64 - 1), np.uint64(0))


def _ways(term: Term, space: Space, narrow: bool) -> tuple[Cells, Words]:
    """Of every node, the last cell that goes left, and the bits that do: (nodes,), (nodes, words)."""
    flags = np.asarray(term.arrays["flags"]).astype(np.int64)
    feature, threshold = np.asarray(term.arrays["feature"]), np.asarray(term.arrays["threshold"], np.float64)
    cut, left = np.zeros(len(flags), np.int32), np.zeros((len(flags), int(space.first[-1])), np.uint64)
    default, kind = (flags & pure.DEFAULT_LEFT) > 0, flags >> pure.MISSING_SHIFT
    nought = threshold >= 0.0
    missing_left = np.where(kind == pure.MISSING_NONE, nought, default)
    zero_left = np.where(kind == pure.MISSING_ZERO, default, nought)
    codes = coded(term)
    for place, axis in enumerate(space.axes):
        here = np.flatnonzero((feature == place) & ~codes)
        x = last_left(threshold[here], narrow=narrow, zero=axis.zero, whole=axis.whole)
        cut[here] = np.searchsorted(axis.cuts, x, side="left")
        left[here, space.first[place]] = missing_left[here] | (zero_left[here] << 1 if axis.zero else 0)
    for node in np.flatnonzero(codes):
        place = int(feature[node])
        bits = sum(1 << 1 + code for code in listed(term, int(node)))
        left[node, space.first[place] : space.first[place + 1]] = words(bits, space.axes[place].words)
    return cut, left


def fixed(leaves: Leaves, at: Mapping[int, tuple[int, int]]) -> Leaves:
    """The leaves that hold some inputs at a (cell, bit), which then restrict these inputs no longer."""
    keep = np.ones(len(leaves.value), np.bool_)
    for place, (cell, bit) in at.items():
        keep &= holds(leaves, place, cell, bit)
    lo, hi, mask = leaves.lo[:, keep], leaves.hi[:, keep], leaves.mask[:, keep]
    low, high, every = _everything(leaves.space)
    for place in at:
        span = slice(int(leaves.space.first[place]), int(leaves.space.first[place + 1]))
        lo[place], hi[place], mask[span] = low[place], high[place], every[span][:, None]
    start = np.concatenate([[0], np.cumsum(keep)])[leaves.start]
    return Leaves(leaves.space, lo, hi, mask, leaves.value[keep], start, leaves.base, leaves.slack)


def holds(leaves: Leaves, place: int, cell: int, bit: int) -> npt.NDArray[np.bool_]:
    """(leaves,) which of them hold an input at a (cell, bit)."""
    if bit < 0:
        return np.asarray((leaves.lo[place] <= cell) & (cell <= leaves.hi[place]))
    word = leaves.mask[int(leaves.space.first[place]) + bit // 64]
    return np.asarray(word >> np.uint64(bit % 64) & np.uint64(1) > 0)
