"""How far predicted numbers are from true ones.

truth, prediction: (n,), in the target's unit. Every metric is NaN if n is 0 or a value is NaN.
"""

from __future__ import annotations

import numpy as np

from shipworthy.errors import Misuse
from shipworthy.metrics.arrays import Array, columns, mean, ratio


def rmse(truth: Array, prediction: Array) -> float:
    """Root of the mean squared error, in the target's unit, ≥ 0; lower is better."""
    actual, said = columns(truth, prediction)
    return float(np.sqrt(mean((said - actual) ** 2)))


def mae(truth: Array, prediction: Array) -> float:
    """Mean absolute error, in the target's unit, ≥ 0; lower is better."""
    actual, said = columns(truth, prediction)
    return mean(np.abs(said - actual))


def median_absolute_error(truth: Array, prediction: Array) -> float:
    """Median absolute error, in the target's unit, ≥ 0; lower is better. Blind to the worse half."""
    actual, said = columns(truth, prediction)
    return float(np.median(np.abs(said - actual))) if len(said) else float("nan")


def mean_error(truth: Array, prediction: Array) -> float:
    """Mean of prediction − truth, in the target's unit; above 0 predicts too much, 0 is best."""
    actual, said = columns(truth, prediction)
    return mean(said - actual)


def r2(truth: Array, prediction: Array) -> float:
    """Share of the variance explained, 1 − SSE/SST, in (−∞, 1]; higher is better; 0 is as good as the mean.

    NaN if truth is constant. Source: Wright (1921), coefficient of determination.
    """
    actual, said = columns(truth, prediction)
    if not len(actual) or (actual == actual[0]).all():
        return float("nan")
    return 1 - ratio(float(((said - actual) ** 2).sum()), float(((actual - actual.mean()) ** 2).sum()))


def pinball(truth: Array, prediction: Array, *, level: float = 0.5) -> float:
    """Mean quantile loss, in the target's unit, ≥ 0; lower is better; half of `mae` at level 0.5.

    level: of the quantile that prediction claims to be, in (0, 1). Raises Misuse outside it.
    Source: Koenker and Bassett (1978).
    """
    if not 0 < level < 1:
        raise Misuse(f"level = {level} is not between 0 and 1", where="level", hint="the median is 0.5")
    actual, said = columns(truth, prediction)
    short = actual - said
    return mean(np.maximum(level * short, (level - 1) * short))
