"""Claims about sums in which every input has a term of its own: extremes of each input, added up; exact, no search.

Linear models are such sums, and additive models without pairs: a weight reaches its extremes at the ends of a range or
where the number is missing, a table at one of its cells.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shipworthy.core.program import Linear, Lookup, Program, Term
from shipworthy.core.table import Floats
from shipworthy.verification.formal.certificate import Certificate, Part
from shipworthy.verification.formal.claims import (
    Below,
    Claim,
    Domain,
    Monotone,
    Robust,
    Span,
    Steady,
    Verdict,
    Within,
    rivals,
)

EPSILON = 2.0**-52


def separable(program: Program, *, twice: bool = False) -> bool:
    """Whether no two inputs meet in a table, and none has a table and a weight, or two tables.

    twice: two tables of one input are allowed, which are decided as exactly, but a checker bounds them one by one.
    """
    weighed = {place for term in program.terms if isinstance(term.kind, Linear) for place in term.places}
    tables = [term.kind.places for term in program.terms if isinstance(term.kind, Lookup)]
    single = [places[0] for places in tables if len(places) == 1]
    return all(isinstance(term.kind, Linear | Lookup) for term in program.terms) and (
        len(single) == len(tables) and (twice or len(set(single)) == len(single)) and not weighed & set(single))


def negated(program: Program) -> Program:
    """The program of lines and tables with every margin's sign turned."""
    turned = {"weight", "missing", "intercept", "values"}
    return replace(program, terms=tuple(
        Term(term.kind, {key: -np.asarray(array, np.float64) if key in turned else array
                         for key, array in term.arrays.items()})
        if isinstance(term.kind, Linear | Lookup) else term for term in program.terms))


@dataclass(frozen=True)
class Sides:
    """Of every input, the values at which its share of the sum can be extreme, and these shares, less the constant.

    order: of a number, how many of the values are numbers, in ascending order; missing comes after them.
    """

    values: tuple[Floats, ...]
    shares: tuple[Floats, ...]
    order: tuple[int, ...]
    base: float
    slack: float

    @property
    def highest(self) -> tuple[float, Floats]:
        """The greatest sum, and a row that reaches it; −inf where an input has no value."""
        if any(not len(values) for values in self.values):
            return -math.inf, np.full(len(self.values), np.nan)
        at = [int(share.argmax()) for share in self.shares]
        row = np.array([values[n] for values, n in zip(self.values, at, strict=True)])
        return self.base + sum(float(share[n]) for share, n in zip(self.shares, at, strict=True)), row


def sides(program: Program, domain: Domain, weights: Sequence[float]) -> Sides:
    """The sides of weights · margin over a domain."""
    w, count = np.asarray(weights, np.float64), len(program.inputs)
    base = sum((float(term.arrays["intercept"] @ w) for term in program.terms if isinstance(term.kind, Linear)), 0.0)
    values: list[Floats] = []
    shares: list[Floats] = []
    for place, span in enumerate(domain.spans):
        mine = [term for term in program.terms if place in term.places]
        found = _values(mine, place, span)
        rows = np.full((len(found), count), np.nan)
        rows[:, place] = found
        values.append(found)
        shares.append(np.asarray(sum((_share(term, place, rows) @ w for term in mine), np.zeros(len(found)))))
    heavy = abs(base) + sum(float(np.abs(share).max(initial=0.0)) for share in shares)
    order = tuple(int(np.sum(~np.isnan(found))) for found in values)
    return Sides(tuple(values), tuple(shares), order, base, 4 * (count + len(program.terms) + 1) * EPSILON * heavy)


def decide(program: Program, claim: Claim, domain: Domain) -> Verdict:
    """The verdict on a claim about a separable program: exact where no rule ties inputs, in no time.

    A counterexample that breaks a rule of the domain is none, and the claim is unknown.
    """
    begun = time.monotonic()
    if isinstance(claim, Below):
        found = _below(program, claim, domain)
    elif isinstance(claim, Within):
        found = _within(program, claim, domain)
    elif isinstance(claim, Robust):
        found = _robust(program, claim, domain)
    elif isinstance(claim, Monotone):
        found = _monotone(program, claim, domain)
    elif isinstance(claim, Steady):
        found = _steady(program, claim, domain)
    else:
        found = Verdict("unknown", -math.inf, math.inf, why="no closed form is known for this claim")
    return replace(found, seconds=time.monotonic() - begun)


