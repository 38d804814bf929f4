"""When does it abstain, and do its reasons hold?"""

from __future__ import annotations

import numpy as np

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, Verdict, say, settled
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson

CITED = 4
LEAST = 30


def nobody(project: Project) -> str:
    """Why nothing is decided about a person; empty if something may be."""
    if not project.project.decides:
        return "the project declares that the answer decides nothing, [project] decides = false"
    if project.project.subject == "thing":
        return 'rows are declared to be about things, [project] subject = "thing"'
    return ""


@check("abstain-band", row="ethics.decisions")
def abstain_band(project: Project, model: Model, parts: Parts) -> Finding:
    """Whether the model is right more often where it decides than where it abstains, at the pessimistic end.

    Abstains: the prediction set holds no class, or more than one. Judged on holdout rows.
    """
    absent = nobody(project)
    if absent:
        return say("not-applicable", f"Nothing is decided about a person: {absent}.")
    if model.task == "regression":
        return say("not-applicable", "A regression answers with an interval for every row and leaves "
                   "the decision open.")
    predictions, truth = model.predict(parts.holdout), np.asarray(model.truth(parts.holdout), np.int64)
    codes = {name: code for code, name in enumerate(model.classes)}
    right = np.array([codes[word] for word in predictions.decision]) == truth
    inside, outside = right[predictions.abstain], right[~predictions.abstain]
    if min(len(inside), len(outside)) < LEAST:
        return say("unknown", f"The model abstains on {len(inside)} of {len(truth)} holdout rows; {LEAST} rows on each "
                   "side are needed to compare.", n=len(truth),
                   remedy="" if model.sheet.conformal is not None
                   else "calibrate a prediction set: shipworthy run does")
    gap, low, high = _difference(outside, inside)
    verdict = settled(gap, limit=0.0, low=low, high=high, at_most=False, chance=True)
    return say(verdict, f"The model abstains on {len(inside) / len(truth):.1%} of {len(truth):,} holdout rows: right "
               f"on {inside.mean():.1%} there and on {outside.mean():.1%} elsewhere, {gap:+.3f} ({low:+.3f} to "
               f"{high:+.3f}).", value=gap, low=low, high=high, limit=0.0, n=len(truth),
               remedy="" if verdict == "pass" else "abstention does not follow doubt: calibrate on rows "
               "like those served")


def _difference(a: Floats, b: Floats) -> tuple[float, float, float]:
    """Difference of two shares with its 95 % interval. Source: Agresti and Caffo (2000)."""
    shares = [(one.sum() + 1) / (len(one) + 2) for one in (a, b)]
    error = float(np.sqrt(sum(p * (1 - p) / (len(one) + 2) for p, one in zip(shares, (a, b), strict=True))))
    middle = float(shares[0] - shares[1])
    return float(a.mean() - b.mean()), middle - 1.96 * error, middle + 1.96 * error


@check("reasons", row="ethics.decisions")
def reasons(project: Project, model: Model, parts: Parts, steps: Steps, *, rows: int = 300,
            limit: float = 1.0) -> Finding:
    """Whether resetting the cited factors to the reference moves the score the right way, in every sampled decision.

    Cited: up to four inputs with the largest shares toward the decision, as a notice would list them. Reset together
    they must move the margin against the decision. limit: share of decisions in which they do.
    """
    absent = nobody(project)
    if absent:
        return say("not-applicable", f"Nothing is decided about a person: {absent}.")
    if model.task == "multiclass":
        return say("unknown", "Reasons for one of several classes are not split into shares.")
    inputs = _distinct(model.inputs(parts.holdout), rows)
    if len(inputs) < 200:
        return say("unknown", f"{len(inputs)} holdout rows are fewer than 200.", n=len(inputs),
                   remedy="hold out more rows")
    moved = resets(model, inputs, np.asarray(steps.contributions(model, inputs), np.float64))
    held = moved >= -1e-9
    share, (low, high) = float(held.mean()), clopper_pearson(int(held.sum()), len(held))
    verdict: Verdict = "pass" if share >= limit else "fail"
    worst = int(moved.argmin())
    return say(verdict, f"Resetting the cited reasons moves the score the right way in {share:.1%} of {len(held):,} "
               f"decisions ({low:.1%} to {high:.1%}); {limit:.0%} is asked.", value=share, low=low, high=high,
               limit=limit, n=len(held),
               counterexample={} if verdict == "pass" else {"row": worst, "moved": float(moved[worst])},
               remedy="" if verdict == "pass" else "cite exact contributions against the model's own reference, and "
               "only those that count")


def resets(model: Model, inputs: Floats, shares: Floats) -> Floats:
    """How far resetting the cited inputs moves the margin against the decision, (n,); below 0 is the wrong way.

    inputs, shares: (n, d). The decision is taken to be the side of the reference that the margin lies on.
    """
    margin = model.program.margin(inputs)[:, 0]
    side = np.where(margin >= model.program.margin(model.reference[None, :])[0, 0], 1.0, -1.0)
    toward = shares * side[:, None]
    order: Ints = np.argsort(-toward, axis=1)[:, :CITED]
    cited = np.zeros(shares.shape, np.bool_)
    np.put_along_axis(cited, order, True, axis=1)
    cited &= toward > 0
    reset = np.where(cited, model.reference[None, :], inputs)
    return np.asarray((margin - model.program.margin(reset)[:, 0]) * side, np.float64)


def _distinct(inputs: Floats, rows: int) -> Floats:
    return inputs[np.sort(np.random.default_rng(0).permutation(len(inputs))[:rows])]
