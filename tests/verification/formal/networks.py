"""Small random networks, and domains so small that every row can be listed."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from shipworthy.core.features import Input
from shipworthy.core.program import Dense, Program, Term
from shipworthy.core.table import Floats
from shipworthy.verification.formal.claims import Domain, Span

ACTIVATIONS = ("relu", "relu", "tanh", "logistic", "identity")
HELD = (("low", (-2, -1, 0)), ("high", (2, 3, 0)), ("fill", (0.5, 1, 0)), ("offset", (0.3, 1, 0)),
        ("scale", (1.7, 2, 1)))


def network_of(seed: int, outputs: int = 1, activation: str = "") -> Program:
    """Two numbers and a category of three levels, at most two hidden layers of at most five units."""
    random = np.random.default_rng([seed, 7])
    drawn = str(random.choice(ACTIVATIONS))
    sizes = [7, *random.integers(1, 6, int(random.integers(0, 3))).tolist(), outputs]
    layers = {f"{key}{n}": random.normal(0, 1.5, shape).round(2) for n, (a, b) in enumerate(itertools.pairwise(sizes))
              for key, shape in (("weight", (a, b)), ("bias", (b,)))}
    term = Term(Dense(activation or drawn), {  # type: ignore[arg-type]
        "place": np.array([0, 1, 2]), "levels": np.array([0, 0, 3]), **layers,
        **{key: np.array(values, np.float64) for key, values in HELD}})
    link, classes = ("identity", ()) if outputs == 1 else ("softmax", ("a", "b", "c"))
    return Program((Input("a"), Input("b"), Input("c", 3)), (term,), link, classes)  # type: ignore[arg-type]


def listed(seed: int) -> tuple[Domain, Floats, list[list[float]]]:
    """A domain of whole numbers and codes, every row of it, and the values of each input."""
    random = np.random.default_rng([seed, 8])
    ends = [np.sort(random.integers(-3, 4, 2)).tolist(), np.sort(random.integers(-2, 5, 2)).tolist()]
    codes = tuple(sorted(random.choice(3, int(random.integers(1, 4)), replace=False).tolist()))
    gone = (random.random(3) < 0.5).tolist()
    spans = [Span(float(low), float(high), missing, True) for (low, high), missing in zip(ends, gone, strict=False)]
    values = [[*map(float, range(low, high + 1)), *([np.nan] * missing)]
              for (low, high), missing in zip(ends, gone, strict=False)]
    values.append([*map(float, codes), *([np.nan] * gone[2])])
    return (Domain((*spans, Span(missing=gone[2], codes=codes))), np.array(list(itertools.product(*values))), values)


def most_gained(told: Callable[[Floats], Floats], values: list[list[float]], place: int,
                pairs: Callable[[float, float], bool]) -> float:
    """The largest gain when one input goes from a value to another, over all rows; −inf without a pair."""
    rest = [side if n != place else [0.0] for n, side in enumerate(values)]
    rows, margins = np.array(list(itertools.product(*rest))), []
    for value in values[place]:
        rows[:, place] = value
        margins.append(told(rows))
    return max((float((b - a).max()) for x, a in zip(values[place], margins, strict=True)
                for y, b in zip(values[place], margins, strict=True) if pairs(x, y)), default=-np.inf)
