"""Boosting of one table per input in turn, of which every sum of residuals over the rows of a cell is noisy.

Source: Nori et al. (2021), "Accuracy, Interpretability, and Differential Privacy via Explainable Boosting".
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from shipworthy.core.private import Noise, Step
from shipworthy.core.program import logistic
from shipworthy.core.table import Floats, Ints


class Boosting(msgspec.Struct, frozen=True):
    """The recipe. rounds: through all inputs. rate: of learning. inputs: how many. sigma: noise of every sum; a row
    lies in one cell of an input and its residual is below 1, so that it moves a sum by less than 1.
    """

    rounds: int = 20
    rate: float = 0.25
    inputs: int = 0
    sigma: float = 0.0

    @property
    def log(self) -> tuple[Step, ...]:
        """Every look at the rows that `boost` takes."""
        return (Step("rows of every cell", "learn", self.sigma, 1.0, self.inputs),
                Step("residuals of every cell", "learn", self.sigma, 1.0, self.inputs * self.rounds))


def boost(
    codes: Ints, cells: Sequence[int], truth: Ints, recipe: Boosting, noise: Noise, *, runs: int = 1
) -> list[Floats]:
    """A table per input of independent trainings, (runs, cells): the mean over the second half of the rounds.

    codes: (n, inputs), the cell of every row. cells: how many each input has. truth: (n,) of 0 or 1.
    A cell's step is its noisy residuals over a quarter of its noisy rows, the most that the loss can bend, and over as
    much again as the noise is large: an empty cell stays near 0.
    """
    rows, kept = len(truth), recipe.rounds - recipe.rounds // 2
    margin = np.zeros((runs, rows))
    tables = [np.zeros((runs, size)) for size in cells]
    means = [np.zeros((runs, size)) for size in cells]
    ones = np.ones((runs, rows))
    bends = [np.maximum(_noisy(ones, codes[:, k], size, recipe.sigma, noise), 0.0) / 4 + recipe.sigma + 1
             for k, size in enumerate(cells)]
    for step in range(recipe.rounds):
        for k, size in enumerate(cells):
            pull = _noisy(truth - logistic(margin), codes[:, k], size, recipe.sigma, noise)
            change = recipe.rate * pull / bends[k]
            tables[k] += change
            margin += change[:, codes[:, k]]
        for mean, table in zip(means, tables, strict=True):
            mean += table / kept if step >= recipe.rounds // 2 else 0.0
    return means


def _noisy(values: Floats, codes: Ints, size: int, sigma: float, noise: Noise) -> Floats:
    """Noisy sums of (runs, n) values by cell, (runs, size)."""
    runs = len(values)
    place = (np.arange(runs)[:, None] * size + codes).ravel()
    sums = np.bincount(place, values.ravel(), minlength=runs * size).reshape(runs, size)
    return np.asarray(sums + noise.normal(0.0, sigma, sums.shape), np.float64)
