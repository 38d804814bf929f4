"""Best-first branch and bound over boxes of a network's inputs, many boxes at a time.

Source: Land and Doig (1960) for branch and bound; Bunel et al. (2020), Branch and bound for piecewise linear neural
network verification, for cutting inputs.
"""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

import numpy as np

from shipworthy.core.table import Floats
from shipworthy.verification.formal.claims import Budget, Domain
from shipworthy.verification.formal.regions import Boxes, Flags, Split, broken, joined, lawful

BATCH = 64
RELATIVE = 1e-3


class Sought(Protocol):
    """What is bounded."""

    @property
    def guard(self) -> float:
        """How far the kernel may lie from the real network: once in the bounds, once more for who reads a proof."""

    def bounds(self, boxes: Boxes) -> tuple[Floats, Floats, Floats]:
        """(n,) above what the kernel can say in each box; rows (n, inputs) to try; (n, inputs) which to cut first."""

    def values(self, rows: Floats) -> Floats:
        """(n,) what the kernel says of rows."""


@dataclass(frozen=True)
class Hunted:
    """What a search came to; see `search.Found`. tokens: the split tree. ends: how many boxes it ends in."""

    state: Literal["below", "reached", "unknown"]
    best: float
    upper: float
    nodes: int
    row: Floats | None
    tokens: str
    ends: int
    stuck: bool


@dataclass
class Hunt:
    """One search. goal: infinite to seek the greatest value, up to a thousandth of it."""

    sought: Sought
    domain: Domain
    goal: float
    best: float = -math.inf
    ended: float = -math.inf
    nodes: int = 0
    stuck: bool = False
    row: Floats | None = None
    splits: list[tuple[Split, int, int] | None] = field(default_factory=lambda: [None])
    empties: dict[int, int] = field(default_factory=dict)
    heap: list[tuple[float, int, Boxes, list[int]]] = field(default_factory=list)

    @property
    def wanted(self) -> float:
        """The goal; while the greatest value is sought, what no longer counts as greater than the best."""
        if math.isfinite(self.goal):
            return self.goal
        return self.best + max(RELATIVE * max(1.0, abs(self.best)), 4 * self.sought.guard)

    def run(self, root: Boxes, budget: Budget) -> Hunted:
        """Search one box."""
        stop = time.monotonic() + budget.seconds
        if root.empty[0]:
            return self.found("below")
        self.enter([root], [0], math.inf)
        while self.heap and not self.reached:
            if -self.heap[0][0] + self.sought.guard < self.wanted:
                break
            if self.nodes >= budget.nodes or time.monotonic() > stop:
                return self.found("unknown")
            self.deepen()
        if self.reached:
            return self.found("reached")
        return self.found("unknown" if self.ended + self.sought.guard >= self.wanted else "below")

    @cached_property
    def tied(self) -> Flags:
        """(inputs,) which of them a rule ties to others."""
        places = {place for tie in (*self.domain.one_of, *self.domain.at_least) for place in tie}
        return np.isin(np.arange(len(self.domain.spans)), sorted(places))

    @property
    def reached(self) -> bool:
        return math.isfinite(self.goal) and self.best >= self.goal

    def deepen(self) -> None:
        """Cut the most promising boxes."""
        sides, nodes, above = list[Boxes](), list[int](), -self.heap[0][0]
        while self.heap and len(sides) < BATCH and -self.heap[0][0] + self.sought.guard >= self.wanted:
            bound, node, box, order = heapq.heappop(self.heap)
            split = next((found for place in order if (found := box.cut(0, place)) is not None), None)
            if split is None:
                self.ended, self.stuck = max(self.ended, -bound), True
                continue
            self.splits += [None, None]
            children = [len(self.splits) - 2, len(self.splits) - 1]
            self.splits[node] = split, children[0], children[1]
            sides, nodes = [*sides, *box.sides(0, split)], [*nodes, *children]
        if sides:
            self.enter(sides, nodes, above)

    def enter(self, parts: list[Boxes], nodes: list[int], above: float) -> None:
        """Bound boxes that were just made, and keep those that may reach what is wanted."""
        boxes = joined(parts)
        for at, node in enumerate(nodes):
            if (rule := broken(self.domain, boxes, at)) is not None:
                self.empties[node] = rule
        kept = [at for at, node in enumerate(nodes) if node not in self.empties]
        if not kept:
            return
        boxes, nodes = boxes.take(np.array(kept)), [nodes[at] for at in kept]
        self.nodes += len(nodes)
        upper, corners, order = self.sought.bounds(boxes)
        upper = np.minimum(upper, above)
        self.meet(np.concatenate([corners, boxes.middle()]))
        flat = (upper - self.sought.values(corners) <= 4 * self.sought.guard) & lawful(self.domain, corners)
        for at, node in enumerate(nodes):
            if upper[at] + self.sought.guard < self.wanted:
                self.ended = max(self.ended, float(upper[at]))
            elif flat[at]:  # no cut can tell more than rounding does
                self.ended, self.stuck = max(self.ended, float(upper[at])), True
            else:
                useful = (order[at] > 0) | self.tied
                first = np.flatnonzero(useful)[np.argsort(-order[at][useful], kind="stable")].tolist()
                heapq.heappush(self.heap, (-float(upper[at]), node, boxes.take(slice(at, at + 1)), first))

    def meet(self, rows: Floats) -> None:
        """Try rows, and keep the best."""
        rows = rows[lawful(self.domain, rows)]
        if not len(rows):
            return
        values = self.sought.values(rows)
        at = int(values.argmax())
        if values[at] > self.best:
            self.best, self.row = float(values[at]), rows[at].copy()

    def found(self, state: Literal["below", "reached", "unknown"]) -> Hunted:
        upper = max([self.ended, *(-entry[0] for entry in self.heap)])
        tokens, ends = self.preorder() if state == "below" else ("", 0)
        return Hunted(state, self.best, upper, self.nodes, self.row, tokens, ends, self.stuck)

    def preorder(self) -> tuple[str, int]:
        said, waiting, ends = list[str](), [0], 0
        while waiting:
            node = waiting.pop()
            split = self.splits[node]
            if split is not None:
                said.append(split[0].token)
                waiting += [split[2], split[1]]
            elif node in self.empties:
                said.append(f"empty {self.empties[node]}")
            else:
                said.append("end")
                ends += 1
        return " ".join(said), ends
