"""Random programs of every kind of term and link, hostile rows for them, and their scores by the pure kernel alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.core.features import Input
from shipworthy.core.program import Calibration, Dense, Linear, Lookup, Program, Scaling, Term, Trees
from shipworthy.kernels import dense, pure

D = 5
TINY = float(np.float32(1e-35))
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, TINY, -TINY, np.nextafter(TINY, 1), -np.nextafter(TINY, 1),
                    1e-36, 5e-324, 1e300, -1e300, 3.5e38, -1.0, -0.5, 0.9, 31.0, 32.0, 63.0, 63.9, 64.0, 70.0, 1e6,
                    2.0**31, 2.0**32, 2.0**63, 1e19])


def random_program(random: np.random.Generator) -> Program:
    """A program over D inputs with one to four terms."""
    link = str(random.choice(["identity", "logistic", "softmax", "share"]))
    k = int(random.integers(2, 11)) if link in ("softmax", "share") else 1
    makers = (_linear, _lookup, _trees, _trees, network)
    terms = tuple(makers[int(random.integers(5))](random, k) for _ in range(random.integers(1, 5)))
    calibration: Calibration | Scaling | None = None
    if random.random() < 0.3:
        calibration = Scaling(float(random.uniform(0.1, 3)), float(random.normal()))
    elif k == 1 and random.random() < 0.5:
        knots = int(random.integers(1, 6))
        calibration = Calibration(*(tuple(np.sort(random.integers(-4, 5, knots) / 4).tolist()) for _ in range(2)))
    names = tuple(f"class {n}" for n in range(max(k, 2))) if link != "identity" else ()
    return Program(tuple(Input(f"x{n}") for n in range(D)), terms, link, names, calibration)  # type: ignore[arg-type]


def rows_for(program: Program, random: np.random.Generator, rows: int) -> np.ndarray:
    """Rows of ordinary numbers and codes, of every number at which a term can jump with its two neighbours, and of
    special numbers."""
    cuts = np.concatenate([[0.0], *(one for term in program.terms for one in term.thresholds.values())])
    edges = np.concatenate([cuts, np.nextafter(cuts, -np.inf), np.nextafter(cuts, np.inf), SPECIAL])
    width = len(program.inputs)
    usual = np.where(random.random((rows, width)) < 0.5, random.normal(size=(rows, width)),
                     random.integers(-2, 110, (rows, width)))
    return np.where(random.random((rows, width)) < 0.5, usual, random.choice(edges, (rows, width)))


def pure_margin(program: Program, inputs: np.ndarray) -> np.ndarray:
    """The margin by `pure` alone, whatever kernel the program would take."""
    total = np.zeros((len(inputs), program.outputs))
    with np.errstate(all="ignore"):
        for term in program.terms:
            if isinstance(term.kind, Linear):
                total += pure.linear(inputs, term.arrays)
            elif isinstance(term.kind, Lookup):
                total += pure.table(inputs, term.arrays, term.kind.places)
            elif isinstance(term.kind, Dense):
                total += dense.score(inputs, term.arrays, term.kind.activation)
            else:
                total += pure.trees(inputs, term.arrays, divisor=term.kind.divisor, narrow=term.kind.narrow)
    return total


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays of float64 are equal to the last bit; one NaN is as good as another."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    return a.shape == b.shape and bool(((a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))).all())


def _linear(random: np.random.Generator, k: int) -> Term:
    m = int(random.integers(0, 7))
    return Term(Linear(), {"place": random.integers(0, D, m), "fill": random.normal(size=m),
                           "weight": random.normal(size=(m, k)), "missing": random.normal(size=(m, k)),
                           "intercept": random.normal(size=k)})


def _lookup(random: np.random.Generator, k: int) -> Term:
    arrays: dict[str, Any] = {}
    places = tuple(int(place) for place in random.integers(0, D, random.integers(1, 3)))
    shape = []
    for axis, _ in enumerate(places):
        count = int(random.integers(0, 6))
        arrays[f"cuts{axis}"] = np.sort(random.normal(size=count).round(1))
        shape.append(count + 2 if count else int(random.integers(1, 80)))
    return Term(Lookup(places), {**arrays, "values": random.normal(size=(*shape, k))})


def _trees(random: np.random.Generator, k: int) -> Term:
    rows: list[list[float]] = []
    roots: list[int] = []
    bits: list[int] = []
    leaves = 0
    for _ in range(random.integers(0, 20)):
        size, start = int(random.integers(0, 40)), len(rows)
        loose: list[tuple[int, int]] = []
        for _ in range(size):
            if len(rows) > start:
                parent, side = loose.pop(int(random.integers(len(loose))))
                rows[parent][1 + side] = len(rows)
            loose += [(len(rows), 0), (len(rows), 1)]
            rows.append(_node(random, bits))
        for parent, side in loose:
            leaves += 1
            rows[parent][1 + side] = -leaves
        if not size:
            leaves += 1
        roots.append(start if size else -leaves)
    columns = np.array(rows).reshape(-1, 6).T
    names = ("feature", "left", "right", "flags", "words", "threshold")
    arrays = {name: column if name == "threshold" else column.astype(np.int32)
              for name, column in zip(names, columns, strict=True)}
    width = k if random.random() < 0.3 else 1
    kind = Trees(divisor=float(random.choice([1.0, 3.0, 100.0])), narrow=bool(random.random() < 0.5))
    return Term(kind, {**arrays, "root": np.array(roots, np.int32), "base": random.normal(size=k),
                       "output": random.integers(0, k, len(roots)).astype(np.int32),
                       "bits": np.array(bits, np.uint32), "leaf": random.normal(size=(leaves, width))})


def _node(random: np.random.Generator, bits: list[int]) -> list[float]:
    feature = float(random.integers(0, D))
    if random.random() < 0.6:
        cut = random.choice([0.0, -0.0, TINY, np.inf, -np.inf, np.nan]) if random.random() < 0.1 else random.normal()
        return [feature, 0, 0, float(random.integers(0, 2) | random.integers(0, 4) << 2), 0, float(cut)]
    words = int(random.integers(0, 5))
    first = len(bits)
    bits += [int(word) if random.random() < 0.8 else 0 for word in random.integers(0, 2**32, words)]
    return [feature, 0, 0, float(2 | random.integers(0, 16)), words, first]


def network(random: np.random.Generator, k: int) -> Term:
    """A network of one to five layers over D inputs, with weights of -0 and of ordinary size."""
    m = int(random.integers(0, 7))
    levels = np.where(random.random(m) < 0.4, random.integers(1, 40, m), 0)
    ends = np.sort(random.normal(size=(2, m)).round(1) * random.choice([0.0, 1.0, 1e9], m), axis=0)
    arrays: dict[str, Any] = {
        "place": random.integers(0, D, m), "levels": levels, "low": ends[0], "high": ends[1],
        "fill": random.normal(size=m), "offset": random.normal(size=m), "scale": random.uniform(0.1, 3, m)}
    columns = int(np.where(levels > 0, levels, 2).sum())
    depth = int(random.integers(1, 6))
    for number in range(depth):
        units = k if number == depth - 1 else int(random.integers(1, 41))
        weight = np.where(random.random((columns, units)) < 0.1, -0.0, random.normal(size=(columns, units)))
        arrays |= {f"weight{number}": weight, f"bias{number}": random.choice([-0.0, 0.5, -3.0, 1e9], units)}
        columns = units
    return Term(Dense(str(random.choice(["identity", "logistic", "relu", "tanh"]))), arrays)  # type: ignore[arg-type]
