"""Random programs so small that every row they tell apart can be listed, and certificates that split everything."""

from __future__ import annotations

import json
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from shipworthy.core.features import Input
from shipworthy.core.program import Linear, Lookup, Program, Term, Trees
from shipworthy_check.program import Program as Read
from shipworthy_check.space import Axis

LEVELS = 3
INPUTS = (Input("x"), Input("word", LEVELS), Input("count"))
TINY = float(np.float32(1e-35))
CUTS = np.array([-1.5, -1.0, -TINY, 0.0, 1e-36, TINY, 0.1, 0.5, 1.0, 2.0, 2.5, np.inf])
PLAIN = CUTS[(np.abs(CUTS) > 1e-30) | (CUTS == 0)]


def program_of(seed: int, *, kinds: str = "tlr") -> Program:
    """One to three terms of trees (t), tables (l) and a line (r); one to three outputs."""
    random = np.random.default_rng(seed)
    outputs = int(random.choice([1, 1, 1, 3]))
    zero = random.random() < 0.3  # zero routed apart: nothing else may read the number in another way
    made = {"t": partial(_trees, zero=zero), "l": _table, "r": _line}
    kinds = "t" if zero else kinds
    terms = tuple(made[str(random.choice(list(kinds)))](random, outputs) for _ in range(random.integers(1, 4)))
    classes = ("a", "b", "c") if outputs == 3 else ("no", "yes")
    return Program(INPUTS, terms, "softmax" if outputs == 3 else "logistic", classes)


def spans_of(random: np.random.Generator) -> list[Any]:
    """A query: a number, a category and a whole number, each wide or narrow, with or without missing."""
    low, high = np.sort(random.choice([-3.0, -1.0, -0.5, 0.0, 0.1, 1.0, 2.7], 2, replace=False)).tolist()
    x = [None, None] if random.random() < 0.2 else [low, high]
    codes = sorted(random.choice(LEVELS, int(random.integers(1, LEVELS + 1)), replace=False).tolist())
    return [[*x, bool(random.random() < 0.5), False], [codes, bool(random.random() < 0.5)],
            [-2, int(random.integers(0, 4)), bool(random.random() < 0.5), True]]


def every_row(program: Program, spans: list[Any]) -> np.ndarray:
    """Rows of a query, one at least for whatever the program tells apart, and the ends of every range."""
    low, high, missing, _ = spans[0]
    near = np.float32(CUTS[:-1])
    halves = [(near.astype(np.float64) + np.nextafter(near, np.float32(to)).astype(np.float64)) / 2
              for to in (-np.inf, np.inf)]  # where rounding to float32 turns over
    cuts = np.concatenate([[0.0, -TINY, -0.5, -3.0, 2.7, -np.inf], CUTS, *halves])
    many = np.unique(np.concatenate([cuts, np.nextafter(cuts, -np.inf), np.nextafter(cuts, np.inf)]))
    x = many[(many >= (-np.inf if low is None else low)) & (many <= (np.inf if high is None else high))]
    reads_line = any(isinstance(term.kind, Linear) for term in program.terms)
    x = x[np.abs(x) < 1e100] if reads_line else x
    words = [*map(float, spans[1][0]), *([np.nan] if spans[1][1] else [])]
    counts = [*range(spans[2][0], spans[2][1] + 1), *([np.nan] if spans[2][2] else [])]
    return np.array(list(product([*x, *([np.nan] if missing else [])], words, counts)), np.float64)


def certificate(program: Program, view: list[dict[str, Any]], spans: list[Any], goal: float, tokens: str,
                **more: Any) -> dict[str, Any]:
    part = {"sum": view, "query": spans, "rules": [], "goal": goal, "slack": 0.0, "tokens": tokens}
    return {"format": 1, "programs": [program.digest], "parts": [part | more]}


def split_all(read: Read, spans: list[Any]) -> str:
    """The tokens that cut the query until no cut is left."""
    axes = [Axis(place, span, [read], []) for place, span in enumerate(spans)]
    waiting, tokens = [[axis.query for axis in axes]], []
    while waiting:
        box = waiting.pop()
        for place, (low, high, bits) in enumerate(box):
            one = bits & -bits
            if low < high:
                tokens.append(f"n {place} {low}")
                parts = [(low, low, bits), (low + 1, high, 0)]
            elif one and (bits != one or low <= high):
                tokens.append(f"m {place} {one:x}")
                parts = [(0, -1, one), (low, high, bits & ~one)]
            else:
                continue
            waiting += [[*box[:place], part, *box[place + 1:]] for part in reversed(parts)]
            break
        else:
            tokens.append("end")
    return " ".join(tokens)


def text(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def _trees(random: np.random.Generator, outputs: int, *, zero: bool) -> Term:
    narrow = not zero and bool(random.random() < 0.4)
    rows: list[list[float]] = []
    bits: list[int] = []
    roots, leaves = [], 0
    for _ in range(random.integers(1, 4)):
        start, loose = len(rows), []
        for _ in range(random.integers(0, 5)):
            if len(rows) > start:
                parent, side = loose.pop(int(random.integers(len(loose))))
                rows[parent][1 + side] = len(rows)
            loose += [(len(rows), 0), (len(rows), 1)]
            rows.append(_node(random, bits, zero))
        for parent, side in loose:
            leaves += 1
            rows[parent][1 + side] = -leaves
        leaves += not loose
        roots.append(start if loose else -leaves)
    names = ("feature", "left", "right", "flags", "words", "threshold")
    columns = np.array(rows).reshape(-1, 6).T
    arrays = {name: column if name == "threshold" else column.astype(np.int32)
              for name, column in zip(names, columns, strict=True)}
    width = outputs if random.random() < 0.5 else 1
    kind = Trees(divisor=float(random.choice([1.0, 3.0])), narrow=narrow)
    return Term(kind, {**arrays, "root": np.array(roots, np.int32), "base": random.normal(size=outputs),
                       "output": random.integers(0, outputs, len(roots)).astype(np.int32),
                       "bits": np.array(bits, np.uint32), "leaf": random.normal(size=(leaves, width)).round(3)})


def _node(random: np.random.Generator, bits: list[int], zero: bool) -> list[float]:
    feature = int(random.integers(0, 3))
    if feature == 1:
        bits.append(int(random.integers(0, 2 ** (LEVELS + 1))))
        return [1, 0, 0, 2, 1, len(bits) - 1]
    kind = int(random.choice([0, 1, 2] if zero else [0, 2]))
    return [feature, 0, 0, int(random.integers(0, 2)) | kind << 2, 0, float(random.choice(CUTS))]


def _table(random: np.random.Generator, outputs: int) -> Term:
    places = tuple(random.choice(3, int(random.integers(1, 3)), replace=False).tolist())
    arrays: dict[str, Any] = {}
    shape = []
    for axis, place in enumerate(places):
        cuts = np.empty(0) if place == 1 else np.sort(random.choice(PLAIN, int(random.integers(1, 4)), replace=False))
        arrays[f"cuts{axis}"] = cuts
        shape.append(LEVELS + 1 if place == 1 else len(cuts) + 2)
    return Term(Lookup(places), {**arrays, "values": random.normal(size=(*shape, outputs)).round(3)})


def _line(random: np.random.Generator, outputs: int) -> Term:
    return Term(Linear(), {"place": np.array([0, 2]), "fill": random.normal(size=2),
                           "weight": random.normal(size=(2, outputs)), "missing": random.normal(size=(2, outputs)),
                           "intercept": random.normal(size=outputs)})
