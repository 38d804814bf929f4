"""Claims about a program that is one small network, decided by bounds over boxes of its inputs.

A move of one input is a sum of two networks over one input more: the input before, and after. An order is a slope that
keeps its sign. Every counterexample is what the kernel says of a row.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from shipworthy.core.program import Dense, Program
from shipworthy.core.table import Floats
from shipworthy.verification.formal.certificate import Certificate, Part
from shipworthy.verification.formal.changes import Move, between, slope
from shipworthy.verification.formal.claims import (
    Below,
    Budget,
    Claim,
    Domain,
    Monotone,
    Near,
    Robust,
    Span,
    Steady,
    Verdict,
    Within,
    rivals,
)
from shipworthy.verification.formal.ensemble import without
from shipworthy.verification.formal.hunting import Hunt, Hunted, Sought
from shipworthy.verification.formal.layers import Above, Net, extremes, highest, network, steepness
from shipworthy.verification.formal.linear import near_span
from shipworthy.verification.formal.regions import Boxes, joined, region

MOST_ENDS = 20_000  # a certificate of more would take its reader minutes
GRID = 17
BUDGET_ENDED, WITHIN_ROUNDING = "the budget ended before the bounds met", "a row comes within rounding of the limit"
GONE = Span(1.0, 0.0, True)


@dataclass(frozen=True)
class Side:
    """A network and its share of what is bounded. moved: (place, other): it reads another input in place of one."""

    net: Net
    program: Program
    weights: tuple[float, ...]
    number: int = 0
    moved: tuple[int, int] | None = None

    def rows(self, rows: Floats) -> Floats:
        """The rows as this program reads them."""
        own = rows[:, : len(self.program.inputs)].copy()
        if self.moved is not None:
            own[:, self.moved[0]] = rows[:, self.moved[1]]
        return own

    @property
    def reading(self) -> Net:
        """The network over the inputs of the boxes."""
        return self.net if self.moved is None else self.net.at(*self.moved)

    @property
    def view(self) -> dict[str, object]:
        """As a certificate has it."""
        more = {} if self.moved is None else {"moved": {str(self.moved[0]): self.moved[1]}}
        return {"program": self.number, "weights": list(self.weights), "set": {}, **more}


@dataclass(frozen=True)
class Total:
    """Sides added up over one box of inputs."""

    sides: tuple[Side, ...]
    root: Boxes

    @cached_property
    def guard(self) -> float:
        return sum(side.reading.drift(self.root, side.weights) for side in self.sides)

    def bounds(self, boxes: Boxes) -> tuple[Floats, Floats, Floats]:
        parts, known = [], []
        for side in self.sides:
            net, w = side.reading, np.asarray(side.weights, np.float64)
            sums = net.sums(boxes)
            known.append(sums)
            parts.append((net, net.back(sums, net.hidden, np.broadcast_to(w, (len(boxes), 1, len(w))))))
        top = highest(parts, boxes)[:, 0]
        if len(self.sides) == 2 and self.sides[1].moved is not None:
            before, after = (side.reading for side in self.sides)
            ends = [net.added(next(one for one in net.reads if one.place == place), boxes)
                    for net, place in zip((before, after), self.sides[1].moved, strict=True)]
            move = Move(before, ends[0], ends[1], *between(known[0], known[1]))
            top = np.minimum(top, move.most(self.sides[1].weights))
        order = sum((_order(side, sums.low, sums.high, boxes)
                     for side, sums in zip(self.sides, known, strict=True)), np.zeros((len(boxes), boxes.width)))
        return top + self.guard, _corners(parts, boxes), order

    def values(self, rows: Floats) -> Floats:
        return np.asarray(sum((side.program.margin(side.rows(rows)) @ np.asarray(side.weights)
                               for side in self.sides), np.zeros(len(rows))))


def _corners(parts: Sequence[tuple[Net, Above]], boxes: Boxes) -> Floats:
    """(n, inputs) where the sum of lines is greatest."""
    rows = boxes.middle()
    places = sorted({one.place for net, _ in parts for one in net.reads})
    for place, (shares, values, has) in zip(places, extremes(parts, boxes), strict=True):
        at = np.where(has, shares[..., 0], -np.inf).argmax(axis=0)
        rows[:, place] = values[at, np.arange(len(boxes))]
    return rows


def _order(side: Side, low: Sequence[Floats], high: Sequence[Floats], boxes: Boxes) -> Floats:
    """(n, inputs) how much doubt each input leaves: what it moves units by that may bend, times what these reach."""
    net = side.reading
    reach = np.abs(np.asarray(side.weights, np.float64))
    for weight, _ in net.layers[:0:-1]:
        reach = np.abs(weight) @ reach
    spread = net.spread(boxes)
    if not net.hidden:
        return np.asarray((spread @ reach).T)
    least, most = steepness(net.activation, low[0], high[0])
    return np.asarray(np.einsum("inu,nu->ni", spread, (most - least + 0.05) * reach))


@dataclass(frozen=True)
class Slope:
    """The most that weights · margin gains over the whole range of a number, at the steepest slope there is."""

    side: Side
    root: Boxes
    place: int
    grid: Floats

    @cached_property
    def width(self) -> float:
        """The range, as the network reads it, rounded up."""
        read = next(one for one in self.side.net.reads if one.place == self.place)
        low, high = (float(read.scaled(end[0, self.place])) for end in (self.root.low, self.root.high))
        return math.nextafter(high - low, math.inf)

    @cached_property
    def guard(self) -> float:
        return 2 * self.side.net.drift(self.root, self.side.weights)

    def bounds(self, boxes: Boxes) -> tuple[Floats, Floats, Floats]:
        sums = self.side.net.sums(boxes)
        steep = slope(self.side.net, self.place, sums, self.side.weights)
        top = np.nextafter(np.maximum(steep, 0.0) * self.width, np.inf) + self.guard
        return top, boxes.middle(), _order(self.side, sums.low, sums.high, boxes)

    def gains(self, rows: Floats) -> tuple[Floats, Floats, Floats]:
        """Of each row the largest gain along the grid, and from and to which value."""
        count = len(self.grid)
        every = np.repeat(rows, count, axis=0)
        every[:, self.place] = np.tile(self.grid, len(rows))
        found = (self.side.program.margin(every) @ np.asarray(self.side.weights)).reshape(-1, count)
        lowest = np.minimum.accumulate(found, axis=1)
        end = (found - lowest).argmax(axis=1)
        at = np.arange(len(rows))
        start = np.array([found[n, : end[n] + 1].argmin() for n in at], np.int64)
        return found[at, end] - found[at, start], self.grid[start], self.grid[end]

    def values(self, rows: Floats) -> Floats:
        return self.gains(rows)[0]


# ── claims ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Asked:
    """One thing to bound: what, over which spans, below which goal, and how a certificate has it."""

    sought: Sought
    root: Boxes
    domain: Domain
    goal: float
    views: tuple[dict[str, object], ...]

    def answer(self, budget: Budget) -> tuple[Hunted, Part | None]:
        """What the search came to, and the part of a certificate if it is short enough."""
        found = Hunt(self.sought, self.domain, self.goal).run(self.root, budget)
        sure = found.upper + 4 * self.sought.guard + 1e-9 * max(1.0, abs(found.upper))
        goal = self.goal if math.isfinite(self.goal) else sure
        if found.state != "below" or found.ends > MOST_ENDS or self.root.empty[0] or not math.isfinite(goal):
            return found, None
        rules = tuple([{"one_of": list(group)} for group in self.domain.one_of]
                      + [{"at_least": list(pair)} for pair in self.domain.at_least])
        levels = np.diff(self.root.first).tolist()
        query = tuple(_written(span, count) for span, count in zip(self.domain.spans, levels, strict=True))
        return found, Part(self.views, query, rules, goal, 0.0, found.tokens)


def _written(span: Span, levels: int) -> list[object]:
    """A span as a certificate has it."""
    if levels:
        codes = range(levels) if span.codes is None else sorted(set(span.codes))
        return [[code for code in codes if code < levels], span.missing]
    low, high = span.low, span.high
    if span.codes is not None:
        low, high = min(span.codes, default=1.0), max(span.codes, default=0.0)
    if low > high:
        low, high = 1.0, 0.0
    return [*(float(end) if math.isfinite(end) else None for end in (low, high)), span.missing,
            span.whole or span.codes is not None]


def is_network(program: Program) -> bool:
    """Whether a program is one network and nothing else."""
    return len(program.terms) == 1 and isinstance(program.terms[0].kind, Dense)


def parting(program: Program, rows: Floats) -> Floats | None:
    """The first of some rows that kernel and bounds give different margins; None if there is none.

    The bounds of a box that holds one row alone leave nothing but rounding.
    """
    net = network(program)
    if net is None:
        return None
    domain = Domain(tuple(Span(codes=tuple(range(one.levels))) if one.levels else Span() for one in program.inputs))
    own = _Claims(program, net, domain, Budget())
    boxes = joined([own.root(domain.but({place: near_span(span, float(x), 0.0) for place, (span, x) in enumerate(
        zip(domain.spans, row, strict=True))}), [net]) for row in rows])
    for weights in np.eye(program.outputs):
        sought = Total((Side(net, program, tuple(weights.tolist())),), own.root(domain, [net]))
        off = np.abs(sought.bounds(boxes)[0] - sought.values(rows)) > 4 * sought.guard
        if off.any():
            return np.asarray(rows[int(off.argmax())])
    return None


def decide(program: Program, claim: Claim, domain: Domain, budget: Budget) -> Verdict:
    """The verdict on a claim about a network. Unknown when the budget ends before the bounds meet."""
    begun, net = time.monotonic(), network(program)
    if net is None:
        return Verdict("unknown", -math.inf, math.inf, why="the network reads an input twice")
    own = _Claims(program, net, domain, budget)
    if isinstance(claim, Below):
        found = own.all([own.total(claim.weights, domain, claim.goal)])
    elif isinstance(claim, Within):
        found = own.within(claim)
    elif isinstance(claim, Robust):
        found = own.robust(claim)
    elif isinstance(claim, Monotone):
        found = own.monotone(claim)
    elif isinstance(claim, Steady):
        found = own.steady(claim)
    else:
        found = own.near(claim)
    return replace(found, seconds=time.monotonic() - begun)


@dataclass(frozen=True)
class _Claims:
    program: Program
    net: Net
    domain: Domain
    budget: Budget

    def root(self, domain: Domain, nets: Sequence[Net], more: Sequence[int] = ()) -> Boxes:
        """The box of a domain, over these networks. more: places of which a copy comes after the inputs."""
        levels = [one.levels for one in self.program.inputs]
        levels += [levels[place] for place in more]
        held = [(0.0, 0.0)] * len(levels)
        for place in range(len(levels)):
            mine = [one for net in nets for one in net.reads if one.place == place]
            levels[place] = max([levels[place], *(one.levels for one in mine)])
            if mine and not levels[place]:
                held[place] = min(one.low for one in mine), max(one.high for one in mine)
        for tie in (*domain.one_of, *domain.at_least):  # drawn in together, so that no order is turned around
            ends = [end for place in tie for end in (*held[place], domain.spans[place].low, domain.spans[place].high)]
            known = [end for end in (*ends, 0.0, 1.0) if math.isfinite(end)]
            for place in tie:
                held[place] = min(known), max(known)
        return region(domain.spans, levels, held)

    def total(self, weights: tuple[float, ...], domain: Domain, goal: float) -> _Asked:
        root, side = self.root(domain, [self.net]), Side(self.net, self.program, weights)
        return _Asked(Total((side,), root), root, domain, goal, (side.view,))

    def all(self, asked: Sequence[_Asked]) -> Verdict:
        """Proved if every bound is; refuted as soon as one is reached. One budget for all."""
        stop, nodes, low, high = time.monotonic() + self.budget.seconds, 0, -math.inf, -math.inf
        parts, row, why, whole = list[Part](), None, "", True
        for one in asked:
            left = Budget(max(0, self.budget.nodes - nodes), max(0.0, stop - time.monotonic()))
            found, part = one.answer(left)
            nodes, high = nodes + found.nodes, max(high, found.upper)
            if found.best > low:
                low, row = found.best, found.row
            if found.state == "reached":
                return Verdict("refuted", found.best, found.upper, found.row, nodes=nodes)
            if found.state == "unknown":
                why = why or (WITHIN_ROUNDING if found.stuck else BUDGET_ENDED)
            whole = whole and part is not None
            parts += [part] if part is not None else []
        if why:
            return Verdict("unknown", low, high, row, nodes=nodes, why=why)
        certificate = Certificate((self.program.digest,), tuple(parts)) if whole else None
        return Verdict("proved", low, high, row, nodes=nodes, certificate=certificate)

    def within(self, claim: Within) -> Verdict:
        minus = tuple(-w for w in claim.weights)
        half = replace(self, budget=Budget(self.budget.nodes // 2, self.budget.seconds / 2))
        up = half.all([self.total(claim.weights, self.domain, claim.high)])
        down = half.all([self.total(minus, self.domain, -claim.low)])
        worst = next((one for status in ("refuted", "unknown") for one in (up, down) if one.status == status), up)
        both = None
        if worst.status == "proved" and up.certificate and down.certificate:
            both = replace(up.certificate, parts=up.certificate.parts + down.certificate.parts)
        return replace(worst, low=-down.high, high=up.high, nodes=up.nodes + down.nodes, certificate=both)

    def robust(self, claim: Robust) -> Verdict:
        box = self.domain.but({place: near_span(self.domain.spans[place], float(x), float(claim.reach[place]))
                               for place, x in enumerate(claim.row)})
        if self.root(box, [self.net]).empty[0]:
            return Verdict("unknown", -math.inf, math.inf, why="the row lies outside the domain")
        margin = self.program.margin(np.asarray(claim.row, np.float64)[None])[0]
        if len(margin) == 1 and math.isinf(claim.cut):
            return Verdict("proved", -math.inf, math.inf)
        return self.all([self.total(weights, box, goal) for weights, goal in rivals(margin, claim.cut)])

    def monotone(self, claim: Monotone) -> Verdict:
        read = next((one for one in self.net.reads if one.place == claim.place), None)
        if read is None:
            return Verdict("proved", 0.0, 0.0)
        if read.levels:
            return Verdict("unknown", -math.inf, math.inf, why="a category has no order")
        domain, span = without(self.domain, claim.place), self.domain.spans[claim.place]
        domain = domain.but({claim.place: replace(span, missing=False)})
        root, sign = self.root(domain, [self.net]), -1.0 if claim.rising else 1.0
        if root.empty[0]:
            return Verdict("proved", 0.0, 0.0)
        grid = np.linspace(root.low[0, claim.place], root.high[0, claim.place], GRID)
        grid = np.unique(np.floor(grid)) if root.whole[claim.place] else grid
        side = Side(self.net, self.program, tuple(sign * w for w in claim.weights))
        sought = Slope(side, root, claim.place, grid)
        view = {**side.view, "slope": claim.place}
        found = self.all([_Asked(sought, root, domain, claim.tolerance, (view,))])
        if found.row is None:
            return found
        row, moved = found.row.copy(), found.row.copy()
        _, start, end = sought.gains(row[None])
        row[claim.place], moved[claim.place] = start[0], end[0]
        return replace(found, row=row, moved=moved)

    def steady(self, claim: Steady) -> Verdict:
        place, count = claim.place, len(self.program.inputs)
        if all(one.place != place for one in self.net.reads):
            return Verdict("proved", 0.0, 0.0)
        domain, span = without(self.domain, place), self.domain.spans[place]
        if claim.only_missing and not span.missing:
            return Verdict("proved", 0.0, 0.0)
        asked = []
        for sign in (1.0, -1.0) if claim.only_missing else (1.0,):
            start = replace(GONE, whole=span.whole, codes=None if span.codes is None else ()) \
                if claim.only_missing else span
            both = replace(domain.but({place: start}), spans=(*domain.but({place: start}).spans, span))
            w = tuple(sign * one for one in claim.weights)
            sides = (Side(self.net, self.program, tuple(-one for one in w)),
                     Side(self.net, self.program, w, 0, (place, count)))
            root = self.root(both, [one.reading for one in sides], [place])
            asked.append(_Asked(Total(sides, root), root, both, claim.limit, tuple(one.view for one in sides)))
        found = self.all(asked)
        if found.row is None:
            return found
        moved = found.row[:count].copy()
        moved[place] = found.row[count]
        return replace(found, row=found.row[:count], moved=moved)

    def near(self, claim: Near) -> Verdict:
        other = network(claim.other)
        if other is None or len(claim.other.inputs) != len(self.program.inputs):
            return Verdict("unknown", -math.inf, math.inf, why="the other program is no network of the same inputs")
        root, asked = self.root(self.domain, [self.net, other]), []
        for sign in (1.0, -1.0):
            sides = (Side(self.net, self.program, tuple(sign * w for w in claim.weights)),
                     Side(other, claim.other, tuple(-sign * w for w in claim.weights), 1))
            asked.append(_Asked(Total(sides, root), root, self.domain, claim.limit, tuple(one.view for one in sides)))
        found = self.all(asked)
        both = found.certificate and replace(found.certificate, programs=(self.program.digest, claim.other.digest))
        return replace(found, certificate=both)