def _below(program: Program, claim: Below, domain: Domain) -> Verdict:
    whole = sides(program, domain, claim.weights)
    most, row = whole.highest
    part = _part(domain, claim.goal, whole.slack, ({"program": 0, "weights": list(claim.weights), "set": {}},))
    return _judged(domain, (most, row), claim.goal, whole.slack, Certificate((program.digest,), (part,)))


def _within(program: Program, claim: Within, domain: Domain) -> Verdict:
    """Both sides; the worse one first."""
    minus = tuple(-w for w in claim.weights)
    above = _below(program, Below(_past(claim.high), claim.weights), domain)
    under = _below(program, Below(_past(-claim.low), minus), domain)
    low, high = -under.high, above.high
    worst = next((one for one in (above, under) if one.status == "refuted"), None) or next(
        (one for one in (above, under) if one.status == "unknown"), above)
    both = Certificate((program.digest,), tuple(
        part for one in (above, under) if one.certificate for part in one.certificate.parts))
    return replace(worst, low=low, high=high, certificate=both if worst.status == "proved" else None)


def _robust(program: Program, claim: Robust, domain: Domain) -> Verdict:
    """Whether the decision on a row stays within reach of it."""
    near = {place: near_span(domain.spans[place], float(x), float(claim.reach[place]))
            for place, x in enumerate(claim.row)}
    box, margin = domain.but(near), program.margin(claim.row[None, :])[0]
    goals = [Below(goal, weights) for weights, goal in rivals(margin, claim.cut)]
    found = [_below(program, goal, box) for goal in goals]
    if any(math.isinf(one.high) and one.high < 0 for one in found):
        return Verdict("unknown", -math.inf, math.inf, why="the row lies outside the domain")
    worst = next((one for status in ("refuted", "unknown") for one in found if one.status == status), found[0])
    parts = tuple(part for one in found if one.certificate for part in one.certificate.parts)
    return replace(worst, certificate=Certificate((program.digest,), parts) if worst.status == "proved" else None)


def near_span(span: Span, x: float, reach: float) -> Span:
    """What of a span lies within reach of a value; a category and what is missing stay as they are."""
    if math.isnan(x):
        return Span(math.inf, -math.inf, True, span.whole, None if span.codes is None else ())
    if span.codes is not None:
        return replace(span, missing=False, codes=(int(x),))
    return replace(span, missing=False, low=max(span.low, x - reach), high=min(span.high, x + reach))


def _monotone(program: Program, claim: Monotone, domain: Domain) -> Verdict:
    """The largest fall from one value of the input to a higher one."""
    weights = tuple((1.0 if claim.rising else -1.0) * w for w in claim.weights)
    whole = sides(program, domain, weights)
    count, place = whole.order[claim.place], claim.place
    share, values = whole.shares[place][:count], whole.values[place][:count]
    if count < 2:
        return Verdict("proved", -math.inf, 0.0, certificate=Certificate((program.digest,), ()))
    before = np.maximum.accumulate(share)
    at = int((before - share).argmax())
    fall = float(before[at] - share[at])
    parts = tuple(_step(domain, claim, weights, (values[n + 1], values[n]), whole.slack) for n in range(count - 1))
    _, row = whole.highest
    row[place] = values[int(share[: at + 1].argmax())]
    found = _judged(domain, (fall, row), claim.tolerance, whole.slack, Certificate((program.digest,), parts))
    return replace(found, moved=_moved(row, place, float(values[at])))


