"""Figures of a classification from counts by score cell: what is expected to be right and wrong in every cell."""

from __future__ import annotations

import numpy as np

from shipworthy.core.grid import FIXED, SCORE_CELLS, Plan
from shipworthy.core.table import Floats, Ints

PAIR = 64
MOST_CLASSES = 20
NO, YES = slice(0, SCORE_CELLS), slice(SCORE_CELLS, 2 * SCORE_CELLS)


def expected_figures(plan: Plan, counted: Floats, g: Floats) -> dict[str, float]:
    """Figures of traffic whose outcomes are as frequent as g says.

    counted: (score cells,). g: (256,) expected outcome of a cell, or (2, 256) of rows decided no and yes.
    """
    no, yes = counted[NO], counted[YES]
    if len(plan.classes) != 2:
        return {"accuracy": float(((no + yes) * g).sum() / (no + yes).sum())}
    g_no, g_yes = g if g.ndim == 2 else (g, g)
    return binary((no * g_no, no * (1 - g_no)), (yes * g_yes, yes * (1 - g_yes)))


def true_figures(plan: Plan, outcomes: Ints) -> dict[str, float]:
    """Figures of rows whose outcomes are known. outcomes: (score cells, 2) as in `Reference`."""
    rows, came = outcomes[:, 0].astype(np.float64), outcomes[:, 1] / FIXED
    if len(plan.classes) != 2:
        return {"accuracy": float(came.sum() / rows.sum())}
    missed = rows - came
    return binary((came[NO], missed[NO]), (came[YES], missed[YES]))


def binary(no: tuple[Floats, Floats], yes: tuple[Floats, Floats]) -> dict[str, float]:
    """Figures from positives and negatives per score cell, among rows decided no and rows decided yes."""
    positive, negative = no[0] + yes[0], no[1] + yes[1]
    tp, fp, fn, tn = (float(part.sum()) for part in (*yes, *no))
    total, pairs = tp + fp + fn + tn, positive.sum() * negative.sum()
    f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn > 0 else float("nan")
    below = np.cumsum(negative) - negative / 2
    auc = float((positive * below).sum() / pairs) if pairs > 0 else float("nan")
    return {"accuracy": float((tp + tn) / total), "f1": float(f1), "auc": auc}


def macro_f1(told: Floats) -> float:
    """The mean over classes of F1, from rows by decided and true class, (classes, classes); absent classes are left
    out. Source: Lewis (1991), macro averages.
    """
    right, both = np.diag(told), told.sum(axis=0) + told.sum(axis=1)
    there = both > 0
    return float((2 * right[there] / both[there]).mean()) if there.any() else float("nan")


def expected_told(told: Ints, decided: Floats, g: Floats) -> Floats:
    """Rows by decided and true class as they are expected of traffic, (classes, classes).

    told: of the reference. decided: (classes, 64) rows by decided class and the probability of it. g: (256,) how often
    such an answer is right. Wrong answers are spread over the other classes as those of the reference were.
    """
    right = (decided * g.reshape(PAIR, -1).mean(axis=1)).sum(axis=1)
    wrong = told - np.diag(np.diag(told)) + 0.5 * (1 - np.eye(len(told)))
    spread = wrong / wrong.sum(axis=1, keepdims=True)
    return np.asarray(np.diag(right) + (decided.sum(axis=1) - right)[:, None] * spread)
