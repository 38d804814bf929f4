"""How much rows depend on their neighbours: a stormy day makes a thousand flights late, and is one day.

Source: Kish (1965), the design effect; von Neumann (1941), variance from successive differences, which a change of the
mean disturbs once and not for good; the median of their squares, so that not even that once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shipworthy.core.table import Floats
from shipworthy.deployment.updating.adwin import window

SHORTEST, FEWEST = 8, 50
CHI = 0.4549  # the median of the square of a standard normal
NEAR = 0.8


class Dependence(NamedTuple):
    """effect: how many dependent rows tell as much of a mean as one independent row, 1 or more. length: in rows, how
    long stretches are whose means are about independent, 1 or more.
    """

    effect: float = 1.0
    length: int = 1


def dependence(losses: Floats) -> Dependence:
    """How much the rows of a series depend on each other. losses: (n,), oldest first.

    Tried are stretches of 8, 16, 32 … rows, as long as there are 50 of them; fewer than 400 rows count as independent.
    """
    rows, length = float(np.var(losses)) if len(losses) else 0.0, SHORTEST
    found: list[Dependence] = []
    while rows > 0 and len(losses) // length >= FEWEST:
        means = losses[len(losses) % length:].reshape(-1, length).mean(axis=1)
        squares = np.diff(means) ** 2 / (2 * CHI)
        sure = 0.5 - 1 / np.sqrt(len(squares))  # the low end of an interval of the median
        found.append(Dependence(float(np.quantile(squares, sure)) * length / rows, length))
        length *= 2
    top = max((one.effect for one in found), default=1.0)
    if top <= 1:
        return Dependence()
    return Dependence(top, next(one.length for one in found if one.effect >= NEAR * top))


def steady(losses: Floats) -> int:
    """How many of the newest rows share one mean, at least 1, for rows that depend on their neighbours.

    losses: (n,) in [0, 1], oldest first.
    """
    return window(losses, effect=dependence(losses).effect)
