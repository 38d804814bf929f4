"""Do the parts of a certificate add up to what it claims? Each part bounds one sum; a claim may need many.

A document may have "claims", each of {"kind", "weights", "goal", "query"} and, where one input moves, its "place":

- below: weights · margin < goal on the query.
- monotone, with "sign": between neighbouring cells of the input less than goal is lost (sign 1) or gained (−1), and a
  weight of the input has that sign. Missing has no place in the order.
- steady, with "only_missing": less than goal is gained from any position of the input to any other; only_missing: of
  which one is missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy_check import network
from shipworthy_check.program import Program, Rejected
from shipworthy_check.space import Axis, Box, trees

Value = float | None
ANY: Any = "any"


def covered(document: dict[str, Any], programs: list[Program]) -> None:
    """Raise Rejected unless the parts prove every claim of a document; one without claims claims its parts alone."""
    if not document["parts"] and not document.get("claims"):
        raise Rejected("it has no parts")
    for claim in document.get("claims", []):
        own = [part for part in document["parts"] if part["query"] == claim["query"]
               and part["rules"] == claim.get("rules", []) and float(part["goal"]) <= float(claim["goal"])]
        if network.dense(programs[0]):
            if not network.covers(claim, own):
                raise Rejected("no part proves the claim")
            continue
        if claim["kind"] == "below":
            if not any(_views(part) == [(claim["weights"], {})] for part in own):
                raise Rejected("no part proves the claim")
            continue
        moves = {move for part in own if (move := _move(part, int(claim["place"]), claim["weights"]))}
        axes = [Axis(place, span, programs[:1], []) for place, span in enumerate(claim["query"])]
        {"monotone": _monotone, "steady": _steady}[claim["kind"]](claim, programs[0], axes, moves)


def _views(part: dict[str, Any]) -> list[tuple[list[float], dict[str, Any]]]:
    """Weights and fixed inputs of the views of a part, if all are of the first program."""
    views = [(view["weights"], view["set"]) for view in part["sum"]]
    return views if all(view["program"] == 0 for view in part["sum"]) else []


def _move(part: dict[str, Any], place: int, weights: list[float]) -> tuple[Any, Any] | None:
    """The values (from, to) between which a part bounds what the sum gains; ANY for all of them."""
    views, minus = _views(part), [-w for w in weights]
    if len(views) != 2 or sorted(w for w, _ in views) != sorted([minus, weights]):
        return None
    if any(set(fixed) - {str(place)} for _, fixed in views):
        return None
    after, before = (next(fixed.get(str(place), ANY) for w, fixed in views if w == side) for side in (weights, minus))
    return before, after


def _monotone(claim: dict[str, Any], program: Program, axes: list[Axis], moves: set[tuple[Any, Any]]) -> None:
    place, axis = int(claim["place"]), axes[int(claim["place"])]
    low, high, bits = axis.query
    if axis.coded or (axis.zero and bits & 2):
        raise Rejected("the input has no order that can be checked")
    if _slope(program, place, claim["weights"]) * claim["sign"] < 0:
        raise Rejected("a weight has the other sign")
    known = {(axis.at(a), axis.at(b)) for a, b in moves if ANY not in (a, b)}
    for cell in range(low, high):
        step = (cell, cell, 0), (cell + 1, cell + 1, 0)
        if (step[::-1] if claim["sign"] > 0 else step) not in known:
            raise Rejected("a step of the claim has no part")


def _steady(claim: dict[str, Any], program: Program, axes: list[Axis], moves: set[tuple[Any, Any]]) -> None:
    place, axis = int(claim["place"]), axes[int(claim["place"])]
    if _slope(program, place, claim["weights"]):
        if len(axis.cuts):
            raise Rejected("the input has a weight and cuts")
        every: list[Any] = [axis.low, axis.high, *([None] if axis.query[2] & 1 else [])]
        known, gone = moves, None
    else:
        told = Told(program, axes, place)
        every, gone = told.every, told.of((0, -1, 1))
        known = {tuple(value if value == ANY else told.of(axis.at(value)) for value in move) for move in moves}
    for a in every:
        for b in every:
            wanted = a != b and (not claim.get("only_missing") or gone in (a, b))
            if wanted and not {(a, b), (a, ANY), (ANY, b)} & known:
                raise Rejected("a move of the claim has no part")


def _slope(program: Program, place: int, weights: list[float]) -> float:
    """The weight of a number in the linear terms."""
    return sum(float(a["weight"][n] @ np.array(weights)) for kind, a in program.terms if kind["type"] == "linear"
               for n, one in enumerate(a["place"].tolist()) if one == place)


class Told:
    """Which positions of an input the leaves of a program tell apart."""

    def __init__(self, program: Program, axes: list[Axis], place: int) -> None:
        own = [box[place] for boxes, _ in trees(program, axes) for box in boxes]
        self.lo, self.hi, self.bits = (np.array([box[side] for box in own], object) for side in range(3))
        low, high, bits = axes[place].query
        boxes: list[Box] = [(cell, cell, 0) for cell in range(low, high + 1)]
        boxes += [(0, -1, 1 << bit) for bit in range(bits.bit_length()) if bits >> bit & 1]
        self.every = list(dict.fromkeys(self.of(box) for box in boxes))

    def of(self, at: Box) -> bytes:
        """Which leaves hold a position."""
        cell, last, bit = at
        inside = (self.lo <= cell) & (self.hi >= cell) & (cell <= last)
        return np.packbits((inside | ((self.bits & bit) != 0)).astype(bool)).tobytes()
