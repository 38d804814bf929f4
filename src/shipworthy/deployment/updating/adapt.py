"""A champion adapted to shifted traffic without one new label: which shift it is, what is mended, what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import Reference, decided, score_cells
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.deployment.updating.mitigation import (
    LEAST_ROWS,
    Importance,
    Priors,
    corrected,
    importance,
    new_priors,
    new_shares,
    nonconformity,
    recalibrated,
    thinned,
    weighted_edge,
)
from shipworthy.errors import NotFit
from shipworthy.metrics.intervals import paired_mean_difference
from shipworthy.metrics.losses import row_losses

Shift = Literal["auto", "labels", "rows"]
NEWEST, FEWEST_LEFT = 20_000, 100
LABEL = "label a random sample of recent rows, then: shipworthy renew"
CRITICAL = 1.63  # of the Kolmogorov-Smirnov distance at 1 %
MISFIT, BETTER_COVERAGE = 0.01, 0.01


@dataclass(frozen=True)
class Adapted:
    """What was found, and what came of it. model: None where nothing can or need be mended.

    kept: which rows of the champion's learn, tune and holdout parts look like the traffic. findings: the shift of the
    classes, of the rows, and what the mended model is worth.
    """

    findings: tuple[Finding, ...]
    sentence: str
    model: Model | None = None
    kept: tuple[Mask, Mask, Mask] | None = None


def adapted(model: Model, grid: Reference, cut: Parts, log: Table, *, shift: Shift = "auto", paid: bool = False
            ) -> Adapted:
    """The champion for the traffic of a log without labels, by the shift that explains it, or why there is none.

    cut: its parts, of which tune and holdout are weighed. log: predictions, the newest 20,000 are read. shift: which
    assumption to make; auto takes label shift where it explains the scores, else covariate shift. paid: amounts have
    set the threshold, so that it stays. Only rows that no fit has seen judge: odd tune rows fit, even ones set the
    edge, and the holdout, thinned to look like the traffic, judges.
    """
    if log.rows < LEAST_ROWS:
        return Adapted((), f"nothing was adapted: {log.rows} rows of traffic are too few, {LEAST_ROWS} are needed")
    log = log.take(np.arange(max(0, log.rows - NEWEST), log.rows))
    classes, priors = class_shift(model, grid, cut.holdout, log)
    rows, ratio = row_shift(model, cut, log)
    fits = classes.verdict == "pass"
    chosen = shift if shift != "auto" else "labels" if fits and priors else "rows"
    if chosen == "labels" and priors is not None and fits:
        weights = [np.asarray(priors.ratio[model.truth(part).astype(np.int64)])
                   for part in (cut.learn, cut.tune, cut.holdout)]
        changed, most = corrected(model, priors.ratio, move_threshold=not paid), float(priors.ratio.max())
    elif chosen == "rows" and ratio is not None and rows.verdict == "pass":
        weights = [*(ratio.of(model.inputs(part)) for part in (cut.learn, cut.tune)), ratio.weights]
        changed, most = model, ratio.most
        if model.task == "binary":
            changed = _recalibrated(model, cut.tune, weights[1])
    else:
        told = classes if chosen == "labels" else rows
        return Adapted((classes, rows), f"nothing was adapted: {told.sentence}")
    learn, tune, holdout = (thinned(each, seed=seed) for seed, each in enumerate(weights))
    if min(int(each.sum()) for each in (learn, tune, holdout)) < FEWEST_LEFT:
        return Adapted((classes, rows), f"nothing was adapted: {int(holdout.sum())} rows of the holdout look like the "
                                        f"traffic, {FEWEST_LEFT} are needed to judge")
    changed = _edged(changed, cut.tune, weights[1], most)
    worth = worthwhile(model, changed, cut.holdout.take(holdout))
    found = (classes, rows, worth)
    if worth.verdict != "pass":
        return Adapted(found, f"nothing was adapted: {worth.sentence}")
    what = "other shares of the classes" if chosen == "labels" else "other rows"
    return Adapted(found, f"adapted to {what}: {worth.sentence}", changed, (learn, tune, holdout))


def class_shift(model: Model, grid: Reference, holdout: Table, log: Table) -> tuple[Finding, Priors | None]:
    """Whether other shares of the classes explain the traffic's scores; pass if they do and differ from before."""
    if not model.classes:
        return say("not-applicable", "A regression has no classes."), None
    try:
        priors = _shares(model, grid, holdout, log)
    except NotFit as error:
        return say("unknown", f"{error.problem[:1].upper()}{error.problem[1:]}.", remedy=error.hint), None
    from scipy.stats import chi2

    usual, now = (", ".join(f"{name} {share:.1%}" for name, share in zip(model.classes, each, strict=True))
                  for each in (priors.before, priors.after))
    seen = f"the classes came as {now} by their scores, {usual} before ({priors.rows:,} rows)"
    facts = {"value": float(np.abs(priors.after - priors.before).max()), "n": priors.rows}
    if 2 * priors.gain < chi2.ppf(0.99, len(model.classes) - 1):
        return say("unknown", f"Nothing says that the classes come otherwise: {seen}.", **facts), priors
    borne = CRITICAL * np.sqrt(1 / priors.rows + 1 / holdout.rows) + MISFIT
    if priors.warning or priors.misfit > borne:
        why = priors.warning or f"the scores do not fit them (distance {priors.misfit:.3f}, at most {borne:.3f})"
        return say("unknown", f"Other shares of the classes do not explain the scores: {seen}, but {why}.", **facts,
                   remedy=LABEL), priors
    if (priors.after < 1 / priors.rows).any():
        return say("unknown", f"A class does not come any more: {seen}.", **facts, remedy=LABEL), priors
    return say("pass", f"Other shares of the classes explain the scores: {seen}.", **facts), priors


