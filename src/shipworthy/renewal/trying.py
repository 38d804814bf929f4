"""The contest of a renewal: every candidate made and held to the newest rows, and the winner made again in the case."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from shipworthy.core.found import Ledger
from shipworthy.core.learned import NO_UPDATE, Candidate, Figures, Fitted, Learned, Recipe, Split
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.settings.renewing import CHEAP
from shipworthy.core.table import Floats, Table
from shipworthy.deployment.updating.contest import LEAST_BATCHES, Contest, contest, last_losses, losses
from shipworthy.deployment.updating.dependence import dependence, steady
from shipworthy.deployment.updating.renew import EXTRA, TAIL_SHARE
from shipworthy.errors import BadData
from shipworthy.learning.search.hardware import row_microseconds
from shipworthy.learning.selection.choice import quality
from shipworthy.learning.training.cost import cpu_seconds, start, stop
from shipworthy.metrics.losses import row_losses
from shipworthy.metrics.regression import r2
from shipworthy.renewal.candidates import FEWEST, PROCEDURES, Ground, Made, Margin, bounded, fifth, plain

LEAST_TAIL = 300

@dataclass(frozen=True)
class Tried:
    """What came of the contest, and what was made for it."""

    contest: Contest
    made: Mapping[str, Made]


def able(project: Project) -> tuple[str, ...]:
    """The candidates that a project lets compete, by rising cost.

    None beside a full search where rows are private, elsewhere or weighed for fairness: only learning itself knows how.
    """
    rules = project.renew
    elsewhere = project.federated.parties or project.federated.callers
    closed = project.privacy or elsewhere or project.fairness.mitigation != "none"
    return () if closed or rules.search == "always" else tuple(name for name in CHEAP if name in rules.candidates)


def tried(
    ground: Ground, tail: Table, *, before: Table, lag: int = 1, progress: Callable[[str], None] = lambda name: None
) -> Tried:
    """Every candidate made, and held to the newest rows. tail: that none has seen, oldest first; before: just before
    it, from which "as last time" takes its shares; lag: how many rows ago the last known outcome lies.
    """
    names, rules, made = able(ground.project), ground.project.renew, {}
    goes_on = rules.continual and ground.recipe.learner == "online"
    for name in sorted(names, key=lambda name: not (goes_on and name == "online")):  # then to learn on costs least
        progress(f"trying candidates: {name}")
        found = PROCEDURES[name](ground)
        if found is not None:
            made[name] = found
    scores = {name: scored(one, tail, continual=rules.continual) for name, one in made.items()}
    last = last_losses(ground.champion, before, tail, lag)
    each = {name: losses(one.model, tail, scores[name]) for name, one in made.items()}
    return Tried(contest(losses(ground.champion, tail), each, last, alpha=rules.alpha,
                         of=len(made) + (rules.search != "never"), apart=ground.apart), made)


def scored(made: Made, rows: Table, *, continual: bool) -> Floats:
    """The scores of rows, oldest first; where it learns on, before they are learnt from."""
    return made.along(rows) if continual and made.along else made.model.score(rows)


def taught(name: str, ground: Ground, known: int) -> tuple[Callable[..., tuple[Learned, Margin]], list[Made]]:
    """How the case learns: the named candidate made again from its learn and tune rows; and where that is put.

    known: how many rows of the case's table the champion was made from; newer ones follow.
    """
    kept: list[Made] = []

    def teach(table: Table, rows: Split, ledger: Ledger) -> tuple[Learned, Margin]:
        meter, rules, begun, cpu = start(), ground.project.learning, time.monotonic(), cpu_seconds()
        old = known - sum(row < known for row, _ in ledger.dropped_rows)
        recent = np.sort(np.r_[rows.learn, rows.tune])
        recent, learn = recent[recent >= old], np.sort(rows.learn)
        judging = np.isin(recent, rows.tune)
        judging = judging if judging.sum() >= FEWEST else fifth(len(recent))
        again = replace(ground, old=table.take(learn[learn < old]), recent=table.take(recent), judging=judging)
        made = PROCEDURES[name](again)
        if made is None:
            raise BadData(f"too few of the new rows may be learnt from for {name}", where="renewal",
                          hint="wait for more labels")
        kept[:] = [made]
        cut = table.take(rows.learn), table.take(rows.tune)
        chosen = _candidate(made, cut[1], time.monotonic() - begun, cpu_seconds() - cpu)
        why, cost = f"renewal: {name}: {made.told}", stop(meter, rules)
        return Learned((*_others(again, *cut), chosen), chosen, why, cost), made.margin

    return teach, kept


def newest_share(champion: Model, fresh: Table) -> float:
    """The share of new rows that is kept back to compare on: 30 % of those since the last change of the loss.

    At least 300 rows, and five stretches of rows that depend on each other, but never more than 30 % of all.
    """
    if not fresh.rows:
        return TAIL_SHARE
    lost = bounded(champion, champion.cleaned(fresh.drop(*EXTRA)))
    least = max(LEAST_TAIL, LEAST_BATCHES * dependence(lost).length)
    return max(TAIL_SHARE * steady(lost), min(least, TAIL_SHARE * fresh.rows)) / fresh.rows


def _others(ground: Ground, learn: Table, tune: Table) -> list[Candidate]:
    """What the winner stands beside in the case: the least that any model must beat, and no update."""
    model, found = ground.champion, []
    if ground.recipe.learner != "trivial":
        made: Fitted = ground.learners["trivial"].function(model.inputs(learn), model.truth(learn), ground.job)
        found.append(Made("trivial", model.with_program(made.program), made.margin, Recipe("trivial"), ""))
    found.append(Made(NO_UPDATE, model, plain(model), ground.recipe, ""))
    return [_candidate(one, tune, 0.0, 0.0) for one in found]


def _candidate(made: Made, tune: Table, seconds: float, cpu: float) -> Candidate:
    model, sample = made.model, made.model.inputs(tune)[:200]
    scores, truth = model.score(tune), model.truth(tune)
    metric = r2(truth, scores) if model.task == "regression" else quality(scores, truth, model.task)
    figures = Figures(
        loss=float(row_losses(scores, truth, model.task).mean()), metric=float(metric),
        complexity=model.program.complexity, bytes=sum(map(len, model.program.files().values())),
        row_microseconds=row_microseconds(model.program, sample), fit_seconds=seconds, cpu_seconds=cpu,
        library_difference=float(np.max(np.abs(model.program.margin(sample) - made.margin(sample)), initial=0.0)))
    glass = made.recipe.learner in ("trivial", "linear", "tree", "additive", "online")
    return Candidate(made.recipe.learner, glass, model, figures, scores, dict(made.recipe.settings), way=made.name)
