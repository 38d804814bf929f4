"""Drawing fewer rows, so that a slow learner keeps its share of the budget."""

from __future__ import annotations

import numpy as np

from shipworthy.core.learned import Job
from shipworthy.core.table import Floats, Ints


def at_most(inputs: Floats, truth: Floats | Ints, rows: int, seed: int) -> tuple[Floats, Floats | Ints]:
    """All rows, or `rows` of them drawn by the seed without replacement, in their order."""
    if len(truth) <= rows:
        return inputs, truth
    chosen = drawn(len(truth), rows, seed)
    return inputs[chosen], truth[chosen]


def weighed(job: Job, rows: int) -> Floats | None:
    """The weights of the rows that `at_most` leaves; None where all weigh the same."""
    return None if job.weights is None else job.weights[drawn(len(job.weights), rows, job.seed)]


def drawn(rows: int, most: int, seed: int) -> Ints:
    """Positions of all rows, or of `most` of them drawn by the seed without replacement, ascending."""
    if rows <= most:
        return np.arange(rows, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False)).astype(np.int64)
