"""The choice: the simplest rung within noise of the best, a glass box unless a black box pays for itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shipworthy.core.learned import Candidate
from shipworthy.core.project import Learning
from shipworthy.core.table import Floats, Ints
from shipworthy.metrics.classification import auc
from shipworthy.metrics.intervals import auc_difference
from shipworthy.metrics.losses import row_losses

KEPT = 0.5


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
    """The candidate to release and one sentence why, among those that fit the declared budgets.

    None that loses to the trivial rule. A black box only if the best one gains more than epsilon over the best glass
    box at the low end of the paired 95 % interval. Then, on that side, the simplest that the best does not beat by more
    than epsilon and one standard error, neither by quality nor by loss.
    Source: Breiman et al. (1984), 3.4.3, for the rule of one standard error.
    """
    best, side = standard(candidates, truth, learning)
    for candidate in side:
        if simpler(candidate, best) and as_good(candidate, best, truth, learning, trivial_of(candidates)):
            value, low, high = gain(best.scores, candidate.scores, truth, task)
            return candidate, (
                f"{candidate.learner}: {best.learner} gains only {value:.4f} [{low:.4f}, {high:.4f}] over it, "
                f"too little for its complexity"
            )
    others = [one for one in candidates if one is not best and fits(one, learning)]
    if not others:
        return best, f"{best.learner}: nothing else fits the budgets"
    rival = max(others, key=lambda one: one.figures.metric)
    value, low, high = gain(best.scores, rival.scores, truth, task)
    told = f"{value:+.4f} [{low:.4f}, {high:.4f}] against {rival.learner}"
    if best.glass_box and not rival.glass_box:
        return best, f"{best.learner}: the best glass box, {told}, which does not gain enough to be a black box"
    return best, f"{best.learner}: {told}, the next best"


def standard(
    candidates: Sequence[Candidate], truth: Floats | Ints, learning: Learning
) -> tuple[Candidate, list[Candidate]]:
    """The best candidate that may be released, and those of its kind (glass or black box), simplest first."""
    able = [candidate for candidate in candidates if fits(candidate, learning)] or list(candidates)
    able = beating_trivial(able, candidates) or [min(able, key=lambda one: one.figures.loss)]
    black = [one for one in able if not one.glass_box]
    glass = [one for one in able if one.glass_box]
    strongest = max(black, key=lambda one: one.figures.metric) if black else None
    if strongest is not None and earns(strongest, able, truth, learning):
        side = [one for one in black if earns(one, able, truth, learning)]
        return strongest, ladder_order(side)
    side = glass or black
    return max(side, key=lambda one: one.figures.metric), ladder_order(side)


def beating_trivial(able: Sequence[Candidate], candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those whose loss on the tune part is no higher than that of the trivial rule; all where it was not fitted."""
    rule = trivial_of(candidates)
    return [one for one in able if rule is None or not one.figures.loss > rule.figures.loss]


def trivial_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """The trivial rule, where it was fitted."""
    return next((one for one in candidates if one.learner == "trivial"), None)


def as_good(
    candidate: Candidate, best: Candidate, truth: Floats | Ints, learning: Learning, trivial: Candidate | None = None
) -> bool:
    """Whether the best gains no more than epsilon and one standard error over a candidate, by quality and by loss.

    Quality alone would let through a model that ranks as well, within the noise of few rows, and is sure where it
    errs. Epsilon of the loss is a share of the loss of the base rate, as it is of the variance for R². On few rows a
    standard error hides much: where the best surely gains over the trivial rule, the candidate must plausibly keep
    half of that.
    """
    task = best.model.task
    value, low, high = gain(best.scores, candidate.scores, truth, task)
    if value - (value - low) / 1.96 > learning.epsilon:
        return False
    if trivial is not None:
        gained, least, _ = gain(best.scores, trivial.scores, truth, task)
        if least > 0 and high > max(learning.epsilon, KEPT * gained):
            return False
    more = row_losses(candidate.scores, truth, task) - row_losses(best.scores, truth, task)
    error = float(more.std(ddof=1)) / np.sqrt(len(more))
    return not more.mean() - error > learning.epsilon * _base_loss(truth, task)


def _base_loss(truth: Floats | Ints, task: str) -> float:
    """The mean loss of who always answers with the base rate: entropy in nats, or variance."""
    if task == "regression":
        return float(np.var(truth))
    share = np.bincount(np.asarray(truth, np.int64)) / len(truth)
    return float(-(share[share > 0] * np.log(share[share > 0])).sum())


def earns(one: Candidate, candidates: Sequence[Candidate], truth: Floats | Ints, learning: Learning) -> bool:
    """Whether a candidate gains more than epsilon over every glass box, at the low end of the paired interval."""
    glass = [other for other in candidates if other.glass_box]
    if not glass:
        return True
    rival = max(glass, key=lambda other: other.figures.metric)
    return gain(one.scores, rival.scores, truth, one.model.task)[1] > learning.epsilon


def ladder_order(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Simplest first: glass boxes, then black boxes, each by leaves, cells and weights."""
    return sorted(candidates, key=lambda one: (not one.glass_box, one.figures.complexity))


def simpler(one: Candidate, other: Candidate) -> bool:
    """Whether one candidate is simpler: a glass box beside a black box, else fewer leaves, cells and weights.

    The same learner on other rows, as candidates of a renewal are, is no simpler for a few leaves less.
    """
    if one.learner == other.learner:
        return False
    if one.glass_box != other.glass_box:
        return one.glass_box
    return one.figures.complexity < other.figures.complexity
