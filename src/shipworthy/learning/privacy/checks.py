"""Is what was learnt bounded per person, was the bound worked out right, and what does it cost?"""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.core.case import Steps
from shipworthy.core.cleaning import Words
from shipworthy.core.evidence import Finding, say, settled
from shipworthy.core.found import Profile
from shipworthy.core.learned import Learned, Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats
from shipworthy.errors import ShipworthyError
from shipworthy.learning.privacy.budget import on_record
from shipworthy.learning.privacy.convolution import epsilon_again
from shipworthy.learning.privacy.declared import declared, middle
from shipworthy.learning.privacy.drill import canary_scores
from shipworthy.learning.selection.finish import finish_private
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson, paired_mean_difference

Lines = list[dict[str, Any]]
PILOT = 100
FREE = {"project file", "limit of the name"}
DECLARE = 'write [privacy] with epsilon, [data.limits] and [privacy.levels], and [split] kind = "random"'


@check("epsilon", row="learning.privacy")
def epsilon(project: Project, profile: Profile, learned: Learned, model: Model, history: Lines) -> Finding:
    """Whether the steps of all trainings, reckoned again by another method, keep to the epsilon that is declared.

    By composed privacy losses, which share no code with the accountant. It fails where a fitted model is in no log, and
    where encoders, reference row or cleaning are not those that the project file alone determines.
    """
    if project.privacy is None:
        return _unbounded(project, profile)
    rules = project.privacy
    logged = [one.private for one in learned.candidates if one.private is not None]
    if len(logged) < len(learned.candidates):
        return say("fail", f"{len(learned.candidates) - len(logged)} of {len(learned.candidates)} fitted models are in "
                   "no log of steps, so nothing bounds what they gave away.", limit=rules.epsilon,
                   remedy="fit the private learner only: leave [learning] learners out")
    outside = _from_rows(project, learned, model)
    if outside:
        return say("fail", f"{outside} was read from rows and not from the project file, outside the budget.",
                   limit=rules.epsilon, remedy="declare it in [data.limits] or [privacy.levels] and train again")
    every = list(on_record(history))
    every += [spent for spent in logged if spent not in every]
    found = epsilon_again([step for spent in every for step in spent.steps], rules.delta)
    trainings = f"{len(every)} training{'' if len(every) == 1 else 's'}"
    kept = found <= rules.epsilon
    return say("pass" if kept else "fail", f"Reckoned again from the log, {trainings} spent epsilon {found:.3g} at "
               f"delta {rules.delta:g}; {rules.epsilon:g} {'is' if kept else 'was'} declared.", value=found,
               limit=rules.epsilon, n=len(every),
               remedy="" if kept else f"declare what was spent: epsilon = {np.ceil(found * 100) / 100:g}")


@check("canary", row="learning.privacy")
def canary(project: Project, profile: Profile, learned: Learned, steps: Steps, *, runs: int = 500) -> Finding:
    """Whether trainings with and without one worst-case row are told apart no better than the claim allows.

    The recipe as it was used, with its noise, on seven plain rows: `runs` trainings with the row, as many without, and
    200 before them that choose where to cut. An attack that does badly proves nothing; one that does too well refutes.
    Source: Nasr et al. (2021), "Adversary Instantiation", section III; Jagielski et al. (2020), for the lower bound.
    """
    if project.privacy is None:
        return _unbounded(project, profile)
    spent = learned.chosen.private
    if spent is None or steps.noise is None:
        return say("unknown", "The model was not made by a private learner, so no training can be audited.",
                   remedy="fit the private learner only: leave [learning] learners out")
    present, absent = (canary_scores(spent, steps.noise(), runs=runs + PILOT, present=one) for one in (True, False))
    found, most = _lower_bound(present, absent, spent.delta), _most(runs, spent.delta)
    told = (f"{runs} trainings with a worst-case row and {runs} without show an epsilon of at least {found:.2f}; "
            f"{spent.epsilon:g} is claimed")
    facts = {"value": found, "limit": spent.epsilon, "n": 2 * runs}
    if found > spent.epsilon:
        return say("fail", f"{told}.", remedy="the noise is less than the log says: mend the learner or its generator, "
                   "and train again", **facts)
    if most <= spent.epsilon:
        return say("unknown", f"{told}, and so many could show {most:.2f} at the most.",
                   remedy=f"train more: [checks.canary] runs = {int(4 * np.exp(spent.epsilon)) + 1}", **facts)
    return say("pass", f"{told}, and {most:.2f} is the most that so many could show.", **facts)


