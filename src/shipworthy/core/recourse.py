"""The cheapest change of a row, among those that its person can make, that turns the decision; found exactly or not.

Every input that may change has a finite list of values: of each cell of the trees and tables the one nearest to the
row's own, a hundred steps where a line has no cells. Boxes of these lists are searched cheapest first: a box whose
bound does not reach the decision is dropped, so the first row that does is the cheapest, and an empty heap proves that
there is none.
Sources: Ustun, Spangher and Liu (2019), actionable recourse; Land and Doig (1960), branch and bound.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, product
from typing import Literal

import numpy as np

from shipworthy.core.contributions import closed
from shipworthy.core.features import Category, Number
from shipworthy.core.model import Model
from shipworthy.core.program import Lookup, Program, Term, Trees
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.errors import Misuse, one_of
from shipworthy.kernels import pure

GRID, SLACK = 100, 1e-9
NODES = 4_000
Way = Literal["up", "down", "either"]


@dataclass(frozen=True)
class Change:
    """One input that may change. values: (k,) what it may become. spread: what a change of a number is measured in."""

    place: int
    way: Way
    low: float
    high: float
    spread: float
    whole: bool
    levels: int = 0


@dataclass(frozen=True)
class Recourse:
    """What a search found: the changed row and its cost, or a proof that there is none, or neither in its time.

    cost: sum over numbers of the change in standard deviations, and 1 for every category. boxes: how many were seen.
    """

    verdict: Literal["found", "none", "unknown"]
    row: Floats
    cost: float
    boxes: int


def changes(model: Model, table: Table, ways: Mapping[str, Way]) -> tuple[Change, ...]:
    """What may change, by the columns of a project and the range of learning rows; columns not read change nothing.

    Raises Misuse for a column that the table lacks, or that is no number or category.
    """
    found, inputs = [], model.inputs(table)
    for name, way in ways.items():
        if name not in table.schema:
            raise Misuse(f'there is no column "{name}"', where="[recourse.change]",
                         hint=one_of(name, table.schema.names))
        for place, encoder in enumerate(model.features.encoders):
            if encoder.column != name:
                continue
            if isinstance(encoder, Category):
                found.append(Change(place, way, 0, 0, 1.0, True, len(encoder.levels)))
                continue
            if not isinstance(encoder, Number):
                raise Misuse(f'"{name}" is a time, which nobody can change', where="[recourse.change]",
                             hint="take it out of [recourse.change]")
            known = inputs[np.isfinite(inputs[:, place]), place]
            if len(known):
                found.append(Change(place, way, float(known.min()), float(known.max()), float(known.std()) or 1.0,
                                    bool(np.all(known % 1 == 0))))
    return tuple(found)


def price(row: Floats, other: Floats, allowed: Sequence[Change]) -> float:
    """What it costs to turn a row into another; infinite where that is not allowed. Both (inputs,)."""
    moved = ~((row == other) | (np.isnan(row) & np.isnan(other)))
    total, able = 0.0, {change.place: change for change in allowed}
    for place in np.flatnonzero(moved).tolist():
        change, step = able.get(place), float(other[place] - row[place])
        wrong = change is None or (not change.levels and (
            step != step or (change.way == "up" and step < 0) or (change.way == "down" and step > 0)
            or not change.low <= other[place] <= change.high))
        if change is None or wrong:
            return float("inf")
        total += 1.0 if change.levels else abs(step) / change.spread
    return total


def recourse(
    model: Model, row: Floats, allowed: Sequence[Change], *, wish: int = 1, boxes: int = NODES
) -> Recourse:
    """The cheapest allowed change of a row (inputs,) after which the model decides for the class wished for.

    Raises Misuse for a model of several classes, a regression, or a network, whose leaves cannot be listed.
    """
    if model.task != "binary" or not closed(model.program):
        raise Misuse("recourse is searched in lines, tables and trees of two classes only", where="recourse",
                     hint="release such a model")
    sign = 1.0 if wish else -1.0
    lists = [(change, *_values(model.program, change, float(row[change.place]))) for change in allowed]
    lists = [one for one in lists if len(one[1]) > 1]
    places = [change.place for change, _, _ in lists]
    values, costs = [one for _, one, _ in lists], [one for _, _, one in lists]
    leaves = _Leaves(model.program, row, places, values, sign)
    return _search(model, row, (places, values, costs), leaves, wish=wish, most=boxes)


def _search(
    model: Model, row: Floats, lists: tuple[list[int], list[Floats], list[Floats]], leaves: _Leaves, *,
    wish: int, most: int
) -> Recourse:
    places, values, costs = lists
    goal = _goal(model, wish)
    root = tuple((0, len(one)) for one in values)
    order, seen = count(), 1
    heap = [(0.0, next(order), root, False)] if leaves.most(root) + SLACK >= goal else []
    while heap:
        cost, _, box, tried = heapq.heappop(heap)
        if not tried and leaves.at(box) + SLACK >= goal:
            other = row.copy()
            other[places] = [value[low] for value, (low, _) in zip(values, box, strict=True)]
            if int(model.decide(model.program.score(other[None]))[0]) == wish:
                return Recourse("found", other, cost, seen)
        wide = [costs[at][high - 1] - costs[at][low] if high - low > 1 else -1.0 for at, (low, high) in enumerate(box)]
        at = int(np.argmax(wide)) if wide else 0
        if not wide or wide[at] < 0:
            continue
        if seen >= most:
            return Recourse("unknown", row, float("nan"), seen)
        low, high = box[at]
        middle = (low + high) // 2
        for ends, same in (((low, middle), True), ((middle, high), False)):
            child = (*box[:at], ends, *box[at + 1 :])
            seen += 1
            if leaves.most(child) + SLACK >= goal:
                total = float(sum(cost[first] for cost, (first, _) in zip(costs, child, strict=True)))
                heapq.heappush(heap, (total, next(order), child, same))
    return Recourse("none", row, float("inf"), seen)


class _Leaves:
    """What the terms can add, as leaves: a value, and by which values of every changing input each is reached.

    Of every group of leaves exactly one is reached. Values are added up with the sign of the class wished for.
    """

    def __init__(self, program: Program, row: Floats, places: list[int], values: list[Floats], sign: float) -> None:
        self._places, self._values, self._row = places, values, row
        self._worth: list[Floats] = []
        self._open: list[list[Mask]] = []
        for term in program.terms:
            if isinstance(term.kind, Trees):
                self._trees(term)
            else:
                self._table(term)
        own = float(program.margin(row[None])[0, 0])
        first = [0] * len(places)
        groups = range(len(self._worth))
        here = sum(float(self._worth[g][self._at(g, first)][0]) for g in groups)
        self.base = sign * (own - here)
        self._starts = np.cumsum([0, *(len(one) for one in self._worth)])[:-1]
        self.worth = sign * np.concatenate([*self._worth, np.zeros(0)])
        self.open = [np.concatenate([self._open[g][at] for g in groups], axis=1) if self._worth
                     else np.zeros((len(values[at]), 0), np.bool_) for at in range(len(places))]
        self.sums = [np.concatenate([np.zeros((1, one.shape[1]), np.int32), np.cumsum(one, axis=0, dtype=np.int32)])
                     for one in self.open]

    def _at(self, group: int, corner: Sequence[int]) -> Mask:
        found = np.ones(len(self._worth[group]), np.bool_)
        for masks, place in zip(self._open[group], corner, strict=True):
            found &= masks[place]
        return found

    def at(self, box: Sequence[tuple[int, int]]) -> float:
        """The margin of the cheapest corner of a box."""
        reached = np.ones(len(self.worth), np.bool_)
        for masks, (low, _) in zip(self.open, box, strict=True):
            reached &= masks[low]
        return self.base + float(self.worth[reached].sum())

    def most(self, box: Sequence[tuple[int, int]]) -> float:
        """A bound of the margin in a box: of every group the best leaf that any of its values reaches."""
        if not len(self.worth):
            return self.base
        able = np.ones(len(self.worth), np.bool_)
        for sums, (low, high) in zip(self.sums, box, strict=True):
            able &= sums[high] > sums[low]
        return self.base + float(np.maximum.reduceat(np.where(able, self.worth, -np.inf), self._starts).sum())

    def _trees(self, term: Term) -> None:
        kind = term.kind
        assert isinstance(kind, Trees)
        leaf = np.asarray(term.arrays["leaf"], np.float64)[:, 0] / kind.divisor
        tidy = pure.tidy(self._row[None], narrow=kind.narrow)[0]
        for box in term.boxes:
            alive, masks = np.ones(len(box.tree.leaves), np.bool_), dict[int, Mask]()
            for axis, mask in zip(box.axes, box.open, strict=True):
                if axis.place in self._places:
                    given = self._values[self._places.index(axis.place)]
                    column = np.tile(self._row, (len(given), 1))
                    column[:, axis.place] = given
                    masks[axis.place] = mask[axis.find(pure.tidy(column, narrow=kind.narrow)[:, axis.place])]
                else:
                    alive &= mask[axis.find(tidy[[axis.place]])][0]
            if masks:
                self._add(leaf[box.tree.leaves[alive]], {place: mask[:, alive] for place, mask in masks.items()})

    def _table(self, term: Term) -> None:
        """A line is a table of each of its inputs, for it adds them up."""
        read = [place for place in term.places if place in self._places]
        for together in [read] if isinstance(term.kind, Lookup) else [[place] for place in read]:
            if not together:
                continue
            given = [self._values[self._places.index(place)] for place in together]
            cells = list(product(*(range(len(one)) for one in given)))
            rows = np.tile(self._row, (len(cells), 1))
            for at, place in enumerate(together):
                rows[:, place] = given[at][[cell[at] for cell in cells]]
            masks = {place: np.arange(len(given[at]))[:, None] == np.array([cell[at] for cell in cells])[None]
                     for at, place in enumerate(together)}
            self._add(np.asarray(term.margin(rows)[:, 0], np.float64), masks)

    def _add(self, worth: Floats, masks: Mapping[int, Mask]) -> None:
        self._worth.append(worth)
        self._open.append([masks.get(place, np.ones((len(given), len(worth)), np.bool_))
                           for place, given in zip(self._places, self._values, strict=True)])


def _values(program: Program, change: Change, own: float) -> tuple[Floats, Floats]:
    """What an input may become, its own value first, and what each costs: cheapest first."""
    if change.levels:
        others = np.array([level for level in range(change.levels) if level != own], np.float64)
        return np.append(own, others), np.append(0.0, np.ones(len(others)))
    if not np.isfinite(own):
        return np.array([own]), np.zeros(1)
    cuts = [term.thresholds[change.place] for term in program.terms if change.place in term.thresholds]
    smooth = any(change.place in term.places and change.place not in term.thresholds for term in program.terms)
    edges = np.unique(np.concatenate([*cuts, np.zeros(0)]))
    if change.whole:
        near = [np.floor(edges), np.floor(edges) + 1, np.ceil(edges) - 1]
        near += [np.unique(np.round(np.linspace(change.low, change.high, GRID + 1)))] if smooth else []
    else:
        near = [edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)]
        near += [np.linspace(change.low, change.high, GRID + 1)] if smooth else []
    found = np.unique(np.concatenate(near))
    found = found[(found >= change.low) & (found <= change.high) & (found != own)]
    found = found[found > own] if change.way == "up" else found[found < own] if change.way == "down" else found
    cost = np.abs(found - own) / change.spread
    order: Ints = np.argsort(cost, kind="stable")
    return np.append(own, found[order]), np.append(0.0, cost[order])


def _goal(model: Model, wish: int) -> float:
    """The margin from which on the class wished for is decided, times its sign: by halving, for scores never fall."""
    sign = 1.0 if wish else -1.0

    def decided(margin: float) -> bool:
        return int(model.decide(model.program.finish(np.array([[sign * margin]])))[0]) == wish

    low, high = -1.0, 1.0
    while not decided(high) and high < 1e9:
        high *= 2
    while decided(low) and low > -1e9:
        low *= 2
    while high - low > 1e-12 * max(1.0, abs(high)):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high
