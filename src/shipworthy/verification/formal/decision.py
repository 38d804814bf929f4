"""The margin from which a binary model decides otherwise: where a claim about decisions becomes one about margins."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from shipworthy.core.model import Model

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
