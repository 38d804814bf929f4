"""Small random programs, and every row that could tell two of their cells apart: proofs against brute force."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from shipworthy.core.features import Input
from shipworthy.core.program import Program, Term, Trees
from shipworthy.core.table import Floats
from shipworthy.kernels.pure import ZERO
from shipworthy.verification.formal.cells import ABOVE_ZERO, BELOW_ZERO, PAST_FLOAT32
from shipworthy.verification.formal.claims import Domain, Span

CUTS = (0.0, 1e-36, -1e-36, ZERO, -ZERO, 0.1, 0.5, 1.0, 1.5, -2.0, np.inf, 3.0000001, 16777217.0, 1e300, -0.3)
NARROW_CUTS = (0.0, 0.1, 0.5, 1.0, -2.0, 1e-46, np.inf, 16777217.0, 1e300, float(np.finfo(np.float32).max))
ENDS = (-1e308, 1e308, -np.inf, np.inf, 1e-36, -1e-36, ZERO, -ZERO, BELOW_ZERO, ABOVE_ZERO, 0.0, 5.0, -5.0,
        PAST_FLOAT32, np.nextafter(PAST_FLOAT32, 0), -PAST_FLOAT32, np.nextafter(-PAST_FLOAT32, 0))
MOST_ROWS = 20_000


class _Grown:
    def __init__(self, random: np.random.Generator, levels: Sequence[int], outputs: int, narrow: bool) -> None:
        self.random, self.levels, self.narrow = random, levels, narrow
        self.width = outputs if random.random() < 0.3 else 1
        self.rows: list[tuple[int, float, int, int, int, int]] = []
        self.leaf: list[list[float]] = []
        self.bits: list[int] = []

    def grow(self, depth: int) -> int:
        random = self.random
        if depth == 0 or random.random() < 0.2:
            self.leaf.append([float(value) / 4 for value in random.integers(-8, 9, self.width)])
            return -len(self.leaf)
        at, place = len(self.rows), int(random.integers(len(self.levels)))
        self.rows.append((0, 0.0, 0, 0, 0, 0))
        if self.levels[place]:
            codes = [code for code in range(self.levels[place] + 3) if random.random() < 0.4]
            words = [0] * (max(codes, default=0) // 32 + 1)
            for code in codes:
                words[code // 32] |= 1 << code % 32
            threshold, flags, count = float(len(self.bits)), 2 | int(random.integers(2)), len(words)
            self.bits += words
        else:
            threshold, count = float(random.choice(NARROW_CUTS if self.narrow else CUTS)), 0
            flags = int(random.integers(2)) | int(random.choice([0, 2] if self.narrow else [0, 1, 2])) << 2
        self.rows[at] = (place, threshold, self.grow(depth - 1), self.grow(depth - 1), flags, count)
        return at


def term(random: np.random.Generator, levels: Sequence[int], outputs: int = 1) -> Term:
    """Up to four trees of depth at most three, with awkward thresholds, codes, missing kinds and rounding."""
    narrow = bool(random.random() < 0.3)
    grown = _Grown(random, levels, outputs, narrow)
    count = int(random.integers(1, 5))
    roots = [grown.grow(int(random.integers(1, 4))) for _ in range(count)]
    columns = list(zip(*grown.rows, strict=True)) or [()] * 6
    kinds = ("feature", "threshold", "left", "right", "flags", "words")
    arrays = {kind: np.array(column, np.float64 if kind == "threshold" else np.int32)
              for kind, column in zip(kinds, columns, strict=True)}
    return Term(Trees(float(random.choice([1.0, 2.0])), narrow), {
        **arrays, "root": np.array(roots, np.int32), "output": random.integers(0, outputs, count).astype(np.int32),
        "bits": np.array(grown.bits, np.uint32), "leaf": np.array(grown.leaf, np.float64),
        "base": random.integers(-2, 3, outputs).astype(np.float64)})


def program(random: np.random.Generator, levels: Sequence[int], outputs: int = 1) -> Program:
    inputs = tuple(Input(f"x{place}", count) for place, count in enumerate(levels))
    link = "identity" if outputs == 1 else "softmax"
    return Program(inputs, (term(random, levels, outputs),), link, tuple("abc"[:outputs]) if outputs > 1 else ())


def levels_of(random: np.random.Generator) -> list[int]:
    """Kinds of one to three inputs: 0 for a number, else how many codes; now and then more than a word of them."""
    return [int(random.choice([0, 0, 3, 70 if random.random() < 0.1 else 4])) for _ in range(random.integers(1, 4))]


def domain(random: np.random.Generator, levels: Sequence[int]) -> Domain:
    spans = []
    for count in levels:
        missing = bool(random.random() < 0.5)
        if count:
            spans.append(Span(missing=missing, codes=tuple(c for c in range(count) if random.random() < 0.7) or (0,)))
        else:
            low, high = float(random.choice([-np.inf, -2.0, 0.0, 0.1])), float(random.choice([np.inf, 3.0, 0.5, 0.1]))
            spans.append(Span(low, max(low, high), missing, bool(random.random() < 0.3)))
    return Domain(tuple(spans))


def values(programs: Sequence[Program], place: int, span: Span, more: Sequence[float] = ()) -> list[float]:
    """Values of one input on both sides of everything that could be a border."""
    found = [float(code) for code in span.codes or ()]
    if span.codes is None:
        near = {*ENDS, span.low, span.high, *more}
        for each in programs:
            for one in each.terms:
                for cut in one.arrays["threshold"][one.arrays["feature"] == place]:
                    near |= _around(float(cut))
        if span.whole:
            near = {float(side(value)) + step for value in near for side in (np.floor, np.ceil) for step in (-1, 0, 1)}
        found = sorted(value for value in near if span.low <= value <= span.high)
    return found + [np.nan] * span.missing


def _around(cut: float) -> set[float]:
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = np.float32(cut)
        up, down = np.nextafter(narrow, np.float32(np.inf)), np.nextafter(narrow, np.float32(-np.inf))
        middles = {float(narrow) + (float(side) - float(narrow)) / 2 for side in (up, down)}
        found = {cut, float(narrow), float(up), float(down), *middles}
        return {side for value in found if not np.isnan(value)
                for side in (value, float(np.nextafter(value, np.inf)), float(np.nextafter(value, -np.inf)))}


def rows(programs: Sequence[Program], where: Domain, more: Floats | None = None) -> Floats | None:
    """Every row of such values, (n, inputs); None if there are more than MOST_ROWS."""
    sides = [values(programs, place, span, () if more is None or np.isnan(more[place]) else (float(more[place]),))
             for place, span in enumerate(where.spans)]
    if not 0 < np.prod([float(len(side)) for side in sides]) <= MOST_ROWS:
        return None
    return np.array(list(itertools.product(*sides)), np.float64)
