"""The cheapest change of a row that brings a margin to a goal, or the proof that no allowed change does.

Boxes are opened in the order of what the nearest row of each costs, so that the first one whose row reaches the goal is
the cheapest of all. Sources: Hart, Nilsson and Raphael (1968) for the search; Cui et al. (2015) for the problem, on
additive tree models.
"""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass, field, replace

import numpy as np

from shipworthy.core.table import Floats, Ints
from shipworthy.verification.formal.cells import Box, joined
from shipworthy.verification.formal.claims import Budget, Domain, Recourse, Verdict
from shipworthy.verification.formal.contrast import At
from shipworthy.verification.formal.ensemble import Ensemble, only, weighted
from shipworthy.verification.formal.search import Search, Task, divided
from shipworthy.verification.formal.ties import Rules

NOWHERE: tuple[float, At, float] = (math.inf, (-1, -1), math.nan)


def cheapest(ensemble: Ensemble, claim: Recourse, budget: Budget) -> Verdict:
    """What comes of a claim of recourse; see `claims.Recourse`."""
    walk = _Walk(ensemble, claim, allowed(ensemble, claim))
    return walk.run(budget)


def allowed(ensemble: Ensemble, claim: Recourse) -> Domain:
    """The domain with what cannot be changed held at the row, and what can only rise not below it."""
    spans = []
    for place, (span, value) in enumerate(zip(ensemble.ground.spans, np.asarray(claim.row).tolist(), strict=True)):
        if math.isinf(claim.cost[place]):
            spans.append(only(span, value, coded=ensemble.space.axes[place].codes > 0))
        elif place in claim.only_up and not math.isnan(value):
            spans.append(replace(span, low=max(span.low, value), missing=False))
        else:
            spans.append(span)
    return replace(ensemble.ground, spans=tuple(spans))


@dataclass
class _Walk:
    ensemble: Ensemble
    claim: Recourse
    domain: Domain
    heap: list[tuple[float, int, Box, Ints]] = field(default_factory=list)
    pushed: int = 0
    row: Floats | None = None
    price: float = math.inf
    doubt: float = math.inf  # the price of the cheapest box that the rules may leave empty, or not

    def run(self, budget: Budget) -> Verdict:
        space, stop = self.ensemble.space, time.monotonic() + budget.seconds
        box = space.query(self.domain.spans)
        self.goal, leaves = self.claim.goal, self.ensemble.leaves(self.claim.weights)
        self.start = np.asarray(self.claim.row, np.float64)
        tied = self.domain.one_of or self.domain.at_least
        self.rules = Rules(space, self.domain, self.start) if tied else None
        cells, bits = space.find(self.start[None])
        self.at = cells[0], bits[0]
        self.by = [int(np.searchsorted(axis.cuts, value)) for axis, value in zip(space.axes, self.start, strict=True)]
        self.search = Search(Task(leaves, box, self.at), budget, self.rules)
        self.search.tree = leaves.tree
        ids = np.arange(len(leaves.value))
        for place in range(len(space.axes)):
            ids = ids[self.search.meets(box, ids, place)]
        self.enter(box, ids)
        nodes = 0
        while self.heap:
            price, _, box, ids = self.heap[0]
            if price >= self.price:
                return self.told(nodes)
            if nodes >= budget.nodes or (nodes % 16 == 15 and time.monotonic() > stop):
                return Verdict("unknown", price, self.price, self.row, nodes=nodes,
                               why="the budget ended before the cheapest row was known")
            heapq.heappop(self.heap)
            nodes += 1
            self.open(price, box, ids)
        return self.told(nodes)

    def told(self, nodes: int) -> Verdict:
        if self.doubt < self.price:
            return Verdict("unknown", self.doubt, self.price, self.row, nodes=nodes,
                           why="no row was found in a box that the rules may leave empty")
        if self.row is None:
            return Verdict("refuted", math.inf, math.inf, nodes=nodes)
        return Verdict("proved", self.price, self.price, self.row, nodes=nodes)

    def open(self, paid: float, box: Box, ids: Ints) -> None:
        """Try the nearest row of a box, then divide it."""
        price, row = self.nearest(box)
        if row is not None and price < self.price and (
                weighted(self.ensemble.program, row, self.claim.weights) >= self.goal):
            self.row, self.price = row, price
        cut = self.search.pick(box, ids)
        if cut is None and row is None and self.rules is not None:
            cut = self.rules.split(box)
        if cut is None:
            if row is None:
                self.doubt = min(self.doubt, paid)
            return
        for side in divided(self.ensemble.space, box, cut):
            self.enter(side, ids[self.search.meets(side, ids, cut[1])])

    def enter(self, box: Box, ids: Ints) -> None:
        while self.rules is not None and (forced := self.rules.forced(box)) is not None:
            _, cut, first = forced
            if cut is None:
                return
            box = divided(self.ensemble.space, box, cut)[not first]
            ids = ids[self.search.meets(box, ids, cut[1])]
        if self.search.sum(self.search.extremes(ids, np.maximum)[0]) + self.search.task.leaves.slack < self.goal:
            return
        price = sum(self.option(box, place)[0] for place in range(len(self.ensemble.space.axes)))
        if price < self.price:
            heapq.heappush(self.heap, (price, self.pushed, box, ids))
            self.pushed += 1

    def nearest(self, box: Box) -> tuple[float, Floats | None]:
        """The cheapest row of a box and what it costs; with rules, one that keeps them, or None."""
        options = [self.option(box, place) for place in range(len(self.ensemble.space.axes))]
        row = np.array([value for _, _, value in options])
        if self.rules is None or self.rules.keeps(row):
            price = sum(price for price, _, _ in options)
            return price, row if price < math.inf else None
        cells, bits = (np.array([at[side] for _, at, _ in options]) for side in (0, 1))
        kept = self.rules.row(cells, bits)
        return (math.inf, None) if kept is None else (self.cost(kept), kept)

    def option(self, box: Box, place: int) -> tuple[float, At, float]:
        """The cheapest legal value of an input inside a box: its price, where it lies, and itself."""
        space, span = self.ensemble.space, self.domain.spans[place]
        bits = joined(box.mask[space.first[place] : space.first[place + 1]])
        places: list[At] = [(-1, bit) for bit in range(bits.bit_length()) if bits >> bit & 1]
        if box.lo[place] <= box.hi[place]:
            places.append((int(np.clip(self.by[place], box.lo[place], box.hi[place])), -1))
        if (int(self.at[0][place]), int(self.at[1][place])) in places:
            return 0.0, (int(self.at[0][place]), int(self.at[1][place])), float(self.start[place])
        found = NOWHERE
        for at in places:
            value = space.value(place, at, span, float(self.start[place]))
            if value is not None and (price := self.priced(place, value)) < found[0]:
                found = price, at, value
        return found

    def priced(self, place: int, value: float) -> float:
        was, cost = float(self.start[place]), float(self.claim.cost[place])
        if value == was or (math.isnan(value) and math.isnan(was)):
            return 0.0
        coded = self.ensemble.space.axes[place].codes > 0 or self.domain.spans[place].codes is not None
        return cost if coded or math.isnan(value) or math.isnan(was) else cost * abs(value - was)

    def cost(self, row: Floats) -> float:
        return sum(self.priced(place, float(value)) for place, value in enumerate(row))
