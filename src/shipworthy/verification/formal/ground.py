"""What proofs about a model stand on: the margin from which it decides otherwise, and the rows that there can be."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from shipworthy.core.features import Number
from shipworthy.core.model import Model
from shipworthy.core.table import Floats
from shipworthy.verification.formal.claims import Domain, Span

FURTHEST = 1e9


def margin_cut(model: Model) -> float:
    """The least margin of a binary model that is decided for the second class; ±inf where every margin is alike.

    Link and calibration never fall, so the margins that are decided alike lie on one side of it.
    """
    def second(margin: float) -> bool:
        return bool(model.decide(model.program.finish(np.array([[margin]])))[0])

    return least_margin(second)


def least_margin(reaches: Callable[[float], bool]) -> float:
    """The least margin that reaches something which all greater ones reach too; ±inf where all do, or none."""
    low, high = -FURTHEST, FURTHEST
    if reaches(low):
        return -math.inf
    if not reaches(high):
        return math.inf
    while math.nextafter(low, math.inf) < high:
        middle = low + (high - low) / 2
        middle = middle if low < middle < high else math.nextafter(low, math.inf)
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def learnt_domain(model: Model, inputs: Floats) -> Domain:
    """All that lies within what learning rows span: numbers within their range, every level, missing where a category
    may be unknown or a learning row had none.

    inputs: (n, inputs) of the learning rows.
    """
    spans = []
    for place, one in enumerate(model.program.inputs):
        column = inputs[:, place]
        known = column[np.isfinite(column)]
        missing = bool(np.isnan(column).any()) or one.categorical
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
        spans.append(Span(missing=missing, codes=tuple(range(one.levels))) if one.categorical
                     else Span(low, high, missing))
    return Domain(tuple(spans))


def errors_of(model: Model, inputs: Floats, share: float, exact: frozenset[str] = frozenset()) -> Floats:
    """(inputs,) by how much each number may be off: a share of its standard deviation; 0 for categories, parts of times
    and columns that are exact."""
    spread = np.array([column[np.isfinite(column)].std() if np.isfinite(column).any() else 0.0 for column in inputs.T])
    free = [isinstance(encoder, Number) and encoder.column not in exact for encoder in model.features.encoders]
    return np.where(free, share * spread, 0.0)
