"""Could this model be corrected if traffic shifts before labels come? Tried on holdout rows, whose labels are there.

The tune part is the reference; the holdout, thinned to another population, is the traffic.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.deployment.updating.mitigation import (
    LEAST_ROWS,
    corrected,
    importance,
    new_shares,
    nonconformity,
    thinned,
    weighted_quantile,
)
from shipworthy.errors import Misuse
from shipworthy.marks import check
from shipworthy.metrics.intervals import paired_mean_difference, wilson
from shipworthy.metrics.losses import row_losses

SURE = 1.959964
TILT = 1.5
LABEL = "have a random sample of recent rows labelled when the traffic shifts"


@check("shift-mitigation", row="solutions.shift")
def shift_mitigation(model: Model, parts: Parts, *, odds: float = 3.0, limit: float = 0.1) -> Finding:
    """Whether scores alone tell how often each class comes, within `limit`, and correct for it, where the rarest comes
    `odds` times as often against the others; of a regression, whether weighted intervals cover other rows within it.
    """
    before, later = parts.tune, parts.holdout
    if model.task == "regression":
        now = later.take(thinned(np.exp(TILT * _rank(model.score(later)))))
    else:
        truth = np.asarray(model.truth(later), np.int64)
        rare = int(np.argmin(np.bincount(truth, minlength=len(model.classes))))
        now = later.take(thinned(np.where(truth == rare, 1.0, 1.0 / odds)))
    fewest = min(before.rows, now.rows)
    if fewest < LEAST_ROWS:
        return say("unknown", f"{fewest} rows are too few to try a shift on; {LEAST_ROWS} are needed.", n=fewest,
                   remedy="hold out more rows")
    return _intervals(model, before, now, limit) if model.task == "regression" else _classes(
        model, before, now, rare, limit)


def _classes(model: Model, before: Table, now: Table, rare: int, limit: float) -> Finding:
    scores, truth = model.score(now), np.asarray(model.truth(now), np.int64)
    chance = _each(scores)
    priors = new_shares(chance, _each(model.score(before)), np.asarray(model.truth(before), np.int64))
    came, told = float(np.mean(truth == rare)), float(priors.after[rare])
    gap, sure = abs(told - came), SURE * _error(chance / priors.before, priors.after, rare)
    try:
        better = corrected(model, np.maximum(priors.ratio, 1e-3)).score(now)
    except Misuse as error:
        return say("unknown", f"{error.problem[:1].upper()}{error.problem[1:]}.", n=now.rows, remedy=LABEL)
    loss, low, high = paired_mean_difference(*(row_losses(one, truth, model.task) for one in (better, scores)))
    seen = f"{model.classes[rare]} came in {came:.1%} of {now.rows:,} rows, the scores say {told:.1%} (± {sure:.1%}, " \
           f"{limit:.0%} is borne), and the correction changes the loss by {loss:+.4f} (95 % interval {low:+.4f} to " \
           f"{high:+.4f})"
    facts = {"value": loss, "low": low, "high": high, "limit": 0.0, "n": now.rows}
    if gap - sure > limit or low > 0:
        return say("fail", f"A shift of the classes would be corrected wrongly: {seen}.", **facts,
                   remedy="calibrate the model: its scores are no chances")
    if high >= 0:
        return say("unknown", f"A shift of the classes may not be correctable without labels: {seen}.", **facts,
                   remedy=LABEL)
    return say("pass", f"A shift of the classes would be corrected without labels: {seen}.", **facts)


def _intervals(model: Model, before: Table, now: Table, limit: float) -> Finding:
    """The coverage of weighted intervals on rows that were chosen by their score."""
    level, ratio = model.sheet.level, importance(model.inputs(before), model.inputs(now))
    if ratio.refusal:
        return say("unknown", f"Other rows cannot be tried: {ratio.refusal}.", n=now.rows, remedy="hold out more rows")
    edge = weighted_quantile(_far(model, before), ratio.weights, level=level, own=ratio.most)
    held = _far(model, now) <= edge
    low, high = wilson(int(held.sum()), now.rows)
    facts = {"value": float(held.mean()), "low": low, "high": high, "limit": level - limit, "n": now.rows}
    seen = f"weighted intervals cover {held.mean():.1%} (95 % interval {low:.1%} to {high:.1%}) of {now.rows:,} " \
           f"other rows, {level:.0%} are promised"
    if high < level - limit:
        return say("fail", f"A shift of the rows would be mended wrongly: {seen}.", **facts, remedy=LABEL)
    if low < level - limit:
        return say("unknown", f"A shift of the rows may not be mendable: {seen}.", **facts, remedy="hold out more rows")
    return say("pass", f"A shift of the rows would be mended without labels: {seen}.", **facts)


def _rank(scores: Floats) -> Floats:
    return np.asarray(np.argsort(np.argsort(scores, kind="stable")) / max(1, len(scores) - 1))


def _each(scores: Floats) -> Floats:
    return scores if scores.ndim == 2 else np.stack([1 - scores, scores], axis=1)


def _far(model: Model, rows: Table) -> Floats:
    truth: Floats | Ints = model.truth(rows)
    return nonconformity(model, model.score(rows), truth)


def _error(odds: Floats, after: Floats, rare: int) -> float:
    """Standard error of one share, from the curvature of the likelihood along it; the others keep their proportions.

    odds: (n, k) chance of each class over its usual share.
    """
    others = np.delete(odds, rare, axis=1) @ (np.delete(after, rare) / max(1e-12, 1 - after[rare]))
    slope = (odds[:, rare] - others) / np.maximum(odds @ after, 1e-12)
    return 1 / sqrt(float((slope**2).sum())) if (slope**2).sum() > 0 else 1.0
