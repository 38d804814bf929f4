"""`prove(program, claim, domain, budget) -> Verdict`: the claims of `claims.py`, proved or refuted for tree ensembles.

Many claims about one program share what is made ready: `Ensemble(program, domain)`, then `proved(ensemble, claim, …)`.
Every counterexample is scored by the kernel before it is told.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from shipworthy.core.program import Program
from shipworthy.core.table import Floats
from shipworthy.errors import BadModel
from shipworthy.verification.formal.cells import MISSING, ZERO, Axis
from shipworthy.verification.formal.certificate import Part
from shipworthy.verification.formal.claims import (
    Below,
    Budget,
    Claim,
    Domain,
    Monotone,
    Near,
    Robust,
    Span,
    Status,
    Steady,
    Verdict,
    Within,
    rivals,
)
from shipworthy.verification.formal.contrast import At, change, gap, positions
from shipworthy.verification.formal.ensemble import Ensemble, Quantity, only, view, weighted, without
from shipworthy.verification.formal.search import Found

FEW_POSITIONS = 3
Weights = Sequence[float]
_Place = tuple[At, float]  # where an input is, and a value that it has there
_Move = tuple[_Place, _Place | None, Weights]  # from, to (None: anywhere), and what of the margin is watched


def prove(program: Program, claim: Claim, domain: Domain, budget: Budget) -> Verdict:
    """What comes of a claim about an ensemble of trees. Raises BadModel for a program that is none."""
    return proved(Ensemble(program, domain, claim.other if isinstance(claim, Near) else None), claim, budget)


def proved(ensemble: Ensemble, claim: Claim, budget: Budget) -> Verdict:
    """The same, for an ensemble that was made ready before, over its domain."""
    begun = time.monotonic()
    verdict = _PROVERS[type(claim)](ensemble, claim, budget)
    return replace(verdict, seconds=time.monotonic() - begun)


@dataclass
class _Run:
    """Several searches under one budget: what each came to, and what they came to together."""

    budget: Budget
    nodes: int = 0
    low: float = -math.inf
    high: float = -math.inf
    row: Floats | None = None
    moved: Floats | None = None

    def __post_init__(self) -> None:
        self.stop = time.monotonic() + self.budget.seconds
        self.parts: list[Part] = []
        self.kept: Found | None = None

    @property
    def left(self) -> Budget:
        return Budget(max(0, self.budget.nodes - self.nodes), max(0.0, self.stop - time.monotonic()))

    def seek(self, quantity: Quantity, goal: float, *, near: Floats | None = None,
             ends: Callable[[Floats], tuple[Floats, Floats | None]] = lambda row: (row, None)) -> Found:
        """One search; its furthest row is kept if none went further. ends: the row, and what it was moved to."""
        found = quantity.seek(goal, self.left, near)
        self.nodes, self.high = self.nodes + found.nodes, max(self.high, found.upper)
        if found.best > self.low:
            self.low, self.kept = found.best, found
            self.row, self.moved = ends(quantity.row(found, near))
        if found.state == "below":
            self.parts.append(quantity.part(found, goal if math.isfinite(goal) else found.upper))
        return found

    def verdict(self, status: Status, ensemble: Ensemble, why: str = "") -> Verdict:
        certificate = ensemble.certificate(self.parts) if status == "proved" else None
        return Verdict(status, self.low, self.high, self.row, self.moved, self.nodes, certificate=certificate, why=why)


def _why(found: Found, goal: float, slack: float) -> str:
    if found.best >= goal - slack:
        return "a row comes within rounding of the limit"
    return "the budget ended before the bounds met"


def _confirmed(told: float, seen: float, slack: float) -> None:
    """Raise BadModel if the kernel says otherwise than rank space."""
    if not abs(told - seen) <= 2 * slack + 1e-12 * max(1.0, abs(told)):
        raise BadModel(f"rank space says {told!r} of a row, the kernel {seen!r}", where="verification.formal",
                       hint="this is a fault of Shipworthy: please report it")


def _plain(ensemble: Ensemble, weights: Weights, domain: Domain | None = None) -> Quantity:
    return Quantity(ensemble, ensemble.leaves(weights), domain or ensemble.ground, (view(weights),))


def _below(ensemble: Ensemble, claim: Below, budget: Budget) -> Verdict:
    run, quantity = _Run(budget), _plain(ensemble, claim.weights)
    found = run.seek(quantity, claim.goal)
    if run.row is not None:
        _confirmed(run.low, weighted(ensemble.program, run.row, claim.weights), quantity.leaves.slack)
    return _told(run, quantity, found, claim.goal)


def _told(run: _Run, quantity: Quantity, found: Found, goal: float) -> Verdict:
    status: Status = {"below": "proved", "reached": "refuted"}.get(found.state, "unknown")  # type: ignore[assignment]
    why = _why(found, goal, quantity.leaves.slack) if status == "unknown" else ""
    return run.verdict(status, quantity.ensemble, why)


def _within(ensemble: Ensemble, claim: Within, budget: Budget) -> Verdict:
    half = Budget(budget.nodes // 2, budget.seconds / 2)
    up = _below(ensemble, Below(claim.high, claim.weights), half)
    down = _below(ensemble, Below(-claim.low, tuple(-w for w in claim.weights)), half)
    sides = {up.status, down.status}
    status: Status = "refuted" if "refuted" in sides else "unknown" if "unknown" in sides else "proved"
    certificate = None
    if up.certificate and down.certificate:
        certificate = replace(up.certificate, parts=(*up.certificate.parts, *down.certificate.parts))
    far = down if down.status == "refuted" else up
    return Verdict(status, -down.high, up.high, far.row, None, up.nodes + down.nodes, certificate=certificate,
                   why=up.why or down.why)


def _monotone(ensemble: Ensemble, claim: Monotone, budget: Budget) -> Verdict:
    """Step by step between neighbouring cells: a step changes only the trees that cut there."""
    place, sign = claim.place, -1.0 if claim.rising else 1.0
    steps = _ordered(ensemble, place)
    moves = list(pairwise(steps))
    return _over_moves(ensemble, claim.tolerance, place, [(*move, [sign * w for w in claim.weights]) for move in moves],
                       budget)


def _over_moves(ensemble: Ensemble, limit: float, place: int, moves: Sequence[_Move], budget: Budget) -> Verdict:
    """Whether every move of an input stays below a limit."""
    run, unknown = _Run(budget), ""
    for start, end, weights in moves:
        quantity = _moved(ensemble, weights, place, start, end)
        found = run.seek(quantity, limit, ends=_both(place, start[1], None if end is None else end[1]))
        if run.kept is found:
            _confirm_move(ensemble, run, weights, quantity.leaves.slack)
        if found.state == "reached":
            return run.verdict("refuted", ensemble)
        unknown = unknown or (_why(found, limit, quantity.leaves.slack) if found.state == "unknown" else "")
    if not moves:
        run.low = run.high = 0.0
    return run.verdict("unknown" if unknown else "proved", ensemble, unknown)


def _ordered(ensemble: Ensemble, place: int) -> list[_Place]:
    """The positions of a number in the domain in ascending order, and a value of each, zero in its place among them."""
    axis, span = ensemble.space.axes[place], ensemble.ground.spans[place]
    if axis.codes:
        raise BadModel(f"input {place} is a category and has no order", where="verification.formal",
                       hint="claim an order of numbers only")
    if not axis.bits(span) & 2:
        return _valued(axis, span, math.nan)
    below, above = replace(span, high=min(span.high, 0.0)), replace(span, low=max(span.low, 0.0))
    return [*_valued(axis, below, -1.0), ((-1, ZERO), 0.0), *_valued(axis, above, 1.0)]


def _valued(axis: Axis, span: Span, wanted: float) -> list[_Place]:
    first, last = axis.cells(span)
    found = [((cell, -1), axis.nearest(cell, span, wanted)) for cell in range(first, last + 1)]
    return [(at, value) for at, value in found if value is not None]


def _moved(ensemble: Ensemble, weights: Weights, place: int, start: _Place,
           end: _Place | None) -> Quantity:
    """How far weights · margin rises when an input goes from one position to another, or to any if None."""
    leaves = change(ensemble.leaves(weights), place, start[0], None if end is None else end[0])
    views = (view(weights, {} if end is None else {place: end[1]}), view([-w for w in weights], {place: start[1]}))
    return Quantity(ensemble, leaves, without(ensemble.ground, place), views)


def _both(place: int, start: float, end: float | None) -> Callable[[Floats], tuple[Floats, Floats]]:
    """The two rows of a move, from a row that has everything but the input that moves."""
    def both(row: Floats) -> tuple[Floats, Floats]:
        before, after = row.copy(), row.copy()
        before[place] = start
        after[place] = row[place] if end is None else end
        return before, after

    return both


def _confirm_move(ensemble: Ensemble, run: _Run, weights: Weights, slack: float) -> None:
    if run.row is not None and run.moved is not None:
        seen = weighted(ensemble.program, run.moved, weights) - weighted(ensemble.program, run.row, weights)
        _confirmed(run.low, seen, slack)


def _steady(ensemble: Ensemble, claim: Steady, budget: Budget) -> Verdict:
    place, leaves, w = claim.place, ensemble.leaves(claim.weights), list(claim.weights)
    span = without(ensemble.ground, place).spans[place]
    lo, hi = ensemble.space.axes[place].cells(span)
    found = positions(leaves, place, lo, hi, ensemble.space.axes[place].bits(span))
    each = [(at, ensemble.space.value(place, at, span, math.nan)) for at in found]
    every = [(at, value) for at, value in each if value is not None]
    moves: list[_Move]
    if claim.only_missing:
        gone = ((-1, MISSING), math.nan)
        moves = [(gone, None, [sign * x for x in w]) for sign in (1.0, -1.0)] if span.missing else []
    elif len(every) <= FEW_POSITIONS:
        moves = [(start, end, w) for start in every for end in every if start != end]
    else:
        moves = [(start, None, w) for start in every]
    return _over_moves(ensemble, claim.limit, place, moves, budget)


def _near(ensemble: Ensemble, claim: Near, budget: Budget) -> Verdict:
    run, unknown = _Run(budget), ""
    if ensemble.other is None:
        raise BadModel("there is no other program to compare with", where="verification.formal",
                       hint="make the ensemble with other = claim.other")
    for sign in (1.0, -1.0):
        weights = tuple(sign * w for w in claim.weights)
        against = [-w for w in weights]
        leaves = gap(ensemble.leaves(weights), ensemble.leaves(weights, other=True))
        quantity = Quantity(ensemble, leaves, ensemble.ground, (view(weights), view(against, program=1)))
        found = run.seek(quantity, claim.limit)
        if run.row is not None and run.kept is found:
            _confirmed(run.low, weighted(ensemble.program, run.row, weights)
                       + weighted(ensemble.other, run.row, against), leaves.slack)
        if found.state == "reached":
            return run.verdict("refuted", ensemble)
        unknown = unknown or (_why(found, claim.limit, leaves.slack) if found.state == "unknown" else "")
    return run.verdict("unknown" if unknown else "proved", ensemble, unknown)


def _robust(ensemble: Ensemble, claim: Robust, budget: Budget) -> Verdict:
    row = np.asarray(claim.row, np.float64)
    domain = around(ensemble, row, claim.reach)
    if domain is None:
        return Verdict("unknown", -math.inf, math.inf, why="the row lies outside the domain")
    run, unknown = _Run(budget), ""
    margin = ensemble.program.margin(row[None])[0]
    if math.isinf(claim.cut) and len(margin) == 1:
        return Verdict("proved", -math.inf, math.inf, certificate=ensemble.certificate([]))
    for weights, goal in rivals(margin, claim.cut):
        quantity = _plain(ensemble, weights, domain)
        found = run.seek(quantity, goal, near=row)
        if found.state == "reached" and run.row is not None:
            _confirmed(run.low, weighted(ensemble.program, run.row, weights), quantity.leaves.slack)
            return run.verdict("refuted", ensemble)
        unknown = unknown or (_why(found, goal, quantity.leaves.slack) if found.state == "unknown" else "")
    return run.verdict("unknown" if unknown else "proved", ensemble, unknown)


def around(ensemble: Ensemble, row: Floats, reach: Sequence[float]) -> Domain | None:
    """The rows within reach of a row, inside the domain; None if the row itself is not."""
    spans, box = [], ensemble.ground
    for place, (span, value, by) in enumerate(zip(box.spans, row.tolist(), reach, strict=True)):
        if math.isnan(value) or span.codes is not None or not by:
            spans.append(only(span, value, coded=ensemble.space.axes[place].codes > 0))
        else:
            low, high = max(span.low, value - by), min(span.high, value + by)
            spans.append(Span(min(low, value), max(high, value), False, span.whole))
        if ensemble.space.axes[place].whole and math.isfinite(value) and value != math.floor(value):
            return None
    return replace(box, spans=tuple(spans))


_PROVERS: dict[type, Callable[[Ensemble, Any, Budget], Verdict]] = {
    Below: _below, Within: _within, Monotone: _monotone, Robust: _robust, Steady: _steady, Near: _near,
}
