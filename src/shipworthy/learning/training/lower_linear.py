"""A linear model over filled numbers and one-hot categories as terms of a program."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shipworthy.core.features import Input
from shipworthy.core.program import Linear, Lookup, Term
from shipworthy.core.table import Floats


def design(inputs: Floats, kinds: Sequence[Input], fill: Floats, spread: Floats) -> Floats:
    """The matrix that the library fits: numbers filled, centred and scaled, their missing flags, one-hot categories.

    inputs: (n, d). fill, spread: (d,) of the training rows; unused for categories. A missing category is all zeros.
    Columns: (number, flag) per numeric input, one per level of each category, in the order of the inputs.
    """
    blocks = []
    for place, kind in enumerate(kinds):
        column = inputs[:, place]
        absent = np.isnan(column)
        if kind.categorical:
            blocks.append((column[:, None] == np.arange(kind.levels)).astype(np.float64))
        else:
            scaled = (np.where(absent, fill[place], column) - fill[place]) / spread[place]
            blocks.append(np.stack([scaled, absent], axis=1))
    return np.concatenate(blocks, axis=1) if blocks else np.empty((len(inputs), 0))


def moments(inputs: Floats, kinds: Sequence[Input]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of every input over the training rows; 0 and 1 where there is none."""
    fill, spread = np.zeros(len(kinds)), np.ones(len(kinds))
    for place, kind in enumerate(kinds):
        known = inputs[np.isfinite(inputs[:, place]), place]
        if not kind.categorical and known.size:
            fill[place], spread[place] = known.mean(), known.std() or 1.0
    return fill, spread


def lower_linear(
    kinds: Sequence[Input], moments: tuple[Floats, Floats], coefficients: Floats, intercept: Floats
) -> tuple[Term, ...]:
    """Terms equal to `design(inputs) @ coefficients + intercept`, up to the order of summing.

    coefficients: (columns of design, k). intercept: (k,).
    """
    fill, spread = moments
    outputs = len(intercept)
    place, weight, missing, terms, at = [], [], [], [], 0
    shift = np.array(intercept, np.float64)
    for number, kind in enumerate(kinds):
        if kind.categorical:
            values = np.concatenate([np.zeros((1, outputs)), coefficients[at : at + kind.levels]])
            terms.append(Term(Lookup((number,)), {"cuts0": np.empty(0), "values": values}))
            at += kind.levels
        else:
            slope = coefficients[at] / spread[number]
            place.append(number)
            weight.append(slope)
            missing.append(coefficients[at + 1])
            shift = shift - slope * fill[number]
            at += 2
    shape = (len(place), outputs)
    linear = Term(Linear(), {
        "place": np.array(place, np.int64), "fill": fill[place] if place else np.empty(0),
        "weight": np.reshape(weight, shape).astype(np.float64),
        "missing": np.reshape(missing, shape).astype(np.float64), "intercept": shift,
    })
    return (linear, *terms)
