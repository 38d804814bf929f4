"""The loss of every row, by which models are compared pair by pair."""

from __future__ import annotations

import numpy as np

from shipworthy.metrics.arrays import Array

TINY = 1e-6


def row_losses(score: Array, truth: Array, task: str) -> Array:
    """Log loss of every row in nats, or squared error for a regression, (n,); lower is better.

    score: (n,) values, (n,) probabilities of the second class, or (n, k) of every class. truth: (n,) values or codes.
    A probability under a millionth counts as a millionth, so that one row cannot decide a comparison.
    """
    if task == "regression":
        return np.asarray((score - truth) ** 2, np.float64)
    codes = np.asarray(truth, np.int64)
    given = score[np.arange(len(codes)), codes] if score.ndim == 2 else np.where(codes == 1, score, 1 - score)
    return np.asarray(-np.log(np.clip(given, TINY, 1.0)), np.float64)
