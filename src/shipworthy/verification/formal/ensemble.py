"""A tree ensemble made ready for proofs: its rank space, and its leaves for any weighting of its outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from shipworthy.core.program import Program, Trees
from shipworthy.core.table import Floats
from shipworthy.errors import BadModel
from shipworthy.verification.formal.boxes import Leaves, inputs_read, leaves_of
from shipworthy.verification.formal.cells import Space, space_of
from shipworthy.verification.formal.certificate import Certificate, Part
from shipworthy.verification.formal.claims import Budget, Domain, Span
from shipworthy.verification.formal.elimination import most
from shipworthy.verification.formal.search import Found, Task, search
from shipworthy.verification.formal.ties import Rules, binary, row_at

SLACKS = 2.0
FINEST = 1e-9
FEW_NODES = 64  # opened before inputs are maximised away instead, where no tree reads more than two


@dataclass(frozen=True)
class Ensemble:
    """A program of trees, and another one to compare it with, over a domain.

    Whole numbers of the domain decide how fine the space is, so that claims about parts of it share the same leaves.
    """

    program: Program
    domain: Domain
    other: Program | None = None
    near: Floats | None = None
    _made: dict[tuple[int, tuple[float, ...]], Leaves] = field(default_factory=dict, repr=False)

    @cached_property
    def ground(self) -> Domain:
        """The domain with members of groups held to 0 and 1."""
        return binary(self.domain)

    @cached_property
    def pairwise(self) -> bool:
        """Whether no tree reads more than two inputs."""
        terms = [term for one in (self.program, self.other) if one for term in one.terms
                 if isinstance(term.kind, Trees)]
        return all(len(reads) <= 2 for term in terms for reads in inputs_read(term))

    @cached_property
    def space(self) -> Space:
        return space_of([self.program, *([self.other] if self.other else [])], self.ground.spans)

    def leaves(self, weights: Sequence[float], *, other: bool = False) -> Leaves:
        """The leaves of weights · margin, of the program or of the other one."""
        key = int(other), tuple(weights)
        if key not in self._made:
            program = self.other if other else self.program
            assert program is not None
            self._made[key] = leaves_of(program, self.space, weights)
        return self._made[key]

    def certificate(self, parts: Sequence[Part]) -> Certificate:
        """What proves a claim about this program."""
        others = [self.other.digest] if self.other else []
        return Certificate((self.program.digest, *others), tuple(parts))

    def start(self, near: Floats | None = None) -> Floats:
        """(inputs,) the row that points of boxes are taken near to; NaN for any value."""
        chosen = self.near if near is None else near
        return np.full(len(self.ground.spans), np.nan) if chosen is None else chosen


@dataclass(frozen=True)
class Quantity:
    """What is bounded: a sum of trees, over a domain, and its views as a certificate has them."""

    ensemble: Ensemble
    leaves: Leaves
    domain: Domain
    views: tuple[dict[str, object], ...]

    def seek(self, goal: float, budget: Budget, near: Floats | None = None) -> Found:
        """Whether it stays below a goal; its largest value, if the goal is infinite."""
        space, wanted = self.ensemble.space, self.ensemble.start(near)
        cells, bits = space.find(wanted[None])
        bits[0][np.isnan(wanted)] = -1
        fine = max(FINEST, SLACKS * self.leaves.slack)
        task = Task(self.leaves, space.query(self.domain.spans), (cells[0], bits[0]),
                    *((goal, None) if np.isfinite(goal) else (-np.inf, fine)))
        ties = Rules(space, self.domain, wanted) if self.domain.one_of or self.domain.at_least else None
        if ties is not None or not self.ensemble.pairwise or budget.nodes <= FEW_NODES:
            return search(task, budget, ties)
        found = search(task, replace(budget, nodes=FEW_NODES))
        return (_exactly(task, found) or search(task, budget)) if found.state == "unknown" else found

    def row(self, found: Found, near: Floats | None = None) -> Floats:
        """The row where a search met its best value. Raises BadModel if the domain has none there."""
        wanted = self.ensemble.start(near)
        if self.domain.one_of or self.domain.at_least:
            row = Rules(self.ensemble.space, self.domain, wanted).row(found.cells, found.bits)
        else:
            row = row_at(self.ensemble.space, self.domain, (found.cells, found.bits), wanted)
        if row is None:
            raise BadModel("a search met a box without a row", where="verification.formal",
                           hint="this is a fault of Shipworthy: please report it")
        return row

    def part(self, found: Found, goal: float) -> Part:
        """The split tree of a finished search, as a part of a certificate."""
        axes = self.ensemble.space.axes
        query = tuple(_written(span, one.codes, one.whole) for span, one in zip(self.domain.spans, axes, strict=True))
        rules = tuple([{"one_of": list(group)} for group in self.domain.one_of]
                      + [{"at_least": list(pair)} for pair in self.domain.at_least])
        return Part(self.views, query, rules, goal, self.leaves.slack, found.tokens(self.ensemble.space))


def _exactly(task: Task, tried: Found) -> Found | None:
    """The outcome by maximising inputs away; None where that would take too large a table."""
    found = most(task.leaves, task.box)
    if found is None:
        return None
    slack = task.leaves.slack
    state: Literal["below", "reached", "unknown"] = "below"
    if task.tolerance is None:
        state = "reached" if found.value >= task.goal + slack else "below" if found.value + slack < task.goal \
            else "unknown"
    return Found(state, found.value, math.nextafter(found.value + 2 * slack, math.inf), tried.nodes + 1, found.cells,
                 found.bits, np.empty(0, np.int64), found.order)


def _written(span: Span, codes: int, whole: bool) -> list[object]:
    """A span as a certificate has it."""
    if codes:
        allowed = range(codes) if span.codes is None else sorted(set(span.codes))
        return [[code for code in allowed if code < codes and span.low <= code <= span.high], span.missing]
    low, high = span.low, span.high
    if span.codes is not None:
        low, high = max(low, min(span.codes, default=1)), min(high, max(span.codes, default=0))
    return [_finite(low), _finite(high), span.missing, whole]


def _finite(end: float) -> float | None:
    return float(end) if np.isfinite(end) else None


def view(weights: Sequence[float], at: dict[int, float] | None = None, *, program: int = 0) -> dict[str, object]:
    """A view of a certificate: the program, its weights, and inputs held at a value, NaN for missing."""
    held = {str(place): None if np.isnan(value) else float(value) for place, value in (at or {}).items()}
    return {"program": program, "weights": [float(w) for w in weights], "set": held}


def only(span: Span, value: float, *, coded: bool) -> Span:
    """The part of a span that is one value, NaN for missing. coded: whether the program reads it as a category."""
    if math.isnan(value):
        return Span(1.0, 0.0, True, span.whole, () if coded or span.codes is not None else None)
    if coded or span.codes is not None:
        return Span(missing=False, codes=(int(value),))
    return Span(value, value, False, span.whole)


def weighted(program: Program, row: Floats, weights: Sequence[float]) -> float:
    """Weights · margin of one row, by the kernel."""
    return float((program.margin(row[None]) @ np.asarray(weights, np.float64))[0])


def without(domain: Domain, place: int) -> Domain:
    """The domain without the rules that tie one input."""
    return replace(domain, one_of=tuple(group for group in domain.one_of if place not in group),
                   at_least=tuple(pair for pair in domain.at_least if place not in pair))
