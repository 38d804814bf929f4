"""Many trainings at once on a few plain rows, with and without one that moves every sum as far as a row can."""

from __future__ import annotations

import msgspec
import numpy as np

from shipworthy.core.private import Noise, Spent
from shipworthy.core.table import Floats
from shipworthy.learning.privacy.boosting import Boosting, boost
from shipworthy.learning.privacy.descent import Descent, descend

PLAIN = 7
LOUD = 10.0


def canary_scores(spent: Spent, noise: Noise, *, runs: int, present: bool) -> Floats:
    """How far each training went where only the worst-case row pulls, (runs,); steps are as long as those audited."""
    if "clip" in spent.recipe:
        short = spent.recipe | {"rate": spent.recipe["rate"] * (PLAIN + present) / max(spent.rows, PLAIN + present)}
        return _line(msgspec.convert(short, Descent, strict=False), noise, runs, present)
    return _tables(msgspec.convert(spent.recipe, Boosting, strict=False), noise, runs, present)


def _line(recipe: Descent, noise: Noise, runs: int, present: bool) -> Floats:
    """The weight of a column that only the worst-case row has, so large there that its gradient is always clipped."""
    random = np.random.default_rng(0)
    matrix = np.zeros((PLAIN + present, 5))
    matrix[:PLAIN, 1:] = random.random((PLAIN, 4))
    matrix[PLAIN:, 0] = LOUD * recipe.clip
    truth = np.append(np.arange(PLAIN) % 2, np.ones(int(present), np.int64))
    return descend(matrix, truth, recipe, noise, runs=runs)[:, 0]


def _tables(recipe: Boosting, noise: Noise, runs: int, present: bool) -> Floats:
    """The sum of all tables in the cells where only the worst-case row lies."""
    codes = np.zeros((PLAIN + present, recipe.inputs), np.int64)
    codes[PLAIN:] = 1
    truth = np.append(np.arange(PLAIN) % 2, np.ones(int(present), np.int64))
    tables = boost(codes, [2] * recipe.inputs, truth, recipe, noise, runs=runs)
    return np.asarray(sum(table[:, 1] for table in tables), np.float64)
