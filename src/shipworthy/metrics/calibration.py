"""Whether a probability means what it says.

Bins hold equal shares of the rows. Equal probabilities are never parted, so the order of rows has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shipworthy.errors import Misuse
from shipworthy.metrics.arrays import Array, Floats, Ints, columns
from shipworthy.metrics.intervals import wilson
from shipworthy.metrics.ranks import midranks


@dataclass(frozen=True)
class Reliability:
    """The reliability curve, one entry a bin that has rows, by rising probability.

    mean_p: mean probability. mean_y: share of positives. n: rows. low, high: Wilson interval of mean_y.
    """

    mean_p: Floats
    mean_y: Floats
    n: Ints
    low: Floats
    high: Floats


def reliability(truth: Array, probability: Array, *, bins: int = 15, level: float = 0.95) -> Reliability:
    """Mean probability against share of positives in at most `bins` bins of equal mass.

    truth: (n,) of 0 or 1. probability: (n,) in [0, 1]. No bins if n is 0. Raises Misuse on a NaN probability.
    Source: DeGroot and Fienberg (1983); bins: Nguyen and O'Connor (2015); interval: Wilson (1927).
    """
    if bins < 1:
        raise Misuse(f"bins = {bins} is less than 1", where="bins", hint="give 1 or more")
    actual, chance = columns(truth, probability)
    if np.isnan(chance).any():
        raise Misuse("a probability is NaN", where="probability", hint="leave out the rows without a prediction")
    place = ((midranks(chance) - 0.5) * bins / max(len(chance), 1)).astype(np.int64)
    n = np.bincount(place, minlength=bins)
    full = n > 0
    rows = n[full]
    hits = np.bincount(place, weights=actual == 1, minlength=bins)[full]
    mean_p = np.bincount(place, weights=chance, minlength=bins)[full] / rows
    ends = [wilson(int(k), int(m), level=level) for k, m in zip(hits, rows, strict=True)]
    low, high = np.array(ends).reshape(-1, 2).T
    return Reliability(mean_p, hits / rows, rows.astype(np.int64), low, high)


def expected_calibration_error(truth: Array, probability: Array, *, bins: int = 15) -> float:
    """Mean distance of probability from share of positives, by bin, in [0, 1]; lower is better.

    truth: (n,) of 0 or 1. probability: (n,) in [0, 1]. NaN if n is 0 or a probability is NaN.
    Small samples look worse than they are: a perfect model shows about 0.8·√(p(1 − p)·bins/n).
    Source: Naeini, Cooper and Hauskrecht (2015), with equal-mass bins.
    """
    if not len(probability) or np.isnan(columns(truth, probability)[1]).any():
        return float("nan")
    curve = reliability(truth, probability, bins=bins)
    return float(np.average(np.abs(curve.mean_p - curve.mean_y), weights=curve.n))
