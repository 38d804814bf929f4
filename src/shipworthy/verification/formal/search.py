"""Best-first branch and bound over boxes: whether a sum of trees reaches a goal inside a box, or how high it goes.

The compiled kernel runs the same search, box for box, where it is there and no rule ties inputs together.
Source: Land and Doig (1960) for branch and bound; Chen et al. (2019), "Robustness verification of tree-based models",
for bounding an ensemble by the leaves that a box meets.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, cast

import numpy as np

from shipworthy.core.table import Floats, Ints
from shipworthy.kernels import native
from shipworthy.verification.formal.boxes import Leaves
from shipworthy.verification.formal.cells import Box, Space, Words, joined, words
from shipworthy.verification.formal.claims import Budget

END, NUMBER, MASK, EMPTY = range(4)
Cut = tuple[int, ...]  # NUMBER, place, cell; or MASK, place, words of the first child
STATES: tuple[Literal["below", "reached", "unknown"], ...] = ("below", "reached", "unknown")


class Ties(Protocol):
    """Rules that tie inputs together, as a search asks for them."""

    def forced(self, box: Box) -> tuple[int, Cut | None, bool] | None:
        """The rule that cuts a box, the cut, and whether the first side stays; no cut: the box is empty; None: none."""

    def row(self, cells: Ints, bits: Ints) -> Floats | None:
        """A row at these cells and bits that keeps the rules."""

    def split(self, box: Box) -> Cut | None:
        """A cut among the tied inputs, where no leaf asks for one."""


@dataclass(frozen=True)
class Found:
    """What a search came to.

    state: below (the sum stays below the goal, or below `upper` when maximised), reached, or unknown. best: the
    greatest value met; upper: every row of the box lies below it. cells, bits: (inputs,) where best was met. tree: the
    split tree in preorder, in whole numbers; empty where inputs were maximised away instead, in an order.
    """

    state: Literal["below", "reached", "unknown"]
    best: float
    upper: float
    nodes: int
    cells: Ints
    bits: Ints
    tree: Ints
    order: tuple[int, ...] = ()

    def tokens(self, space: Space) -> str:
        """The split tree as a certificate has it."""
        if not len(self.tree):
            return " ".join(map(str, ("order", len(self.order), *self.order)))
        said, at, tree = [], 0, self.tree.tolist()
        while at < len(tree):
            kind = tree[at]
            if kind == END:
                said.append("end")
                at += 1
            elif kind == EMPTY:
                said.append(f"empty {tree[at + 1]}")
                at += 2
            elif kind == NUMBER:
                said.append(f"n {tree[at + 1]} {tree[at + 2]}")
                at += 3
            else:
                count = space.axes[tree[at + 1]].words
                mask = joined(np.array(tree[at + 2 : at + 2 + count], np.int64).view(np.uint64))
                said.append(f"m {tree[at + 1]} {mask:x}")
                at += 2 + count
        return " ".join(said)


@dataclass(frozen=True)
class Task:
    """What is searched: the sum, the box, the point that is tried first in every box, and the goal.

    near: cell and bit of every input, −1 for the one that it has not. tolerance: None to decide whether the goal is
    reached; else the greatest value is sought, up to it.
    """

    leaves: Leaves
    box: Box
    near: tuple[Ints, Ints]
    goal: float = -math.inf
    tolerance: float | None = None


def search(task: Task, budget: Budget, ties: Ties | None = None) -> Found:
    """The outcome, by the compiled kernel where it can."""
    if np.any((task.box.lo > task.box.hi) & ~_some(task)):
        return Found("below", -math.inf, -math.inf, 0, task.near[0], task.near[1], np.array([END]))
    branch = native.branch()
    if branch is None or ties is not None:
        return Search(task, budget, ties).run()
    x, box, count = task.leaves, task.box, len(task.leaves.space.axes)
    cells, bits = (np.ascontiguousarray(side, np.int64) for side in task.near)
    lo, hi, mask, value = (np.ascontiguousarray(side) for side in (x.lo, x.hi, x.mask, x.value))
    at = np.empty((2, count), np.int64)
    state, best, upper, nodes, tree = branch(
        (lo, hi, mask, value, x.start, x.space.first), (box.lo, box.hi, box.mask, cells, bits), at,
        (x.base, x.slack, task.goal, task.tolerance if task.tolerance is not None else -1.0, budget.seconds),
        budget.nodes)
    return Found(STATES[state], best, upper, nodes, at[0], at[1], np.frombuffer(tree, np.int64))


def _some(task: Task) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array([task.box.mask[a:b].any() for a, b in zip(task.leaves.space.first, task.leaves.space.first[1:],
                                                              strict=False)], np.bool_)


@dataclass
class Search:
    """The search in NumPy, which defines it."""

    task: Task
    budget: Budget
    ties: Ties | None
    splits: list[tuple[Cut, int, int] | None] = field(default_factory=lambda: [None])
    empties: dict[int, int] = field(default_factory=dict)
    heap: list[tuple[float, int, Box, Ints, int]] = field(default_factory=list)
    best: float = -math.inf
    ended: float = -math.inf
    pushed: int = 0
    nodes: int = 0

    def run(self) -> Found:
        task, stop = self.task, time.monotonic() + self.budget.seconds
        self.goal, self.tree = task.goal, task.leaves.tree
        self.at = task.near
        every = np.arange(len(self.tree))
        for place in range(len(task.leaves.space.axes)):
            every = every[self.meets(task.box, every, place)]
        self.enter(task.box, every, 0)
        while self.heap:
            if -self.heap[0][0] + task.leaves.slack < self.goal:
                break
            if self.nodes >= self.budget.nodes or (self.nodes % 16 == 15 and time.monotonic() > stop):
                return self.found("unknown")
            bound, _, box, ids, node = heapq.heappop(self.heap)
            self.nodes += 1
            legal = self.meet(box, ids)
            if task.tolerance is None and self.best >= self.goal + task.leaves.slack:
                self.ended = max(self.ended, -bound)
                return self.found("reached")
            cut = self.pick(box, ids)
            if cut is None and not legal and self.ties is not None:
                cut = self.ties.split(box)
            if cut is None:
                self.ended = max(self.ended, -bound)
                if -bound + task.leaves.slack >= self.goal:
                    return self.found("unknown")
                continue
            sides = divided(task.leaves.space, box, cut)
            self.splits += [None, None]
            self.splits[node] = (cut, len(self.splits) - 2, len(self.splits) - 1)
            for side, child in zip(sides, (len(self.splits) - 2, len(self.splits) - 1), strict=True):
                self.enter(side, ids[self.meets(side, ids, cut[1])], child)
        return self.found("below")

    def enter(self, box: Box, ids: Ints, node: int) -> None:
        """Bound a box that was just made, and keep it if it may reach the goal."""
        while self.ties is not None and (forced := self.ties.forced(box)) is not None:
            rule, cut, first = forced
            if cut is None:
                self.empties[node] = rule
                return
            self.splits += [None, None]
            kept, lost = len(self.splits) - 2 + (not first), len(self.splits) - 2 + first
            self.splits[node] = (cut, len(self.splits) - 2, len(self.splits) - 1)
            self.empties[lost], node = rule, kept
            box = divided(self.task.leaves.space, box, cut)[not first]
            ids = ids[self.meets(box, ids, cut[1])]
        bound = self.sum(self.extremes(ids, np.maximum)[0])
        if bound + self.task.leaves.slack < self.goal:
            self.ended = max(self.ended, bound)
            return
        heapq.heappush(self.heap, (-bound, self.pushed, box, ids, node))
        self.pushed += 1

    def meets(self, box: Box, ids: Ints, place: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which leaves meet a box in one input."""
        x = self.task.leaves
        low, high = np.maximum(x.lo[place][ids], box.lo[place]), np.minimum(x.hi[place][ids], box.hi[place])
        found = low <= high
        for word in range(int(x.space.first[place]), int(x.space.first[place + 1])):
            found |= (x.mask[word][ids] & box.mask[word]) != 0
        return np.asarray(found)

    def extremes(self, ids: Ints, extreme: np.ufunc) -> tuple[Floats, Ints]:
        """The extreme value of every tree among these leaves, and the place among trees of every leaf."""
        tree = self.tree[ids]
        begins = np.flatnonzero(np.concatenate([[True], tree[1:] != tree[:-1]])) if len(ids) else np.empty(0, np.int64)
        found = extreme.reduceat(self.task.leaves.value[ids], begins) if len(ids) else np.empty(0)
        return found, np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(ids))))

    def sum(self, values: Floats) -> float:
        """Base plus values, added in order."""
        return float(np.cumsum(np.concatenate([[self.task.leaves.base], values]))[-1])

    def meet(self, box: Box, ids: Ints) -> bool:
        """Try the point of a box that is nearest to the wanted one; False if the rules allow no row there."""
        cells, bits = point(self.task.leaves.space, box, self.task.near)
        if self.ties is not None and self.ties.row(cells, bits) is None:
            return False
        x = self.task.leaves
        for place in range(len(cells)):
            if bits[place] < 0:
                ids = ids[(x.lo[place][ids] <= cells[place]) & (cells[place] <= x.hi[place][ids])]
            else:
                word = int(x.space.first[place]) + int(bits[place]) // 64
                ids = ids[x.mask[word][ids] >> np.uint64(bits[place] % 64) & np.uint64(1) > 0]
        value = self.sum(x.value[ids])
        if value > self.best:
            self.best, self.at = value, (cells, bits)
            if self.task.tolerance is not None:
                self.goal = max(self.goal, value + self.task.tolerance)
        return True

    def pick(self, box: Box, ids: Ints) -> Cut | None:
        """The cut at which the trees that it concerns differ most in all; None if no tree differs inside the box."""
        high, tree = self.extremes(ids, np.maximum)
        spread = (high - self.extremes(ids, np.minimum)[0])[tree]
        most, chosen = 0.0, cast(Cut | None, None)
        x = self.task.leaves
        for place in range(len(x.space.axes)):
            lo, hi = int(box.lo[place]), int(box.hi[place])
            if lo < hi:
                below, above = x.lo[place][ids], x.hi[place][ids]
                starts, stops = (below > lo) & (below <= hi), (above < hi) & (above >= lo)
                cuts = np.concatenate([below[starts] - 1, above[stops]])
                if len(cuts):
                    scores = np.bincount(cuts - lo, np.concatenate([spread[starts], spread[stops]]))
                    if scores.max() > most:
                        most, chosen = float(scores.max()), (NUMBER, place, lo + int(scores.argmax()))
            score, mask = self.partial(box, ids, place, spread)
            if score > most:
                most, chosen = score, (MASK, place, *mask)
        return chosen

    def partial(self, box: Box, ids: Ints, place: int, spread: Floats) -> tuple[float, list[int]]:
        """How much trees differ over leaves that hold a part of a box's bits, and the part of the widest of them."""
        x = self.task.leaves
        own = slice(int(x.space.first[place]), int(x.space.first[place + 1]))
        bits = box.mask[own]
        lo, hi = int(box.lo[place]), int(box.hi[place])
        if not bits.any():
            return 0.0, []
        shared = x.mask[own][:, ids] & bits[:, None]
        part = (shared != bits[:, None]).any(axis=0)
        if lo <= hi:
            part |= np.maximum(x.lo[place][ids], lo) > np.minimum(x.hi[place][ids], hi)
        if not part.any():
            return 0.0, []
        wide = np.flatnonzero(part)
        widest = shared[:, wide[int(spread[wide].argmax())]]
        return float(np.cumsum(spread[wide])[-1]), _signed(widest if widest.any() else bits)

    def found(self, state: Literal["below", "reached", "unknown"]) -> Found:
        ended = max([self.ended, *(-entry[0] for entry in self.heap)])
        upper = math.nextafter(ended + 2 * self.task.leaves.slack, math.inf)  # once for the kernel, once for a checker
        cells, bits = (np.asarray(side, np.int64) for side in self.at)
        return Found(state, self.best, upper, self.nodes, cells, bits, np.array(self.preorder(), np.int64))

    def preorder(self) -> list[int]:
        said: list[int] = []
        waiting = [0]
        while waiting:
            node = waiting.pop()
            split = self.splits[node]
            if split is not None:
                said += split[0]
                waiting += [split[2], split[1]]
            else:
                said += [EMPTY, self.empties[node]] if node in self.empties else [END]
        return said


