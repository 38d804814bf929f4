"""When does it abstain, and can a person overrule it?"""

from __future__ import annotations

import numpy as np

from shipworthy.assurance.groups import not_people
from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, say, settled
from shipworthy.core.found import Profile
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.core.table import Floats
from shipworthy.errors import StoreError
from shipworthy.marks import check

LEAST = 30


def nobody(project: Project, profile: Profile) -> str:
    """Why nothing is decided about a person; empty if something may be."""
    if not project.project.decides:
        return "the project declares that the answer decides nothing, [project] decides = false"
    return not_people(project, profile)


@check("abstain-band", row="ethics.decisions")
def abstain_band(project: Project, profile: Profile, model: Model, parts: Parts) -> Finding:
    """Whether the model is right more often where it decides than where it abstains, at the pessimistic end.

    Abstains: the prediction set holds no class, or more than one. Judged on holdout rows.
    """
    absent = nobody(project, profile)
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


@check("override", row="ethics.decisions")
def override(project: Project, profile: Profile, release: Release, steps: Steps) -> Finding:
    """Whether a person can overrule a served answer, and it is kept: a server is started, answers the example record,
    and is told otherwise with a token that may and with one that may not.

    The decision that stands, the log and the audit ledger must all have the person's decision, and nobody without the
    right may change it. It takes about a second.
    """
    absent = nobody(project, profile)
    if absent:
        return say("not-applicable", f"Nothing is decided about a person: {absent}.")
    try:
        found = steps.review(release, project)
    except StoreError as error:
        return say("fail", f"The server did not start: {error.problem}.", n=0, remedy="shipworthy verify RELEASE")
    wrong = []
    if found.status != 200:
        wrong.append(f"overruling was answered with {found.status}")
    if found.stands != found.asked:
        wrong.append(f"{found.stands} stands, not {found.asked}")
    if found.logged != (found.asked,):
        wrong.append(f"the log has {len(found.logged)} decisions of people for it")
    if len(found.actors) != 1 or not found.actors[0].strip():
        wrong.append(f"the ledger has {len(found.actors)} lines of it")
    if found.refused not in (401, 403):
        wrong.append(f"a token without the right was answered with {found.refused}")
    wrong += found.broken
    if wrong:
        return say("fail", f"An override of a served answer does not hold: {'; '.join(wrong)}.",
                   value=float(len(wrong)), limit=0.0, n=1, counterexample={"problems": wrong},
                   remedy="serve with shipworthy serve, whose POST /v1/overrides changes what stands")
    return say("pass", f"A served answer ({found.served}) was overruled live: {found.asked} stands, and the log and "
               f"the ledger name {found.actors[0]}; without the right it is refused ({found.refused}).", value=0.0,
               limit=0.0, n=1)


def _difference(a: Floats, b: Floats) -> tuple[float, float, float]:
    """Difference of two shares with its 95 % interval. Source: Agresti and Caffo (2000)."""
    shares = [(one.sum() + 1) / (len(one) + 2) for one in (a, b)]
    error = float(np.sqrt(sum(p * (1 - p) / (len(one) + 2) for p, one in zip(shares, (a, b), strict=True))))
    middle = float(shares[0] - shares[1])
    return float(a.mean() - b.mean()), middle - 1.96 * error, middle + 1.96 * error
