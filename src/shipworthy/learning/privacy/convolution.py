"""The same bound reckoned another way: the distribution of the privacy loss, composed by Fourier transform.

Shares no code with the accountant. Every rounding is upwards and all mass that is cut off counts as lost, so what is
found is an upper bound too, and mostly a lower one than the accountant's.
Source: Koskela, Jälkö and Honkela (2020), "Computing Tight Differential Privacy Guarantees Using FFT"; Meiser and
Mohammadi (2018), "Tight on Budget?", for rounding upwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.fft import irfft, rfft
from scipy.special import ndtr

from shipworthy.core.private import Step
from shipworthy.core.table import Floats

CELLS = 2**20
TAIL = 1e-15
LEAST_RANGE, MOST_RANGE = 4.0, 400.0


def epsilon_again(steps: Sequence[Step], delta: float) -> float:
    """The epsilon at this delta by composing privacy losses, for a row more and a row less, whichever is larger.

    Rows of the learn and of the tune part are reckoned apart, for no row is in both.
    """
    found = 0.0
    for part in sorted({step.part for step in steps}):
        mine = [step for step in steps if step.part == part]
        if any(step.sigma <= 0 for step in mine):
            return float("inf")
        found = max(found, *(_epsilon(mine, delta, removed=removed) for removed in (True, False)))
    return found


def _epsilon(steps: Sequence[Step], delta: float, *, removed: bool) -> float:
    """Doubles the range of losses until what lies outside it is nothing beside delta."""
    span = LEAST_RANGE
    while span <= MOST_RANGE:
        loss, chance, lost = _composed(steps, span, removed=removed)
        if lost < delta / 100:
            return _crossing(loss, chance, lost, delta)
        span *= 2
    return float("inf")


def _composed(steps: Sequence[Step], span: float, *, removed: bool) -> tuple[Floats, Floats, float]:
    """The grid of losses in [-span, span), their chance after all steps, and the chance of anything outside."""
    width = 2 * span / CELLS
    grid: Floats = np.asarray((np.arange(CELLS) - CELLS // 2) * width, np.float64)
    spectrum, kept, overflow = np.ones(CELLS // 2 + 1, np.complex128), 1.0, 0.0
    for step in steps:
        one = _one(step, grid, width, removed=removed)
        kept *= float(one.sum()) ** step.times
        overflow += _beyond(one, grid, step.times, span / len(steps))
        spectrum = spectrum * rfft(np.roll(one, -(CELLS // 2))) ** step.times
    chance = np.roll(irfft(spectrum, CELLS), CELLS // 2)
    return grid, np.maximum(chance, 0.0), max(0.0, 1 - kept) + overflow


def _one(step: Step, grid: Floats, width: float, *, removed: bool) -> Floats:
    """The chance of every loss of one step, each rounded up to the grid; losses beyond the grid are left out.

    removed: the losses of rows with one more against rows without it, under the former; else the other way round.
    """
    sigma, share = step.sigma, step.share
    edges = np.append(grid - width, grid[-1])
    if removed:
        below = _mixed(_place(edges, sigma, share), sigma, share)
    else:
        below = 1 - ndtr(_place(-edges, sigma, share) / sigma)
    chance = np.diff(below)
    chance[0] += below[0]
    return np.maximum(chance, 0.0)


def _place(loss: Floats, sigma: float, share: float) -> Floats:
    """Where the log of (1 - share) + share · N(1)/N(0) is this loss; minus infinity where it never is so low."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.log(np.maximum(np.expm1(loss) + share, 0.0)) - np.log(share)
    return np.asarray(sigma**2 * ratio + 0.5, np.float64)


def _mixed(place: Floats, sigma: float, share: float) -> Floats:
    return np.asarray((1 - share) * ndtr(place / sigma) + share * ndtr((place - 1) / sigma), np.float64)


def _beyond(one: Floats, grid: Floats, times: int, limit: float) -> float:
    """A bound of the chance that the summed losses of one kind of step exceed its share of the range.

    Source: Chernoff (1952).
    """
    if not one.sum():
        return 1.0
    found = 1.0
    for rate in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0):
        tails = []
        for side in (1.0, -1.0):
            with np.errstate(over="ignore"):
                moment = float(np.log(max(TAIL, float((one * np.exp(np.minimum(side * rate * grid, 700))).sum()))))
            tails.append(float(np.exp(min(0.0, times * moment - rate * limit))))
        found = min(found, sum(tails))
    return found


def _crossing(loss: Floats, chance: Floats, lost: float, delta: float) -> float:
    """The least epsilon of the grid at which delta suffices."""
    above = loss > 0
    loss, chance = loss[above][::-1], chance[above][::-1]
    mass, weighed = np.cumsum(chance), np.cumsum(chance * np.exp(-loss))
    needed = lost + mass - np.exp(loss) * weighed
    enough = np.flatnonzero(needed > delta)
    if not len(enough):
        return 0.0
    return float(loss[enough[0] - 1]) if enough[0] else float("inf")
