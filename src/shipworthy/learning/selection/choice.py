"""The choice: the simplest rung within noise of the best, a glass box unless a black box pays for itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shipworthy.core.learned import Candidate
from shipworthy.core.project import Learning
from shipworthy.core.table import Floats, Ints
from shipworthy.metrics.classification import auc
from shipworthy.metrics.intervals import auc_difference

CLIP = 1e-6
DRAWS = 400


def row_losses(scores: Floats, truth: Floats | Ints, task: str) -> Floats:
    """Log loss or squared error of every row, (n,)."""
    if task == "regression":
        return np.asarray((scores - truth) ** 2, np.float64)
    codes = np.asarray(truth, np.int64)
    given = np.where(codes == 1, scores, 1 - scores) if scores.ndim == 1 else scores[np.arange(len(codes)), codes]
    return np.asarray(-np.log(np.clip(given, CLIP, 1.0)), np.float64)


def quality(scores: Floats, truth: Floats | Ints, task: str) -> float:
    """AUC of a binary task, accuracy of more classes, R² of a regression; higher is better."""
    if task == "binary":
        return float(auc(np.asarray(truth, np.int64), scores))
    if task == "multiclass":
        return float(np.mean(scores.argmax(axis=1) == truth))
    return float(1 - np.mean((scores - truth) ** 2) / np.var(truth))


def gain(better: Floats, worse: Floats, truth: Floats | Ints, task: str) -> tuple[float, float, float]:
    """How much higher the quality of `better` is than that of `worse`, with its paired 95 % interval."""
    if task == "binary":
        value, low, high = auc_difference(np.asarray(truth, np.int64), better, worse)
        return float(value), float(low), float(high)
    if task == "multiclass":
        differences = (better.argmax(axis=1) == truth) * 1.0 - (worse.argmax(axis=1) == truth)
    else:
        differences = ((worse - truth) ** 2 - (better - truth) ** 2) / np.var(truth)
    spread = 1.96 * differences.std(ddof=1) / np.sqrt(len(differences))
    middle = float(differences.mean())
    return middle, middle - float(spread), middle + float(spread)


def fits(candidate: Candidate, learning: Learning) -> bool:
    """Whether a candidate keeps the latency and size that the project declares."""
    slow = learning.max_row_microseconds and candidate.figures.row_microseconds > learning.max_row_microseconds
    big = learning.max_megabytes and candidate.figures.bytes > learning.max_megabytes * 1e6
    return not slow and not big


def choose(
    candidates: Sequence[Candidate], truth: Floats | Ints, learning: Learning, task: str
) -> tuple[Candidate, str]:
    """The candidate to release and one sentence why.

    Among those that fit the declared budgets: the best by quality; a simpler one replaces it unless the best gains
    more than epsilon at the pessimistic end of the paired interval.
    """
    able = [candidate for candidate in candidates if fits(candidate, learning)] or list(candidates)
    best = max(able, key=lambda candidate: candidate.figures.metric)
    easier = sorted((c for c in able if simpler(c, best)), key=lambda c: (not c.glass_box, c.figures.complexity))
    for candidate in easier:
        value, low, high = gain(best.scores, candidate.scores, truth, task)
        if low <= learning.epsilon:
            return candidate, (
                f"{candidate.learner}: {best.learner} gains only {value:.4f} [{low:.4f}, {high:.4f}] over it, "
                f"not more than {learning.epsilon} for sure")
    if not easier:
        return best, f"{best.learner}: the best, and nothing that fits is simpler"
    rival = max(easier, key=lambda candidate: candidate.figures.metric)
    value, low, high = gain(best.scores, rival.scores, truth, task)
    return best, (f"{best.learner}: it gains {value:.4f} [{low:.4f}, {high:.4f}] over {rival.learner}, "
                  f"the best that is simpler")


def simpler(one: Candidate, other: Candidate) -> bool:
    """Whether one candidate is simpler: a glass box beside a black box, else fewer leaves, cells and weights."""
    if one.glass_box != other.glass_box:
        return one.glass_box
    return one.figures.complexity < other.figures.complexity
