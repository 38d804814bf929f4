"""What loss to expect of a row before its label: by its score cell, or of a regression by a small additive model.

It is fitted when the release is judged and never again, so that sums of it merge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shipworthy.core.grid import FIXED, SCORE_CELLS, Plan, Reference
from shipworthy.core.table import Floats, Ints

LEAST_ROWS = 200
ROUNDS = 300
_STUMPS: dict[str, Any] = {"objective": "l2", "num_leaves": 2, "learning_rate": 0.1, "min_data_in_leaf": 20,
                           "lambda_l2": 10.0, "verbosity": -1, "num_threads": 1, "deterministic": True,
                           "force_row_wise": True}


def loss_model(plan: Plan, rows: Ints) -> Ints:
    """The additive loss model of a regression as integers, (plan.additive,): what every cell adds, then the constant.

    rows: (n, columns + 2) cells, score cell, fixed-point loss. Stumps, as many as help on the half that they did not
    see, so each column has a table and nothing else remains. Source: NannyML's direct loss estimation; Lou, Caruana and
    Gehrke (2012), additive models from stumps.
    """
    if not plan.value:
        return np.zeros(0, np.int64)
    loss = rows[:, -1] / FIXED
    tables = [np.zeros(one.size) for one in (*plan.columns, plan.value)]
    constant = float(loss.mean()) if len(rows) else 0.0
    if len(rows) >= LEAST_ROWS and loss.std() > 0:
        x = rows[:, :-1].astype(np.float64)
        fitted = _stumps(x, loss)
        base = np.zeros((1, x.shape[1]))
        constant = float(fitted(base)[0])
        for place, table in enumerate(tables):
            varied = np.repeat(base, len(table), axis=0)
            varied[:, place] = np.arange(len(table))
            table += fitted(varied) - constant
    return np.asarray(np.rint(np.concatenate([*tables, [constant]]) * FIXED), np.int64)


def _stumps(x: Floats, loss: Floats) -> Any:
    import lightgbm

    seen = np.random.default_rng(0).random(len(x)) < 0.5
    half, other = lightgbm.Dataset(x[seen], loss[seen]), lightgbm.Dataset(x[~seen], loss[~seen])
    tried = lightgbm.train(_STUMPS, half, ROUNDS, valid_sets=[other],
                           callbacks=[lightgbm.early_stopping(10, verbose=False)])
    fitted = lightgbm.train(_STUMPS, lightgbm.Dataset(x, loss), max(1, tried.best_iteration))
    return lambda rows: np.asarray(fitted.predict(rows, num_threads=1), np.float64)


def expected_loss(reference: Reference, cells: Mapping[str, Ints], where: Ints) -> Floats:
    """The loss that is expected of every row, (n,) in [0, 1]. cells: column → (n,). where: (n,) score cells."""
    plan = reference.plan
    if not plan.value:
        return by_score(reference)[where]
    total = np.full(len(where), reference.additive[-1], np.int64)
    start = 0
    for one in (*plan.columns, plan.value):
        total += reference.additive[start : start + one.size][where if one is plan.value else cells[one.name]]
        start += one.size
    return np.clip(total / FIXED, 0.0, 1.0)


def by_score(reference: Reference) -> Floats:
    """The expected loss of every score cell of a classification, (score cells,); unusable scores expect the mean."""
    g, facts = reference.expected, reference.facts
    if facts.by_coin:
        p = (np.arange(SCORE_CELLS) + 0.5) / SCORE_CELLS
        both = np.tile(p * (1 - g) + (1 - p) * g, 2)
    elif len(reference.plan.classes) == 2:
        both = np.concatenate([g, 1 - g])
    else:
        both = np.tile(1 - g, 2)
    return np.append(both, np.full(2, facts.wrong / max(1, facts.rows)))