def _steady(program: Program, claim: Steady, domain: Domain) -> Verdict:
    """The largest move from any value of the input to any other."""
    whole, place = sides(program, domain, claim.weights), claim.place
    share, values = whole.shares[place], whole.values[place]
    gone = np.isnan(values)
    pairs = [(a, b) for a in range(len(values)) for b in range(len(values))
             if a != b and (not claim.only_missing or gone[a] or gone[b])]
    if not pairs:
        return Verdict("proved", 0.0, 0.0, certificate=Certificate((program.digest,), ()))
    a, b = max(pairs, key=lambda pair: share[pair[1]] - share[pair[0]])
    parts = tuple(_step(domain, claim, claim.weights, (values[one], values[two]), whole.slack) for one, two in pairs)
    _, row = whole.highest
    row[place] = values[a]
    found = _judged(domain, (float(share[b] - share[a]), row), claim.limit, whole.slack,
                    Certificate((program.digest,), parts))
    return replace(found, moved=_moved(row, place, float(values[b])))


def _moved(row: Floats, place: int, value: float) -> Floats:
    after = row.copy()
    after[place] = value
    return after


def _judged(domain: Domain, most: tuple[float, Floats], goal: float, slack: float, certificate: Certificate) -> Verdict:
    """Proved below the goal, refuted at or above it by a row, unknown within rounding of it or by an illegal row."""
    value, row = most
    if value + slack < goal:
        return Verdict("proved", value, value + slack, row, certificate=certificate)
    if value - slack < goal:
        return Verdict("unknown", value, value + slack, row, why="the bound lies within rounding of the limit")
    if not _legal(row, domain):
        return Verdict("unknown", -math.inf, value + slack, why="the extreme row breaks a rule of the domain")
    return Verdict("refuted", value, value + slack, row)


def _legal(row: Floats, domain: Domain) -> bool:
    tied = all(not row[a] < row[b] for a, b in domain.at_least)
    return tied and all(sorted(row[list(group)].tolist()) == [0.0] * (len(group) - 1) + [1.0]
                        for group in domain.one_of)


def _part(domain: Domain, goal: float, slack: float, views: tuple[dict[str, Any], ...]) -> Part:
    return Part(views, tuple(_written(span) for span in domain.spans), (), goal, slack, "end")


def _step(domain: Domain, claim: Monotone | Steady, weights: Sequence[float], step: tuple[float, float],
          slack: float) -> Part:
    """The part that bounds what the sum gains from one value of the input to another."""
    views = tuple({"program": 0, "weights": [sign * w for w in weights],
                   "set": {str(claim.place): None if math.isnan(value) else float(value)}}
                  for sign, value in zip((-1.0, 1.0), step, strict=True))
    return _part(domain, claim.tolerance if isinstance(claim, Monotone) else claim.limit, slack, views)


def _written(span: Span) -> list[Any]:
    if span.codes is not None:
        return [list(span.codes), span.missing]
    low, high = (end if math.isfinite(end) else None for end in (span.low, span.high))
    return [low, high, span.missing, span.whole]


def _past(limit: float) -> float:
    """The goal below which everything up to a limit lies."""
    return limit if math.isinf(limit) else limit + 1e-9 * (1 + abs(limit))


def _share(term: Term, place: int, rows: Floats) -> Floats:
    """What an input adds to a term, (n, outputs)."""
    if isinstance(term.kind, Lookup):
        return term.margin(rows)
    a = term.arrays
    mine = np.asarray(a["place"]) == place
    arrays = {"place": a["place"][mine], "fill": a["fill"][mine], "weight": a["weight"][mine],
              "missing": a["missing"][mine], "intercept": np.zeros(len(a["intercept"]))}
    return Term(term.kind, arrays).margin(rows)


def _values(terms: Sequence[Term], place: int, span: Span) -> Floats:
    """Values of an input, ascending, missing last, among which is one of every cell and both ends."""
    gone = [np.nan] if span.missing else []
    if span.codes is not None:
        return np.array([*map(float, span.codes), *gone])
    low, high = (np.ceil(span.low), np.floor(span.high)) if span.whole else (span.low, span.high)
    if not low <= high:
        return np.array(gone)
    cuts = np.unique(np.concatenate([np.empty(0), *(np.asarray(term.thresholds.get(place, ()), np.float64)
                                                   for term in terms)]))
    cuts = np.ceil(cuts) if span.whole else cuts
    found = np.unique(np.concatenate([[low, high], cuts[(cuts > low) & (cuts <= high)]]))
    return np.concatenate([found, gone])
