"""Rank space: every input as cells between cuts, and bits that stand outside the order; every leaf as a box of them.

The rules of routing are LightGBM's and scikit-learn's; the certificate format of Shipworthy repeats them in words.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from shipworthy_check.program import Program, Rejected

ZERO = float(np.float32(1e-35))
BELOW, ABOVE = math.nextafter(-ZERO, -math.inf), math.nextafter(ZERO, math.inf)
Box = tuple[int, int, int]  # of one input: first cell, last cell, bits


class Axis:
    """One input in rank space, within what the query allows of it. A category has bits alone."""

    def __init__(self, place: int, span: list[Any], programs: list[Program], more: list[float]) -> None:
        nodes = [node for program in programs for node in _nodes(program) if node[0] == place]
        tables = [cuts for program in programs for cuts in _tables(program, place)]
        self.coded = len(span) == 2
        codes = [node[3] for node in nodes] + [not len(cuts) for cuts in tables]
        if codes and (self.coded != any(codes) or any(codes) != all(codes)):
            raise Rejected(f"input {place} is no {'category' if self.coded else 'number'}")
        if self.coded:
            self._category(place, span, programs, nodes)
            return
        self.whole, self.zero = bool(span[3]), any(not node[3] and node[2] >> 2 == 1 for node in nodes)
        if self.zero and (any(node[4] for node in nodes) or tables):
            raise Rejected(f"input {place} has zero routed apart, and is read in another way too")
        found = [self.cut(node[1], node[4]) for node in nodes] + [self.raw(_before(c)) for cuts in tables for c in cuts]
        self.cuts = np.unique([x for x in found + [self.raw(float(x)) for x in more] if x < math.inf])
        self.low, self.high = (e if span[n] is None else float(span[n]) for n, e in enumerate((-math.inf, math.inf)))
        if self.whole:
            self.low, self.high = (f(v) if math.isfinite(v) else v
                                   for f, v in ((math.ceil, self.low), (math.floor, self.high)))
        bits = int(bool(span[2])) | 2 * (self.zero and self.low <= ZERO and self.high >= -ZERO)
        if self.zero and abs(self.low) <= ZERO:
            self.low = 1.0 if self.whole else ABOVE
        if self.zero and abs(self.high) <= ZERO:
            self.high = -1.0 if self.whole else BELOW
        some = self.low <= self.high
        self.query: Box = (self.cell(self.low), self.cell(self.high), bits) if some else (0, -1, bits)
        self.full: Box = (0, len(self.cuts), 3 if self.zero else 1)

    def _category(self, place: int, span: list[Any], programs: list[Program], nodes: list[Any]) -> None:
        codes = max([program.levels[place] for program in programs] + [max(node[5], default=-1) + 1 for node in nodes])
        if any(not 0 <= int(code) < codes for code in span[0]):
            raise Rejected(f"the query holds a code that input {place} does not have")
        self.cuts, self.zero, self.codes = np.empty(0), False, codes
        self.query = (0, -1, sum(2 << int(code) for code in set(span[0])) | int(bool(span[1])))
        self.full = (0, -1, (2 << codes) - 1)

    def cut(self, t: float, narrow: bool) -> float:
        """The largest number that goes left at a threshold, among those that the query speaks of."""
        if narrow:
            return self.raw(_narrow(t))
        return self.raw(t if abs(t) > ZERO or t == ZERO else ZERO if t >= 0 else BELOW)

    def raw(self, x: float) -> float:
        """The largest number that the query speaks of up to x; what is read as 0 stands apart where zero does."""
        x = float(math.floor(x)) if self.whole and math.isfinite(x) else x
        return (-1.0 if self.whole else BELOW) if self.zero and abs(x) <= ZERO else x

    def cell(self, value: float) -> int:
        return int(np.searchsorted(self.cuts, value, side="left"))

    def at(self, value: float | None) -> Box:
        """The box of one value, of None for missing."""
        if self.coded:
            inside = value is not None and 0 <= value < self.codes and value == int(value)
            return (0, -1, 2 << int(value) if inside and value is not None else 1)
        if value is None or math.isnan(value):
            return (0, -1, 1)
        if self.whole and value != math.floor(value):
            raise Rejected(f"{value} is no whole number")
        return (0, -1, 2) if self.zero and abs(value) <= ZERO else (self.cell(value), self.cell(value), 0)

    def ends(self, box: Box) -> tuple[float, float]:
        """The least and greatest number in the cells of a box."""
        cut = -math.inf if box[0] == 0 else float(self.cuts[box[0] - 1])
        above = cut if cut == -math.inf else cut + 1 if self.whole else math.nextafter(cut, math.inf)
        if self.zero and abs(above) <= ZERO:
            above = 1.0 if self.whole else ABOVE
        return max(self.low, above), self.high if box[1] >= len(self.cuts) else min(self.high, float(self.cuts[box[1]]))

    def split(self, box: Box, node: Any) -> tuple[Box, Box]:
        """What of a box goes left and right at a node."""
        _, threshold, flags, coded, narrow, codes = node
        low, high, bits = box
        if coded:
            left = bits & sum(2 << code for code in codes)
            return (0, -1, left), (0, -1, bits & ~left)
        kind, default, at_zero = flags >> 2, flags & 1, int(threshold >= 0)
        left = int(default if kind in (1, 2) else at_zero) | 2 * int(default if kind == 1 else at_zero)
        x = self.cut(threshold, narrow)
        last = len(self.cuts) if x == math.inf else self.cell(x)
        return (low, min(high, last), bits & left), (max(low, last + 1), high, bits & ~left)


def trees(program: Program, axes: list[Axis]) -> Iterator[tuple[list[list[Box]], np.ndarray]]:
    """Every tree and table: its leaves as boxes, one Box an input, and their values (leaves, outputs)."""
    for kind, a in program.terms:
        if kind["type"] == "trees":
            nodes = list(_nodes_of(kind, a))
            for root, output in zip(a["root"].tolist(), a["output"].tolist()):
                leaves, boxes = [], []
                waiting = [(root, [axis.full for axis in axes])]
                while waiting:
                    at, box = waiting.pop()
                    if at < 0:
                        leaves.append(-1 - at)
                        boxes.append(box)
                        continue
                    place = nodes[at][0]
                    for child, part in zip((a["left"][at], a["right"][at]), axes[place].split(box[place], nodes[at])):
                        if part[0] <= part[1] or part[2]:
                            waiting.append((int(child), [*box[:place], part, *box[place + 1:]]))
                leaf = a["leaf"][leaves].astype(np.float64) / float(kind.get("divisor", 1.0))
                if leaf.shape[1] == 1:
                    leaf = leaf * (np.arange(program.outputs) == output)
                yield boxes, leaf
        elif kind["type"] == "lookup":
            yield _table(kind["places"], a, axes)


def _table(places: list[int], a: Any, axes: list[Axis]) -> tuple[list[list[Box]], np.ndarray]:
    boxes = [[axis.full for axis in axes]]
    for number, place in enumerate(places):
        axis, cuts = axes[place], a[f"cuts{number}"]
        size = a["values"].shape[number]
        if axis.coded:
            beyond = sum(2 << code for code in range(size - 1, axis.codes))  # codes without a cell count as missing
            parts = [(0, -1, 1 | beyond), *((0, -1, 2 << code) for code in range(size - 1))]
        else:
            last = [axis.cell(axis.raw(_before(c))) for c in cuts]
            first = [0, *(one + 1 for one in last)]
            zero = int(np.searchsorted(cuts, 0.0, side="right"))
            parts = [(0, -1, 1)] + [(lo, hi, 2 * (n == zero))
                                    for n, (lo, hi) in enumerate(zip(first, [*last, len(axis.cuts)]))]
        boxes = [[*box[:place], _both(box[place], part), *box[place + 1:]] for box in boxes for part in parts]
    return boxes, a["values"].reshape(len(boxes), -1).astype(np.float64)


def _both(one: Box, other: Box) -> Box:
    return max(one[0], other[0]), min(one[1], other[1]), one[2] & other[2]


def _nodes(program: Program) -> Iterator[Any]:
    for kind, a in program.terms:
        if kind["type"] == "trees":
            yield from _nodes_of(kind, a)


def _nodes_of(kind: dict[str, Any], a: Any) -> Iterator[Any]:
    """Of every node: input, threshold, flags, whether categorical, whether rows are rounded to float32, codes left."""
    narrow = bool(kind.get("narrow", False))
    for place, t, flags, words in zip(a["feature"].tolist(), a["threshold"].tolist(), a["flags"].tolist(),
                                      a["words"].tolist()):
        coded, codes = bool(flags & 2), []
        if coded:
            bits = [int(word) for word in a["bits"][int(t) : int(t) + words]]
            codes = [32 * n + b for n, word in enumerate(bits) for b in range(32) if word >> b & 1]
        elif math.isnan(t):
            raise Rejected("the program has a node that no certificate can speak of")
        yield place, t, flags, coded, narrow, codes


def _tables(program: Program, place: int) -> Iterator[np.ndarray]:
    for kind, a in program.terms:
        if kind["type"] == "lookup":
            yield from (a[f"cuts{n}"] for n, one in enumerate(kind["places"]) if one == place)


def _before(cut: float) -> float:
    """The largest number below a cut of a table, which sends what is equal to it to the right."""
    if not cut > -math.inf:
        raise Rejected("the program has a table that no certificate can speak of")
    return math.nextafter(float(cut), -math.inf)


def _narrow(t: float) -> float:
    """The largest double that rounds to a float32 at or below t."""
    with np.errstate(over="ignore"):
        f = np.float32(t)
        f = np.nextafter(f, np.float32(-np.inf)) if float(f) > t else f
        if f == np.inf:
            return math.inf
        ends = [float(np.clip(float(x), -2.0**128, 2.0**128)) for x in (f, np.nextafter(f, np.float32(np.inf)))]
        middle = (ends[0] + ends[1]) / 2
        return middle if np.float32(middle) == f else math.nextafter(middle, -math.inf)