def _signed(mask: Words) -> list[int]:
    """Words as whole numbers of 64 bits with a sign, as the split tree keeps them."""
    return [int(word) for word in np.asarray(mask, np.uint64).view(np.int64)]


def number_cut(place: int, cell: int) -> Cut:
    """The cut of cells up to one from those above it."""
    return NUMBER, place, cell


def mask_cut(space: Space, place: int, bits: int) -> Cut:
    """The cut of some bits of an input from all else."""
    return MASK, place, *_signed(np.array(words(bits, space.axes[place].words), np.uint64))


def divided(space: Space, box: Box, cut: Cut) -> tuple[Box, Box]:
    """The two sides of a cut."""
    kind, place = cut[0], cut[1]
    lo, hi, mask, other = box.lo.copy(), box.hi.copy(), box.mask.copy(), box.mask.copy()
    own = slice(int(space.first[place]), int(space.first[place + 1]))
    if kind == NUMBER:
        hi[place], lo[place], other[own] = cut[2], cut[2] + 1, 0
        return Box(box.lo, hi, mask), Box(lo, box.hi, other)
    part = np.array(cut[2:], np.int64).view(np.uint64)
    mask[own], other[own] = mask[own] & part, mask[own] & ~part
    lo[place], hi[place] = 0, -1
    return Box(lo, hi, mask), Box(box.lo, box.hi, other)


def point(space: Space, box: Box, near: tuple[Sequence[int] | Ints, Sequence[int] | Ints]) -> tuple[Ints, Ints]:
    """Cell and bit of every input inside a box, nearest to wanted ones."""
    cells, bits = np.full(len(space.axes), -1), np.full(len(space.axes), -1)
    for place in range(len(space.axes)):
        held = joined(box.mask[space.first[place] : space.first[place + 1]])
        bit = int(near[1][place])
        if bit >= 0 and held >> bit & 1:
            bits[place] = bit
        elif box.lo[place] <= box.hi[place]:
            cells[place] = min(max(int(near[0][place]), int(box.lo[place])), int(box.hi[place]))
        else:
            bits[place] = (held & -held).bit_length() - 1
    return cells, bits
