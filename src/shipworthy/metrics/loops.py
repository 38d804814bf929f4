"""Loops from answers back to labels: what noise on the answers tells of them, and weights that undo a biased log."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shipworthy.errors import Misuse
from shipworthy.metrics.arrays import Array, Floats, columns

FIXED = 2**30
WIDE = 3.0


def noise_products(noise: Array, later: Array) -> npt.NDArray[np.int64]:
    """What the gain of a loop is computed from, as integers, (n, 4), that add up: whether there is noise, then noise
    times what came later, noise squared, and the square of the first, each in units of 2⁻³⁰.

    noise: (n,) put on each answer, 0 for none. later: (n,) what was seen afterwards less its forecast, both within
    about ±1. Source: Wager, Chamandy, Muralidharan and Najmi (2014), Feedback detection for live predictors.
    """
    v, z = columns(noise, later)
    return np.asarray(np.rint(np.stack([(v != 0) / FIXED, v * z, v**2, (v * z) ** 2], axis=1) * FIXED), np.int64)


def loop_gain(sums: Array) -> tuple[float, float, float]:
    """The gain of a loop, the variance of one row's estimate of it, and the rows; from the sum of `noise_products`.

    The gain says how much of a small change of the answer is found in what comes later: Σνz / Σν². NaN without rows.

    >>> rounded = np.round(loop_gain(noise_products([0.1, -0.1], [0.05, -0.05]).sum(axis=0)), 3)
    >>> rounded.tolist()
    [0.5, 0.0, 2.0]
    """
    rows, product, square, spread = (float(one) for one in sums)
    if not rows or not square:
        return float("nan"), float("nan"), rows
    gain, power = product / square, square / FIXED / rows
    return gain, max(0.0, spread / FIXED / rows / power**2 - gain**2), rows


def simulated(
    score: Array, random: np.random.Generator, *, gain: float, scale: float
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Noise on each answer, (n,), and what came true of it, in a world where the answers make their own labels.

    score: (n,) true probabilities. gain: how much of the noise is added to the probability of what comes true.
    scale: standard deviation of the noise, which is cut at three of them and left out where it could pass 0 or 1.
    """
    p = columns(score)[0]
    inside = (p >= WIDE * scale) & (p <= 1 - WIDE * scale)
    noise = np.where(inside, np.clip(random.standard_normal(len(p)), -WIDE, WIDE) * scale, 0.0)
    return noise, random.random(len(p)) < np.clip(p + gain * noise, 0.0, 1.0)


def effective_rows(weights: Array) -> float:
    """How many rows of equal weight are worth as much, (Σw)² / Σw²; 0 if nothing weighs anything. Source: Kish (1965).

    >>> effective_rows(np.array([1.0, 1.0, 2.0])).__round__(3)
    2.667
    """
    weight = columns(weights)[0]
    square = float((weight**2).sum())
    return float(weight.sum()) ** 2 / square if square else 0.0


def inverse_weights(propensity: Array, *, most: float = 20.0) -> Floats:
    """1 / propensity, (n,), at most `most`: rows that chance let in weigh for those like them that it did not.

    Source: Horvitz and Thompson (1952); Ionides (2008) for the cut. Raises Misuse for a propensity outside (0, 1].
    """
    chance = columns(propensity)[0]
    if not ((chance > 0) & (chance <= 1)).all():
        raise Misuse("a propensity is above 0 and at most 1", where="inverse_weights",
                     hint="leave out the rows that could not have been seen")
    return np.asarray(np.minimum(1.0 / chance, most))
