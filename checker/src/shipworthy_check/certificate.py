"""Certificates: a split tree of the query box whose every end is bounded anew. The format is told in the README."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from shipworthy_check import network
from shipworthy_check.covered import covered
from shipworthy_check.elimination import highest
from shipworthy_check.program import Program, Rejected
from shipworthy_check.space import Axis, Box, trees

EPSILON = 2.0**-52


@dataclass
class Sum:
    """What a part bounds: groups of boxes, of each of which a row meets one; weights of numbers; a constant.

    lo, hi, bits: (boxes, inputs). value: (boxes,). start: where each group begins. line: input → (weight, what a
    missing one adds). heavy: of the largest absolute values, for the slack.
    """

    lo: np.ndarray
    hi: np.ndarray
    bits: np.ndarray
    value: np.ndarray
    start: np.ndarray
    line: dict[int, tuple[float, float]]
    base: float
    slack: float


def check(text: bytes | str, programs: list[Program]) -> dict[str, Any]:
    """The document of an accepted certificate. programs: in the order in which it numbers them.

    Raises Rejected: anything that does not follow, is left out, is left over, or bounds less than is claimed.
    """
    try:
        document = json.loads(text)
        if document["format"] != 1:
            raise Rejected(f"certificate format {document['format']} is unknown", broken=True)
        if document["programs"] != [program.digest for program in programs]:
            raise Rejected("it is about another program")
        for number, part in enumerate(document["parts"]):
            try:
                _part(part, programs)
            except Rejected as error:
                raise Rejected(f"part {number}: {error}") from error
        covered(document, programs)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise Rejected(f"it is malformed: {type(error).__name__}: {error}", broken=True) from error
    return dict(document)


def _part(part: dict[str, Any], programs: list[Program]) -> None:
    spans = part["query"]
    if any(network.dense(programs[view["program"]]) for view in part["sum"]):
        if not all(network.dense(programs[view["program"]]) for view in part["sum"]):
            raise Rejected("a network stands beside a program of another kind")
        network.part(part, programs)
        return
    used = [programs[view["program"]] for view in part["sum"]]
    if not used or any(len(program.levels) != len(spans) for program in used):
        raise Rejected("the query does not have a span for every input")
    more = part.get("cuts", {})
    axes = [Axis(place, span, used, more.get(str(place), [])) for place, span in enumerate(spans)]
    whole = _sum(part["sum"], programs, axes)
    goal, slack = float(part["goal"]), max(float(part["slack"]), whole.slack)
    tokens = iter(part["tokens"].split())
    waiting: list[tuple[list[Box], np.ndarray]] = [([axis.query for axis in axes], np.arange(len(whole.value)))]
    for place, axis in enumerate(axes):
        waiting[0] = (waiting[0][0], _meets(whole, waiting[0][1], place, axis.query))
    while waiting:
        box, alive = waiting.pop()
        word = next(tokens, None)
        if word in ("n", "m"):
            place = int(next(tokens, ""))
            cut = next(tokens, "")
            parts = _cut(box[place], int(cut)) if word == "n" else _divided(box[place], int(cut, 16))
            for child in reversed(parts):
                waiting.append(([*box[:place], child, *box[place + 1:]], _meets(whole, alive, place, child)))
        elif word == "end":
            if not _bound(whole, alive, box, axes) + slack < goal:
                raise Rejected("an end is not below the goal")
        elif word == "order":
            order = [int(next(tokens, "")) for _ in range(int(next(tokens, "")))]
            if not _eliminated(whole, box, axes, order) + slack < goal:
                raise Rejected("the greatest sum is not below the goal")
        elif word == "empty":
            if not _empty(part["rules"][int(next(tokens, ""))], box, axes):
                raise Rejected("a rule does not empty its box")
        else:
            raise Rejected("a token is missing" if word is None else f"a token is unknown: {word}")
    if next(tokens, None) is not None:
        raise Rejected("there are spare tokens")


def _cut(box: Box, at: int) -> tuple[Box, Box]:
    low, high, bits = box
    if not low <= at < high:
        raise Rejected("a cut lies outside its box")
    return (low, at, bits), (at + 1, high, 0)


def _divided(box: Box, mask: int) -> tuple[Box, Box]:
    low, high, bits = box
    if not bits & mask or not (bits & ~mask or low <= high):
        raise Rejected("bits are divided that the box does not have")
    return (0, -1, bits & mask), (low, high, bits & ~mask)


def _meets(whole: Sum, alive: np.ndarray, place: int, box: Box) -> np.ndarray:
    """Which of some boxes meet a box in one input."""
    low, high, bits = box
    cells = (np.maximum(whole.lo[alive, place], low) <= np.minimum(whole.hi[alive, place], high))
    return alive[cells | ((whole.bits[alive, place] & bits) != 0)]


def _bound(whole: Sum, alive: np.ndarray, box: list[Box], axes: list[Axis]) -> float:
    """At most this much is reached in a box; −inf where a group has no box left, as no row is there."""
    groups = np.full(len(whole.start) - 1, -math.inf)
    np.maximum.at(groups, np.searchsorted(whole.start, alive, side="right") - 1, whole.value[alive])
    return whole.base + float(groups.sum()) + _weighed(whole, box, axes)


def _eliminated(whole: Sum, box: list[Box], axes: list[Axis], order: list[int]) -> float:
    """The same, with inputs maximised away in an order."""
    rows = [list(zip(*side)) for side in zip(whole.lo.tolist(), whole.hi.tolist(), whole.bits.tolist())]
    spans = [slice(int(a), int(b)) for a, b in zip(whole.start, whole.start[1:])]
    sums = highest([rows[span] for span in spans], [whole.value[span] for span in spans], box, axes, order)
    return whole.base + sums + _weighed(whole, box, axes)


def _weighed(whole: Sum, box: list[Box], axes: list[Axis]) -> float:
    """At most this much is added by weights."""
    total = 0.0
    for place, (weight, missing) in whole.line.items():
        low, high, bits = box[place]
        if low <= high:
            reached = [weight * x if weight else 0.0 for x in axes[place].ends(box[place])]
        else:
            reached = []
        reached += [missing] * (bits & 1) + [0.0] * (bits >> 1 & 1)
        total += max(reached, default=-math.inf)
    return total


def _empty(rule: dict[str, Any], box: list[Box], axes: list[Axis]) -> bool:
    if "at_least" in rule:
        a, b = rule["at_least"]
        if (box[a][2] | box[b][2]) & 1 or axes[a].coded or axes[b].coded:
            return False
        return max(_numbers(box[a], axes[a])) < min(_numbers(box[b], axes[b]))
    one = [_may_be(1.0, box[place], axes[place]) for place in rule["one_of"]]
    none = [_may_be(0.0, box[place], axes[place]) for place in rule["one_of"]]
    return not any(one) or any(not (a or b) for a, b in zip(one, none)) or none.count(False) > 1


def _numbers(box: Box, axis: Axis) -> list[float]:
    """The least and greatest number of a box, 0 where it stands apart."""
    return (list(axis.ends(box)) if box[0] <= box[1] else []) + [0.0] * (box[2] >> 1)


def _may_be(value: float, box: Box, axis: Axis) -> bool:
    low, high, bits = axis.at(value)
    return bool(bits & box[2]) or (low <= high and box[0] <= low <= box[1] and axis.low <= value <= axis.high)


# ── what is bounded ──────────────────────────────────────────────────────────────────────────────────────────────


def _sum(views: list[dict[str, Any]], programs: list[Program], axes: list[Axis]) -> Sum:
    """The views added up; those of one program are joined tree by tree."""
    groups: list[tuple[list[list[Box]], np.ndarray]] = []
    line: dict[int, tuple[float, float]] = {}
    base, slack = 0.0, 0.0
    for number in dict.fromkeys(view["program"] for view in views):
        own = [view for view in views if view["program"] == number]
        weights = [np.asarray(view["weights"], np.float64) for view in own]
        if any(w.shape != (programs[number].outputs,) for w in weights):
            raise Rejected("there is not a weight for every output")
        fixed = [{int(place): axes[int(place)].at(value) for place, value in view["set"].items()} for view in own]
        found = list(trees(programs[number], axes))
        for boxes, leaf in found:
            groups += [_joined(boxes, [leaf @ w for w in weights], fixed, axes)]
        constants = list(_constants(programs[number]))
        base += sum(float(one @ w) for one in constants for w in weights)
        added, heavy = _lines(programs[number], [(w, view["set"]) for w, view in zip(weights, own)], line)
        base += added
        for w in weights:
            heavy += sum(float(np.abs(leaf @ w).max(initial=0.0)) for _, leaf in found)
            heavy += sum(float(np.abs(one) @ np.abs(w)) for one in constants)
        slack += (len(found) + len(programs[number].terms) + 1 + len(line)) * EPSILON * heavy
    if any(axes[place].coded for place in line):
        raise Rejected("a linear term reads a category")
    slack += EPSILON * sum(_widest(axes[place], weight) for place, (weight, _) in line.items()) * (len(line) + 2)
    lo, hi, bits = (_stacked([[part[side] for part in box] for boxes, _ in groups for box in boxes], len(axes))
                    for side in range(3))
    start = np.concatenate([[0], np.cumsum([len(boxes) for boxes, _ in groups])]).astype(np.int64)
    value = np.concatenate([values for _, values in groups] or [np.empty(0)])
    return Sum(lo, hi, bits, value, start, line, base, slack)


def _stacked(rows: list[list[int]], width: int) -> np.ndarray:
    """Whole numbers of any size, (boxes, inputs)."""
    large = any(cell >> 62 for row in rows for cell in row if cell > 0)
    return np.array(rows, object if large else np.int64).reshape(-1, width)


def _joined(boxes: list[list[Box]], values: list[np.ndarray], fixed: list[dict[int, Box]], axes: list[Axis]) -> Any:
    """A tree as several views see it: every set of leaves, one of each, that meet each other; their values add up."""
    touched = {place for one in fixed for place in one}
    if all(box[place] == axes[place].full for box in boxes for place in touched):
        return boxes, np.sum(values, axis=0)
    found: list[tuple[list[Box], float]] = [([axis.full for axis in axes], 0.0)]
    for one, leaf in zip(fixed, values):
        own = []
        for box, value in zip(boxes, leaf.tolist()):
            if all(_some(_both(box[place], at)) for place, at in one.items()):
                own.append(([axes[n].full if n in one else part for n, part in enumerate(box)], value))
        found = [(both, sum_ + value) for had, sum_ in found for box, value in own
                 if (both := _all_both(had, box)) is not None]
    return [box for box, _ in found], np.array([value for _, value in found])


def _all_both(one: list[Box], other: list[Box]) -> list[Box] | None:
    """What two boxes share; None if they do not meet."""
    both = []
    for a, b in zip(one, other):
        part = a if a == b else _both(a, b)
        if not _some(part):
            return None
        both.append(part)
    return both


def _both(one: Box, other: Box) -> Box:
    return max(one[0], other[0]), min(one[1], other[1]), one[2] & other[2]


def _some(box: Box) -> bool:
    return box[0] <= box[1] or box[2] != 0


def _constants(program: Program) -> Iterator[np.ndarray]:
    for kind, a in program.terms:
        if kind["type"] in ("trees", "linear"):
            yield np.asarray(a["base" if kind["type"] == "trees" else "intercept"], np.float64)
        elif kind["type"] != "lookup":
            raise Rejected(f"a term of kind {kind['type']} cannot be bounded here")


def _lines(
    program: Program, views: list[tuple[np.ndarray, dict[str, Any]]], line: dict[int, Any]
) -> tuple[float, float]:
    """Add the linear terms of some views to `line`; what inputs that are set add, and the sum of absolute parts."""
    added, heavy = 0.0, 0.0
    for kind, a in program.terms:
        for n, place in enumerate(a["place"].tolist() if kind["type"] == "linear" else []):
            slope, fill, missing = a["weight"][n], float(a["fill"][n]), a["missing"][n]
            for w, fixed in views:
                if str(place) in fixed:
                    value = fixed[str(place)]
                    absent = float(missing @ w) if value is None else 0.0
                    part = float(slope @ w) * (fill if value is None else float(value))
                    added, heavy = added + part + absent, heavy + abs(part) + abs(absent)
            free = np.sum([w for w, fixed in views if str(place) not in fixed] or [0.0 * views[0][0]], axis=0)
            weight, absent = float(slope @ free), float(missing @ free)
            had = line.get(place, (0.0, 0.0))
            line[place] = (had[0] + weight, had[1] + weight * fill + absent)
            heavy += abs(weight * fill) + abs(absent)
    return added, heavy


def _widest(axis: Axis, weight: float) -> float:
    return max((abs(weight * end) for end in (axis.low, axis.high)), default=0.0) if weight else 0.0
