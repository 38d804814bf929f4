"""What tune rows may say about a private model: one noisy table of counts, from which all that is tuned follows."""

from __future__ import annotations

import numpy as np

from shipworthy.core.private import Noise, Spent, Step
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.privacy.accountant import sigma_for

CELLS = 50
SURE = 2.0


def with_counts(spent: Spent, scores: Floats, truth: Ints, noise: Noise, *, releases: int) -> Spent:
    """What was spent, with the noisy counts of tune rows by score and class, which spend as much of other rows.

    scores: (n,) in [0, 1]. truth: (n,) of 0 or 1. A row is in one cell, so it moves the table by 1.
    """
    def steps(sigma: float) -> tuple[Step, ...]:
        return (Step("tune rows by score and class", "tune", sigma, 1.0, releases),)

    sigma = sigma_for(steps, spent.epsilon, spent.delta)
    cell = np.minimum((scores * CELLS).astype(np.int64), CELLS - 1)
    counts = np.bincount(2 * cell + np.asarray(truth, np.int64), minlength=2 * CELLS).reshape(CELLS, 2)
    noisy = counts + noise.normal(0.0, sigma, counts.shape)
    step = Step("tune rows by score and class", "tune", sigma)
    table = tuple((float(no), float(yes)) for no, yes in noisy)
    return Spent((*spent.steps, step), spent.epsilon, spent.delta, spent.recipe, spent.rows, table)


def as_counted(spent: Spent) -> tuple[Floats, Ints]:
    """Scores and truth of as many rows as the noisy counts say, at the middle of their cells.

    A count below twice its noise is taken for none. There is a row of each class at least.
    """
    sigma = next(step.sigma for step in spent.steps if step.part == "tune")
    counts = np.array(spent.tune)
    counts = np.where(counts > SURE * sigma, np.rint(counts), 0).astype(np.int64)
    middles = (np.arange(len(counts)) + 0.5) / len(counts)
    counts[0, 0], counts[-1, 1] = max(1, counts[0, 0]), max(1, counts[-1, 1])
    scores = np.concatenate([np.repeat(middles, counts[:, code]) for code in (0, 1)])
    truth = np.repeat([0, 1], counts.sum(axis=0))
    order = np.argsort(scores, kind="stable")
    return scores[order], truth[order]