def row_shift(model: Model, cut: Parts, log: Table) -> tuple[Finding, Importance | None]:
    """Whether weights make the holdout look like the traffic; pass if they may be used and are needed."""
    try:
        ratio = importance(model.inputs(cut.holdout), model.inputs(log))
    except NotFit as error:
        return say("unknown", f"{error.problem[:1].upper()}{error.problem[1:]}.", remedy=error.hint), None
    seen = f"traffic is told from the holdout with an area of {ratio.auc:.3f}, and weights leave {ratio.overlap:.0%} " \
           f"of its rows ({log.rows:,} rows of traffic)"
    facts = {"value": ratio.overlap, "limit": 0.2, "n": log.rows}
    if ratio.refusal:
        return say("unknown", f"Training hardly saw such rows: {ratio.refusal} ({log.rows:,} rows).", **facts,
                   remedy=LABEL), ratio
    if not ratio.moved:
        return say("unknown", f"The rows are as they were: {seen}.", **facts), ratio
    return say("pass", f"Weights make the holdout look like the traffic: {seen}.", **facts), ratio


def worthwhile(before: Model, after: Model, rows: Table) -> Finding:
    """Whether the adapted model is better on holdout rows that look like the traffic: by log loss, or by coverage."""
    truth, level = before.truth(rows), before.sheet.level
    scores = [model.score(rows) for model in (before, after)]
    inside = [_coverage(model, score, truth) for model, score in zip((before, after), scores, strict=True)]
    covered = f"{inside[1]:.1%} of truths are covered, {inside[0]:.1%} before, {level:.0%} are promised"
    gap, low, high = paired_mean_difference(*(row_losses(score, truth, before.task) for score in reversed(scores)))
    facts = {"value": gap, "low": low, "high": high, "limit": 0.0, "n": rows.rows}
    span = f"the loss changes by {gap:+.4f} (95 % interval {low:+.4f} to {high:+.4f}), {covered} ({rows.rows:,} rows)"
    if high < 0:
        return say("pass", f"It is better for such traffic: {span}.", **facts)
    if low <= 0 and abs(inside[1] - level) < abs(inside[0] - level) - BETTER_COVERAGE:
        return say("pass", f"It promises what it keeps for such traffic: {span}.", **facts)
    return say("fail" if low > 0 else "unknown", f"It is not shown to be better for such traffic: {span}.", **facts,
               remedy=LABEL)


def _shares(model: Model, grid: Reference, holdout: Table, log: Table) -> Priors:
    if model.task == "multiclass":
        return new_shares(model.score(log), model.score(holdout), np.asarray(model.truth(holdout), np.int64))
    where = score_cells(grid.plan, log.numbers("score"), decided(log, grid.plan.classes))
    return new_priors(np.bincount(where, minlength=grid.plan.score_cells), grid)


def _recalibrated(model: Model, tune: Table, weights: Floats) -> Model:
    odd = np.arange(tune.rows) % 2 == 1
    some = tune.take(odd)
    return recalibrated(model, model.score(some), np.asarray(model.truth(some), np.int64), weights[odd])


def _edged(model: Model, tune: Table, weights: Floats, most: float) -> Model:
    if model.sheet.conformal is None:
        return model
    even = np.arange(tune.rows) % 2 == 0
    some = tune.take(even)
    return weighted_edge(model, model.score(some), model.truth(some), weights[even], most=most)


def _coverage(model: Model, scores: Floats, truth: Floats | Ints) -> float:
    edge = model.sheet.conformal
    return float(np.mean(nonconformity(model, scores, truth) <= edge)) if edge is not None else float("nan")
