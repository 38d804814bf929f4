"""A multi-layer perceptron over held, scaled numbers and one-hot categories as a term of a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shipworthy.core.features import Input
from shipworthy.core.program import Dense, Term
from shipworthy.core.table import Floats
from shipworthy.learning.training.lower_linear import design, moments


@dataclass(frozen=True)
class Scaled:
    """How rows become the columns of a network: numbers held within low and high, then as `design` makes them.

    low, high, centre, spread: (d,); unused for categories. A missing number is the centre, and has a flag.
    """

    kinds: tuple[Input, ...]
    low: Floats
    high: Floats
    centre: Floats
    spread: Floats

    def __call__(self, rows: Floats) -> Floats:
        """Inputs (n, d) as columns (n, columns)."""
        free = [kind.categorical for kind in self.kinds]
        held = np.where(free, rows, np.clip(rows, self.low, self.high))
        return design(held, self.kinds, self.centre, self.spread)


def scaled(inputs: Floats, kinds: Sequence[Input]) -> Scaled:
    """From training rows: their range, mean and standard deviation; 0, 0, 0 and 1 where there is none."""
    low, high = np.zeros(len(kinds)), np.zeros(len(kinds))
    for place, kind in enumerate(kinds):
        known = inputs[np.isfinite(inputs[:, place]), place]
        if not kind.categorical and known.size:
            low[place], high[place] = known.min(), known.max()
    return Scaled(tuple(kinds), low, high, *moments(inputs, kinds))


def lower_network(model: Any, columns: Scaled, *, centre: float = 0.0, spread: float = 1.0) -> Term:
    """The term equal to an `MLPClassifier` before its last activation, or to an `MLPRegressor`, times spread plus
    centre; up to the order of summing and the last bits of tanh and exp.

    model: fitted on `columns(inputs)`. Several classes: one margin each.
    """
    weights = [np.asarray(weight, np.float64) for weight in model.coefs_]
    biases = [np.asarray(bias, np.float64) for bias in model.intercepts_]
    weights[-1], biases[-1] = weights[-1] * spread, biases[-1] * spread + centre
    arrays = {
        "place": np.arange(len(columns.kinds)), "levels": np.array([kind.levels for kind in columns.kinds], np.int64),
        "low": columns.low, "high": columns.high, "fill": columns.centre, "offset": columns.centre,
        "scale": columns.spread, **{f"weight{n}": weight for n, weight in enumerate(weights)},
        **{f"bias{n}": bias for n, bias in enumerate(biases)},
    }
    return Term(Dense(model.activation), arrays)