@check("privacy-cost", row="learning.privacy")
def privacy_cost(
    project: Project, profile: Profile, model: Model, parts: Parts, steps: Steps, *, limit: float = 0.05
) -> Finding:
    """Whether accuracy lost to privacy on the holdout, against the same kind of model without it, is within the limit.

    Both decide at a probability of one half. The other model is fitted for this comparison only and thrown away.
    """
    if project.privacy is None:
        return _unbounded(project, profile)
    kind = project.privacy.learner.removeprefix("private-")
    try:
        open_model: Model = steps.train(parts.learn, learner=kind)
    except ShipworthyError as error:
        return say("unknown", f"The model without privacy could not be trained: {error.problem}.")
    truth = model.truth(parts.holdout)
    right = [((one.score(parts.holdout) >= 0.5) == (truth == 1)).astype(np.float64) for one in (open_model, model)]
    loss, low, high = paired_mean_difference(right[0], right[1])
    verdict = settled(loss, limit=limit, low=low, high=high, at_most=True)
    return say(verdict, f"At epsilon {project.privacy.epsilon:g} the model is right about {right[1].mean():.1%} of "
               f"{len(truth):,} holdout rows, {loss * 100:.1f} points [{low * 100:.1f}, {high * 100:.1f}] fewer than "
               f"the {kind} one without privacy ({limit:.0%} are allowed).", value=loss, low=low, high=high,
               limit=limit, n=len(truth), remedy="" if verdict == "pass" else "more rows, a larger epsilon, or tighter "
               "[data.limits]; what is allowed is [checks.privacy-cost] limit")


@check("sums-only", row="learning.privacy")
def sums_only(project: Project, learned: Learned) -> Finding:
    """Whether every message of another party held as many values as the sum that was asked for, whoever's rows it sums.

    A message that held rows would be longer, and by as much as the party has rows.
    """
    sent = [message for candidate in learned.candidates for message in candidate.transcript]
    if not sent:
        if project.federated.parties or project.federated.callers:
            return say("unknown", "Other parties are named, and no message of theirs is on record.",
                       remedy='name a federated learner: [learning] learners = ["federated-additive"]')
        return say("not-applicable", "One controller holds every row: no other party is named in [federated].")
    wrong = [message for message in sent if message.values != message.asked]
    facts = {"value": len(wrong), "limit": 0, "n": len(sent)}
    if wrong:
        first = wrong[0]
        return say("fail", f"Party {first.party} sent {first.values:,} values where a sum has {first.asked:,} "
                   f"({first.about}, turn {first.turn}); so did {len(wrong)} of {len(sent):,} messages.",
                   remedy="leave that party out: its program is not ours", **facts)
    most = max(message.values for message in sent)
    return say("pass", f"{len(sent):,} messages of {len({message.party for message in sent})} parties held nothing but "
               f"sums; the longest has {most:,} values, whatever the number of rows.", **facts)


def _unbounded(project: Project, profile: Profile) -> Finding:
    """What holds without [privacy]: not applicable where nobody's data is learnt from, by declaration and scanner."""
    found = [column.name for column in profile.columns if column.personal]
    if project.project.subject == "thing" and not project.data.personal and not found:
        return say("not-applicable", "The project declares no person, and the scanner finds no personal data in "
                   f"{len(profile.columns)} columns.")
    return say("unknown", "No [privacy] is declared, so nothing bounds what the model gives away of a person.",
               remedy=DECLARE)


def _from_rows(project: Project, learned: Learned, model: Model) -> str:
    """The first part of the model that is not what the project file and the noisy counts determine; empty if none."""
    features = declared(model.sheet.schema, project)
    if model.features != features:
        return "how the inputs are encoded"
    if model.sheet.reference != middle(features, project):
        return "the row that explanations compare with"
    for reading in model.sheet.cleaning.readings:
        learnt = reading.known or reading.folded if isinstance(reading, Words) else any(
            not FREE.intersection(gap.voters) for gap in getattr(reading, "gaps", ()))
        if learnt:
            return f"how {reading.column} is cleaned"
    spent = learned.chosen.private
    finished = finish_private(learned.chosen.model, spent, project) if spent else model
    if (finished.program.digest, finished.sheet.threshold, finished.sheet.conformal) != (
            model.program.digest, model.sheet.threshold, model.sheet.conformal):
        return "the calibration or the threshold"
    return ""


def _lower_bound(present: Floats, absent: Floats, delta: float) -> float:
    """What the runs beyond the pilot prove, at 95 %: the log of true over false positives at the pilot's cut."""
    cut = (np.median(present[:PILOT]) + np.median(absent[:PILOT])) / 2
    hits, misses = (int((scores[PILOT:] > cut).sum()) for scores in (present, absent))
    runs = len(present) - PILOT
    least, most = clopper_pearson(hits, runs)[0], clopper_pearson(misses, runs)[1]
    return float(max(0.0, np.log(max(1e-12, (least - delta) / most))))


def _most(runs: int, delta: float) -> float:
    """What perfect guesses would prove."""
    return float(np.log((clopper_pearson(runs, runs)[0] - delta) / clopper_pearson(0, runs)[1]))
