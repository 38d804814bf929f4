"""How much rows depend on their neighbours: a stormy day makes a thousand flights late, and is one day.

Source: Kish (1965), the design effect; von Neumann (1941), variance from successive differences, which a change of the
mean disturbs once and not for good; the largest tenth of their squares is left out, so that not even that once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shipworthy.core.table import Floats
from shipworthy.deployment.updating.adwin import window

SHORTEST, FEWEST = 8, 30
TRIM, CHI = 0.9, 0.6230  # the mean of a squared standard normal without the largest tenth
NEAR = 0.8
LEAST = 2.0  # one change, or the chance of many lengths, may look like less


class Dependence(NamedTuple):
    """effect: how many dependent rows tell as much of a mean as one independent row, 1 or more. length: in rows, how
    long stretches are whose means are about independent, 1 or more.
    """

    effect: float = 1.0
    length: int = 1


def dependence(losses: Floats) -> Dependence:
    """How much the rows of a series depend on each other. losses: (n,), oldest first.

    Tried are stretches of 8, 16, 32 … rows, as long as there are 30 of them; fewer than 240 rows count as independent.
    """
    rows, length = float(np.var(losses)) if len(losses) else 0.0, SHORTEST
    found: list[Dependence] = []
    while rows > 0 and len(losses) // length >= FEWEST:
        means = losses[len(losses) % length:].reshape(-1, length).mean(axis=1)
        squares = np.sort(np.diff(means) ** 2)[: int(TRIM * (len(means) - 1))] / (2 * CHI)
        low = float(squares.mean() - 2 * squares.std() / np.sqrt(len(squares)))
        found.append(Dependence(low * length / rows, length))
        length *= 2
    top = max((one.effect for one in found), default=1.0)
    if top < LEAST:
        return Dependence()
    return Dependence(top, next(one.length for one in found if one.effect >= NEAR * top))


def steady(losses: Floats) -> int:
    """How many of the newest rows share one mean, at least 1, for rows that depend on their neighbours.

    losses: (n,) in [0, 1], oldest first.
    """
    return window(losses, effect=dependence(losses).effect)
