"""Do the parts of a certificate add up to what it claims? Each part bounds one sum; a claim may need many."""

from __future__ import annotations

from typing import Any

from shipworthy_check.program import Program, Rejected
from shipworthy_check.space import Axis, Box


def covered(document: dict[str, Any], programs: list[Program]) -> None:
    """Raise Rejected unless the parts prove the claim of a document; one without a claim claims its parts alone.

    {"kind": "below", "weights", "goal"}: weights · margin < goal on the query.
    {"kind": "monotone", "place", "sign", "weights", "goal"}: for neighbouring cells of the input, what is lost from one
    to the next (sign 1), or gained (−1), is below the goal. Missing has no place in the order.
    {"kind": "steady", "place", "weights", "goal", "only_missing"}: so is every move from one cell or bit to another.
    """
    claim = document.get("claim")
    if claim is None:
        return
    weights, goal, parts = claim["weights"], float(claim["goal"]), document["parts"]
    spans = claim["query"]
    if any(part["query"] != spans or part["goal"] > goal for part in parts):
        raise Rejected("a part has another query or goal than the claim")
    if claim["kind"] == "below":
        if not any(_views(part) == [(weights, {})] for part in parts):
            raise Rejected("no part proves the claim")
        return
    place = int(claim["place"])
    axis = Axis(place, spans[place], programs[:1], [])
    pairs = {pair for part in parts if (pair := _pair(part, place, weights, axis))}
    for one, other in _wanted(claim, axis):
        if (one, other) not in pairs:
            raise Rejected("a step of the claim has no part")


def _views(part: dict[str, Any]) -> list[tuple[list[float], dict[str, Any]]]:
    return [(view["weights"], view["set"]) for view in part["sum"] if view["program"] == 0]


def _pair(part: dict[str, Any], place: int, weights: list[float], axis: Axis) -> tuple[Box, Box] | None:
    """The (from, to) of a part that bounds what the sum gains from one to the other; None if it does not."""
    views = _views(part)
    if len(views) != 2 or len(part["sum"]) != 2 or any(list(fixed) != [str(place)] for _, fixed in views):
        return None
    at = {tuple(w): axis.at(fixed[str(place)]) for w, fixed in views}
    minus = tuple(-w for w in weights)
    return (at[minus], at[tuple(weights)]) if set(at) == {minus, tuple(weights)} else None


def _wanted(claim: dict[str, Any], axis: Axis) -> list[tuple[Box, Box]]:
    """The steps that a claim speaks of, each from one position of its input to another."""
    low, high, bits = axis.query
    cells: list[Box] = [(cell, cell, 0) for cell in range(low, high + 1)]
    apart: list[Box] = [(0, -1, 1 << n) for n in range(bits.bit_length()) if bits >> n & 1]
    if claim["kind"] == "monotone":
        if axis.zero and bits & 2:
            raise Rejected("zero is routed apart here, so that there is no order to prove")
        steps = list(zip(cells, cells[1:]))
        return [(b, a) for a, b in steps] if claim["sign"] > 0 else [(a, b) for a, b in steps]
    every = cells + apart
    pairs = [(a, b) for a in every for b in every if a != b]
    return [pair for pair in pairs if (0, -1, 1) in pair] if claim.get("only_missing") else pairs
