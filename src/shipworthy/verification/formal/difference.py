"""How far a new model can lie from the champion, over every row there can be."""

from __future__ import annotations

import math

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.features import Category, Encoder
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats
from shipworthy.errors import BadModel
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson
from shipworthy.verification.formal.alike import alike
from shipworthy.verification.formal.claims import Budget, Domain, Near, Span, Verdict
from shipworthy.verification.formal.families import Prover


@check("release-difference", row="verification.functional")
def release_difference(project: Project, model: Model, champion: Model, parts: Parts, *,
                       seconds: float = 6.0) -> Finding:
    """Whether the margin lies within [gate] apart of the champion's in every row there can be, proved from both.

    Domain: numbers within [data.limits], else within the range of the learning rows, every level of either model, and
    missing; each as its model reads it, after its own cleaning. seconds: for the search; where its bounds do not meet
    the limit, and no row goes beyond it, it is unknown. Beside it stands the share of holdout rows that are decided
    otherwise.
    """
    most = project.gate.apart
    if not most:
        return say("not-applicable", "The project sets no limit to how far a release may lie from the champion.", n=0,
                   remedy="set one, in log-odds or in the target's unit: [gate] apart = 5.0")
    if (model.task, model.classes, model.program.outputs) != (champion.task, champion.classes,
                                                              champion.program.outputs):
        return say("not-applicable", "The champion answers another question: its target or its classes are others.")
    try:
        both = alike(model, champion)
    except BadModel as error:
        return say("unknown", f"The models cannot be compared for all rows: {error.problem}.", limit=most,
                   remedy="keep the kind of a column from release to release: [data.kinds]")
    ask = Prover(both.one, _domain(project, both.encoders, model, parts))
    shown = max((ask(Near(both.other, most, weights), Budget(seconds=seconds / both.one.outputs))
                 for weights in map(tuple, np.eye(both.one.outputs).tolist())), key=_badness)
    n, turned = parts.holdout.rows, _turned(model, champion, parts)
    low, high = clopper_pearson(turned, n) if n else (0.0, 1.0)
    decided = "" if model.task == "regression" else (
        f" Of {n} holdout rows {turned} are decided otherwise ({low:.2%} to {high:.2%}).")
    row = None if shown.row is None else {one.name: None if math.isnan(x) else float(x)
                                          for one, x in zip(both.one.inputs, shown.row, strict=True)}
    if shown.status == "proved":
        return say("pass", f"Proved: no row there can be lies {most:.4g} or more from the champion's margin; at most "
                   f"{min(shown.high, most):.4g}.{decided}", value=max(shown.low, 0.0), high=shown.high, limit=most,
                   n=n)
    if shown.status == "refuted":
        return say("fail", f"Refuted: one row lies {shown.low:.4g} from the champion's margin; less than {most:.4g} is "
                   f"allowed.{decided}", value=shown.low, limit=most, n=1, counterexample={"inputs": row},
                   remedy="look at that row: a leaf, cell or weight of one of them is out of proportion; if the new "
                   f"answer is right, allow it: [gate] apart = {math.ceil(1.1 * shown.low)}.0")
    bound = f"at most {shown.high:.4g}" if math.isfinite(shown.high) else "without a bound"
    return say("unknown", f"Open: the largest difference from the champion's margin is {bound}, and less than "
               f"{most:.4g} is allowed ({shown.why}).{decided}", value=max(shown.low, 0.0), limit=most, n=n,
               counterexample={"inputs": row} if row else {},
               remedy="give it time: [checks.release-difference] seconds = 60.0; or train a smaller model")


def _badness(verdict: Verdict) -> tuple[int, float]:
    return ("proved", "unknown", "refuted").index(verdict.status), verdict.high


def _domain(project: Project, encoders: tuple[Encoder, ...], model: Model, parts: Parts) -> Domain:
    """What is declared, else what the learning rows span; every number where the new model does not read it."""
    inputs, limits = model.inputs(parts.learn), project.data.limits
    mine = {one.name: place for place, one in enumerate(model.features.encoders)}
    return Domain(tuple(Span(codes=tuple(range(len(one.levels)))) if isinstance(one, Category)
                        else Span(*limits[one.name]) if one.name in limits
                        else _span(inputs[:, mine[one.name]]) if one.name in mine else Span() for one in encoders))


def _span(column: Floats) -> Span:
    known = column[np.isfinite(column)]
    return Span(float(known.min()), float(known.max())) if len(known) else Span(0.0, 0.0)


def _turned(model: Model, champion: Model, parts: Parts) -> int:
    """How many holdout rows the two decide otherwise."""
    if model.task == "regression" or not parts.holdout.rows:
        return 0
    return int((model.decide(model.score(parts.holdout)) != champion.decide(champion.score(parts.holdout))).sum())
