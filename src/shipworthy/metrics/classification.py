"""How good class probabilities and decisions are.

truth: (n,) class codes 0…k−1; 1 is the positive class of two. probability: (n,) of the positive class, or
(n, k). decision: (n,) class codes. Every metric is NaN if n is 0 or a probability is NaN.
"""

from __future__ import annotations

import numpy as np

from shipworthy.errors import Misuse
from shipworthy.metrics.arrays import Array, Floats, columns, mean, ratio, same_length
from shipworthy.metrics.ranks import midranks, runs

_SMALLEST = float(np.finfo(np.float64).eps)


def auc(truth: Array, probability: Array) -> float:
    """Chance that a positive row outscores a negative one, ties counting half, in [0, 1]; higher is better.

    probability: (n,) any score, or (n, k), which gives the plain mean of the k one-against-rest values.
    NaN if a class has no rows, or all of them.
    Source: Mann and Whitney (1947); Hanley and McNeil (1982).

    >>> auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    if np.ndim(probability) == 2:
        _fits(truth, probability)
        return mean(np.array([auc(truth == code, column) for code, column in enumerate(probability.T)]))
    actual, score = columns(truth, probability)
    positive = actual == 1
    hits = int(positive.sum())
    misses = len(score) - hits
    if not hits or not misses or np.isnan(score).any():
        return float("nan")
    wins = midranks(score)[positive].sum() - hits * (hits + 1) / 2
    return float(wins / hits / misses)


def average_precision(truth: Array, probability: Array) -> float:
    """Precision averaged over the recall gained at each distinct score, in [0, 1]; higher is better.

    probability: (n,) any score. No interpolation; equal scores are one step. NaN if there are no positives.
    Source: Zhu (2004), "Recall, precision and average precision".
    """
    actual, score = columns(truth, probability)
    hits = float((actual == 1).sum())
    if not hits or np.isnan(score).any():
        return float("nan")
    order = np.argsort(-score)
    last = np.append(runs(score[order])[1:], len(score)) - 1
    found = np.cumsum(actual[order] == 1)[last]
    return float(np.sum(np.diff(found, prepend=0) / hits * found / (last + 1)))


def log_loss(truth: Array, probability: Array) -> float:
    """Mean surprise at the outcome, −ln of the probability it was given, in nats, ≥ 0; lower is better.

    probability: (n,) or (n, k) in [0, 1], rows as given (not rescaled). Clipped to [2⁻⁵², 1 − 2⁻⁵²], so one
    certain and wrong row costs 36, not infinity. Raises Misuse if truth has a code that is no column.
    Source: Good (1952), "Rational decisions".
    """
    if np.ndim(probability) == 2:
        codes = _fits(truth, probability)
        given = np.asarray(probability, dtype=np.float64)[np.arange(len(codes)), codes]
    else:
        actual, chance = columns(truth, probability)
        given = np.where(actual == 1, chance, 1 - chance)
    return mean(-np.log(np.clip(given, _SMALLEST, 1 - _SMALLEST)))


def brier(truth: Array, probability: Array) -> float:
    """Mean squared distance of probability from outcome, in [0, 1]; lower is better.

    truth: (n,) of 0 or 1. probability: (n,) in [0, 1]. NaN if n is 0.
    Source: Brier (1950), halved as is usual for two classes.

    >>> brier(np.array([0, 1]), np.array([0.5, 0.5]))
    0.25
    """
    actual, chance = columns(truth, probability)
    return mean((chance - actual) ** 2)


def accuracy(truth: Array, decision: Array) -> float:
    """Share of rows decided rightly, in [0, 1]; higher is better. Any number of classes. NaN if n is 0."""
    same_length(truth, decision)
    return mean(np.asarray(truth) == np.asarray(decision))


def balanced_accuracy(truth: Array, decision: Array) -> float:
    """Mean over classes of the share of their rows decided rightly, in [0, 1]; higher is better.

    Any number of classes; one that never occurs does not count. NaN if n is 0.
    Source: Brodersen et al. (2010).
    """
    same_length(truth, decision)
    actual, right = np.asarray(truth), np.asarray(truth) == np.asarray(decision)
    return mean(np.array([mean(right[actual == code]) for code in np.unique(actual)]))


def precision(truth: Array, decision: Array) -> float:
    """Share of rows called positive that are, in [0, 1]; higher is better. NaN if none is called positive."""
    hit, false, _, _ = confusion(truth, decision)
    return ratio(hit, hit + false)


def recall(truth: Array, decision: Array) -> float:
    """Share of positive rows that are found, in [0, 1]; higher is better. NaN if there are none."""
    hit, _, missed, _ = confusion(truth, decision)
    return ratio(hit, hit + missed)


def false_positive_rate(truth: Array, decision: Array) -> float:
    """Share of negative rows called positive, in [0, 1]; lower is better. NaN if there are no negatives."""
    _, false, _, rejected = confusion(truth, decision)
    return ratio(false, false + rejected)


def f1(truth: Array, decision: Array) -> float:
    """Harmonic mean of precision and recall, in [0, 1]; higher is better.

    NaN if no row is positive or called so. Source: van Rijsbergen (1979), with β = 1.
    """
    hit, false, missed, _ = confusion(truth, decision)
    return ratio(2 * hit, 2 * hit + false + missed)


def confusion(truth: Array, decision: Array) -> tuple[int, int, int, int]:
    """Counts of true positive, false positive, false negative and true negative rows; 1 is positive."""
    same_length(truth, decision)
    actual, called = np.asarray(truth) == 1, np.asarray(decision) == 1
    hit, positive, chosen = int((actual & called).sum()), int(actual.sum()), int(called.sum())
    return hit, chosen - hit, positive - hit, len(actual) - positive - chosen + hit


def _fits(truth: Array, probability: Array) -> Array:
    same_length(truth, np.arange(len(probability)))
    codes: Floats = columns(truth)[0]
    if len(codes) and not np.isin(codes, np.arange(probability.shape[1])).all():
        raise Misuse("truth has a class that probability has no column for",
                     where=f"probability has {probability.shape[1]} columns", hint="codes are 0, 1, …")
    return codes.astype(np.int64)
