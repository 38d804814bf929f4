"""Logistic regression by gradient descent whose every step is a clipped, noisy sum over randomly drawn rows.

Source: Abadi et al. (2016), "Deep Learning with Differential Privacy", algorithm 1; Polyak and Juditsky (1992) for the
mean of the last steps.
"""

from __future__ import annotations

import msgspec
import numpy as np

from shipworthy.core.private import Noise, Step
from shipworthy.core.program import logistic
from shipworthy.core.table import Floats, Ints


class Descent(msgspec.Struct, frozen=True):
    """The recipe. steps: of the descent. share: probability of every row to be in one. clip: most that one row may move
    a sum, in the norm. rate: of learning. sigma: noise, over the clip norm.
    """

    steps: int = 400
    share: float = 0.03
    clip: float = 1.0
    rate: float = 2.0
    sigma: float = 0.0

    @property
    def log(self) -> tuple[Step, ...]:
        """Every look at the rows that `descend` takes."""
        return (Step("clipped gradients", "learn", self.sigma, self.share, self.steps),)


def descend(matrix: Floats, truth: Ints, recipe: Descent, noise: Noise, *, runs: int = 1) -> Floats:
    """Weights of independent trainings, (runs, columns): the mean over the second half of the steps.

    matrix: (n, columns). truth: (n,) of 0 or 1. n is public, a row is what is protected.
    """
    rows, columns = matrix.shape
    weights, total = np.zeros((runs, columns)), np.zeros((runs, columns))
    length = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    for step in range(recipe.steps):
        drawn = noise.random((runs, rows)) < recipe.share
        some = np.flatnonzero(drawn.any(axis=0))
        asked = matrix[some]
        pull = logistic(weights @ asked.T) - truth[some]
        pull /= np.maximum(1.0, np.abs(pull) * length[some] / recipe.clip)
        gradient = (pull * drawn[:, some]) @ asked + noise.normal(0.0, recipe.sigma * recipe.clip, weights.shape)
        weights -= recipe.rate * gradient / (recipe.share * rows)
        total += weights if step >= recipe.steps // 2 else 0.0
    return total / (recipe.steps - recipe.steps // 2)
