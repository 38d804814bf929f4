"""The map from score to probability, fitted on the tune part: by a slope, or by steps where rows abound."""

from __future__ import annotations

import numpy as np

from shipworthy.core.program import TINY, Calibration, Scaling, logistic
from shipworthy.core.table import Floats, Ints
from shipworthy.metrics.losses import row_losses

KNOTS = 40
FOLDS = 5
FEW = 500


def calibration(scores: Floats, truth: Floats | Ints, task: str) -> Calibration | Scaling | None:
    """The calibration for these scores; None for a regression, or where a higher score does not mean a higher chance.

    Several classes: a temperature. Two: Platt's scaling, or isotonic steps if they are better on rows held out in turn
    by more than one standard error; never steps on fewer than 500 rows.
    Source: Niculescu-Mizil and Caruana (2005), who find isotonic regression to need about 1,000 rows.
    """
    if task == "regression":
        return None
    if task == "multiclass":
        return temperature(scores, truth)
    smooth = platt(scores, truth)
    if len(truth) < FEW:
        return smooth
    gain = _held_out(scores, truth)
    steps = gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain))
    return isotonic(scores, truth) if steps or smooth is None else smooth


def isotonic(scores: Floats, truth: Floats | Ints) -> Calibration:
    """The non-decreasing map from score to observed share, as at most 40 knots of equal mass.

    Source: Zadrozny and Elkan (2002); pooled by equal mass so that no knot rests on a few rows.
    """
    from sklearn.isotonic import IsotonicRegression

    order = np.argsort(scores, kind="stable")
    groups = np.array_split(order, min(KNOTS, max(2, len(order) // 50)))
    middle = np.array([scores[group].mean() for group in groups])
    share = np.array([truth[group].mean() for group in groups])
    weight = np.array([len(group) for group in groups], np.float64)
    smooth = (share * weight + 0.5) / (weight + 1)
    steps = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")  # equal but for rounding is not beyond
    value = steps.fit(middle, smooth, sample_weight=weight).predict(middle)
    knots, first = np.unique(middle, return_index=True)
    return Calibration(tuple(map(float, knots)), tuple(map(float, np.maximum.accumulate(value[first]))))


def platt(scores: Floats, truth: Floats | Ints) -> Scaling | None:
    """Slope and intercept of the log-odds with the highest likelihood; None without a slope above 0.

    scores: (n,) probabilities of the second class. Targets are drawn in by Laplace's rule, never quite 0 or 1.
    Source: Platt (1999); Lin, Lin and Weng (2007) for the damped Newton steps.
    """
    came = np.asarray(truth) == 1
    target = np.where(came, (came.sum() + 1) / (came.sum() + 2), 1 / ((~came).sum() + 2))
    chance = np.clip(scores, TINY, 1 - TINY)
    given = np.stack([np.log(chance) - np.log1p(-chance), np.ones(len(chance))], axis=1)
    found, loss = np.array([1.0, 0.0]), np.inf
    for _ in range(100):
        p = logistic(given @ found)
        pull = given.T @ (p - target)
        bend = (given * (p * (1 - p))[:, None]).T @ given + 1e-10 * np.eye(2)
        step = np.linalg.solve(bend, pull)
        size = 1.0
        while size > 1e-8 and _surprise(given @ (found - size * step), target) > _surprise(given @ found, target):
            size /= 2
        found = found - size * step
        before, loss = loss, _surprise(given @ found, target)
        if not before - loss > 1e-12 * (1 + abs(loss)):
            break
    return Scaling(float(found[0]), float(found[1])) if np.isfinite(found).all() and found[0] > 0 else None


def temperature(scores: Floats, truth: Floats | Ints) -> Scaling:
    """The slope of the logarithms of (n, k) probabilities that makes the truth most likely; it turns no order round.

    Source: Guo, Pleiss, Sun and Weinberger (2017), section 4.2.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda power: float(row_losses(Scaling(float(np.exp(power)))(scores), truth, "multiclass").mean()),
        bounds=(-3.0, 3.0), method="bounded", options={"xatol": 1e-6})
    return Scaling(float(np.exp(found.x)))


def _held_out(scores: Floats, truth: Floats | Ints) -> Floats:
    """How much lower the loss of every row is by steps than by a slope, each fitted on the other folds."""
    gain = np.zeros(len(truth))
    for fold in range(FOLDS):
        held = np.arange(len(truth)) % FOLDS == fold
        smooth = platt(scores[~held], truth[~held])
        plain = smooth(scores[held]) if smooth else scores[held]
        steps = isotonic(scores[~held], truth[~held])(scores[held])
        gain[held] = row_losses(plain, truth[held], "binary") - row_losses(steps, truth[held], "binary")
    return gain


def _surprise(odds: Floats, target: Floats) -> float:
    """Log loss of log-odds against targets, summed."""
    return float((np.logaddexp(0.0, odds) - target * odds).sum())
