"""What loss to expect of a row before its label: by its score alone, or of a regression by all that is known of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.core.grid import FIXED, SCORE_CELLS, Reference
from shipworthy.core.table import Floats, Ints

LEAST_ROWS = 200
ROUNDS = 200
_SETTINGS: dict[str, Any] = {"objective": "l2", "num_leaves": 16, "learning_rate": 0.1, "min_data_in_leaf": 20,
                             "verbosity": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True}


def by_score(reference: Reference) -> Floats:
    """The expected loss of every score cell, (score cells,), the same for good, so that sums of it merge.

    Unusable scores of a classification expect the mean.
    """
    g, facts = reference.expected, reference.facts
    if reference.plan.value:
        return g
    if facts.by_coin:
        p = (np.arange(SCORE_CELLS) + 0.5) / SCORE_CELLS
        both = np.tile(p * (1 - g) + (1 - p) * g, 2)
    elif len(reference.plan.classes) == 2:
        both = np.concatenate([g, 1 - g])
    else:
        both = np.tile(1 - g, 2)
    return np.append(both, np.full(2, facts.wrong / max(1, facts.rows)))


def modelled_loss(reference: Reference, rows: Ints) -> Floats | None:
    """The loss that trees on cells expect of every row, (n,) in [0, 1]; None where the reference has under 200 rows.

    rows: (n, columns + 1) cells, then score cells. The trees learn from the sample that the release carries, always the
    same; more than would be best for a single row, since the mean over rows takes away their noise and not their bias.
    Source: NannyML's direct loss estimation; Newey (1994), undersmoothing for means.
    """
    import lightgbm

    x, loss = reference.sample[:, :-1].astype(np.float32), reference.sample[:, -1] / FIXED
    if len(x) < LEAST_ROWS or not loss.std() > 0:
        return None
    fitted = lightgbm.train(_SETTINGS, lightgbm.Dataset(x, loss), ROUNDS)
    return np.clip(np.asarray(fitted.predict(rows.astype(np.float32), num_threads=1), np.float64), 0.0, 1.0)
