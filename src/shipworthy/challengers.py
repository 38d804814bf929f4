"""The candidates of a renewal, by rising cost: each a way from the champion and newer rows to a model.

Beside the flow, for it joins learning with updating. The same ways are used twice: on all rows before the newest, to
find which of them wins there, and inside the case, where holdout rows are kept out of reach.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from shipworthy.core.found import Ledger
from shipworthy.core.learned import Candidate, Figures, Fitted, Job, Learned, Recipe, Split
from shipworthy.core.model import Model
from shipworthy.core.program import Linear, Term
from shipworthy.core.project import Project
from shipworthy.core.registry import Marked
from shipworthy.core.settings.renewing import CHEAP
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.deployment.updating.contest import LEAST_BATCHES, NO_UPDATE, Contest, contest, last_losses, losses
from shipworthy.deployment.updating.dependence import dependence, steady
from shipworthy.deployment.updating.mitigation import LEAST_ROWS, corrected, new_shares
from shipworthy.deployment.updating.renew import EXTRA, TAIL_SHARE
from shipworthy.deployment.updating.unbiased import WEIGHT
from shipworthy.errors import BadData
from shipworthy.learning.search.hardware import row_microseconds
from shipworthy.learning.selection.choice import quality
from shipworthy.learning.selection.finish import finished
from shipworthy.learning.selection.provable import shape
from shipworthy.learning.training.cost import cpu_seconds, start, stop
from shipworthy.learning.training.online import learnt
from shipworthy.learning.training.warm import warm
from shipworthy.metrics.losses import row_losses
from shipworthy.metrics.regression import r2

Margin = Callable[[Floats], Floats]
FEWEST = 60
LEAST_WINDOW, LEAST_TAIL = 500, 300
ONLINE_ROWS = 5_000
CAP = 0.9


@dataclass(frozen=True)
class Ground:
    """What candidates are made from; every table cleaned as the champion cleans, oldest row first.

    old: rows that the champion learnt from. recent: newer labelled rows. judging: which of them calibrate and tune,
    (recent rows,); the others are learnt from. held: rows on which the champion was judged. recipe: of the champion.
    """

    champion: Model
    recipe: Recipe
    old: Table
    recent: Table
    judging: Mask
    held: Table
    project: Project
    learners: Mapping[str, Marked]

    @cached_property
    def window(self) -> int:
        """How many of the newest rows have one mean loss under the champion."""
        return steady(bounded(self.champion, self.recent))

    @cached_property
    def apart(self) -> int:
        """From how many rows on two of the champion's losses no longer depend on each other."""
        return dependence(bounded(self.champion, self.recent)).length

    @property
    def newest(self) -> Table:
        """The rows since the last change of that loss."""
        return self.recent.take(np.arange(self.recent.rows - min(self.window, self.recent.rows), self.recent.rows))

    @property
    def judge(self) -> Table:
        """The rows to calibrate and tune on."""
        return self.recent.take(np.flatnonzero(self.judging))

    @property
    def judge_newest(self) -> Table:
        """Of them those since the last change, or all where that leaves few."""
        at = np.flatnonzero(self.judging)
        since = at[at >= self.recent.rows - self.window]
        return self.recent.take(since if len(since) >= FEWEST else at)

    @property
    def fresh(self) -> Table:
        """The recent rows to learn from."""
        return self.recent.take(np.flatnonzero(~self.judging))

    @property
    def fresh_newest(self) -> Table:
        """Of them those since the last change."""
        at = np.flatnonzero(~self.judging)
        return self.recent.take(at[at >= self.recent.rows - self.window])

    @property
    def job(self) -> Job:
        model, rules = self.champion, self.project.learning
        return Job(model.task, model.classes, model.features.inputs, seconds=rules.seconds, threads=rules.threads,
                   seed=rules.seed, shape=shape(self.project, model.features, model.sheet.schema))


@dataclass(frozen=True)
class Made:
    """A candidate. margin: of the library, before link and calibration. told: how it was made. along: the scores of
    rows, oldest first, each before it is learnt from; None for a model that learns no more.
    """

    name: str
    model: Model
    margin: Margin
    recipe: Recipe
    told: str
    along: Callable[[Table], Floats] | None = None


@dataclass(frozen=True)
class Tried:
    """What came of the contest, and what was made for it."""

    contest: Contest
    made: Mapping[str, Made]


# ── the candidates ───────────────────────────────────────────────────────────────────────────────────────────────


def recalibrate(ground: Ground) -> Made | None:
    """The champion with calibration, threshold and conformal edge of the rows since the last change.

    A regression is moved by the mean of its errors there, each at most as large as nine in ten of them.
    """
    model, rows = ground.champion, ground.newest
    if rows.rows < FEWEST:
        return None
    base = model.with_program(model.program.calibrated(None))
    if model.task == "regression":
        gap = model.truth(rows) - model.score(rows)
        edge = float(np.quantile(np.abs(gap - np.median(gap)), CAP))
        move = float(np.median(gap) + np.clip(gap - np.median(gap), -edge, edge).mean())
        base = model.with_program(replace(base.program, terms=(*base.program.terms, _constant(move))))
    done = finished(base, rows, ground.project)
    return Made("recalibrate", done, _plain(base), ground.recipe, f"calibrated on the {rows.rows:,} newest rows")


def label_shift(ground: Ground) -> Made | None:
    """The champion moved to today's shares of the classes, which its scores tell without any label."""
    model, today, held = ground.champion, ground.newest, ground.held
    if model.task == "regression" or model.program.link == "share" or min(today.rows, held.rows) < LEAST_ROWS:
        return None
    found = new_shares(each_class(model.score(today)), each_class(model.score(held)),
                       np.asarray(model.truth(held), np.int64))
    if (found.after < 1 / found.rows).any():
        return None
    done = corrected(model, found.ratio, move_threshold=ground.project.value is None)
    moved = ", ".join(f"{name} {a:.1%} → {b:.1%}"
                      for name, a, b in zip(model.classes, found.before, found.after, strict=True))
    told = f"moved to the shares {moved}" + (f"; {found.warning}" if found.warning else "")
    return Made("label-shift", done, _plain(done), ground.recipe, told)


def refit(ground: Ground) -> Made | None:
    """The champion's recipe, trained on as many of the newest rows as answer the rows to judge on best.

    Tried are the rows since the last change, and 500, 2,000, 8,000 … of the newest, up to all, old ones included, as
    long as another four times as many still fit into half of the learning budget.
    Source: Klinkenberg (2004), the adaptive window; Bifet and Gavaldà (2007) for the last change.
    """
    tables = [ground.old, ground.fresh]
    inputs, truth = _rows(ground.champion, tables)
    weights, judge, best, took = _weights(tables), ground.judge_newest, None, 0.0
    if ground.recipe.learner not in ground.learners or not judge.rows:
        return None
    for rows in _windows(ground.fresh_newest.rows, len(truth)):
        if not _learnable(ground.champion, truth[-rows:]) or 4 * took > ground.project.learning.seconds / 2:
            continue
        begun = time.monotonic()
        job = replace(ground.job, settings=ground.recipe.settings, weights=None if weights is None else weights[-rows:])
        made: Fitted = ground.learners[ground.recipe.learner].function(inputs[-rows:], truth[-rows:], job)
        told = f"trained on the newest {rows:,} of {len(truth):,} rows"
        found, took = _finished("window", ground, made, ground.recipe, told), time.monotonic() - begun
        loss = float(losses(found.model, judge).mean())
        best = (loss, found) if best is None or loss < best[0] else best
    return best[1] if best else None


def _windows(since: int, rows: int) -> list[int]:
    """How many of the newest rows to try."""
    sizes = {rows, *(since,) * (since >= FEWEST)}
    size = LEAST_WINDOW
    while size < rows:
        sizes.add(size)
        size *= 4
    return sorted(sizes)


def warmed(ground: Ground) -> Made | None:
    """Trees on top of the champion, from the rows since the last change, or from all new ones where those are few."""
    rows = ground.fresh_newest if ground.fresh_newest.rows >= LEAST_WINDOW else ground.fresh
    inputs, truth = _rows(ground.champion, [rows])
    shaped = ground.job.shape
    if not _learnable(ground.champion, truth) or shaped.rounds or shaped.leaves:
        return None
    made = warm(ground.champion.program, inputs, truth, replace(ground.job, weights=_weights([rows])))
    recipe = Recipe("boosted", dict(made.settings)) if made else ground.recipe
    told = f"grown on the champion from {rows.rows:,} rows"
    return _finished("warm", ground, made, recipe, told) if made else None


def online(ground: Ground) -> Made | None:
    """A linear model that went through the rows one by one, the old ones first."""
    old = ground.old
    tables = [old.take(np.arange(max(0, old.rows - ONLINE_ROWS), old.rows)), ground.recent]
    inputs, truth = _rows(ground.champion, tables)
    if not _learnable(ground.champion, truth):
        return None
    found = learnt(inputs, truth, ground.job)
    made = Fitted(found.program(), found.program().margin, {}, rows=len(truth))
    model = ground.champion.with_program(made.program)

    def along(rows: Table) -> Floats:
        inputs, truth = _rows(model, [rows])
        return model.program.calibrated(None).finish(deepcopy(found).run(inputs, truth))

    done = finished(model, ground.judge_newest, ground.project)
    return Made("online", done, _plain(model), Recipe("online"), f"went through {len(truth):,} rows one by one", along)


PROCEDURES: dict[str, Callable[[Ground], Made | None]] = {
    "recalibrate": recalibrate, "label-shift": label_shift, "window": refit, "warm": warmed, "online": online}


# ── the contest, and the winner made again in the case ───────────────────────────────────────────────────────────


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
    """The scores of rows, oldest first; where it learns on, each before it is learnt from."""
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
        return Learned((*_others(again, name, *cut), chosen), chosen, why, cost), made.margin

    return teach, kept


# ── helpers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def fifth(rows: int) -> Mask:
    """Every fifth row."""
    return np.asarray(np.arange(rows) % 5 == 4)


def newest_share(champion: Model, fresh: Table) -> float:
    """The share of new rows that is kept back to compare on: 30 % of those since the last change of the loss.

    At least 300 rows, and five stretches of rows that depend on each other, but never more than 30 % of all.
    """
    if not fresh.rows:
        return TAIL_SHARE
    lost = bounded(champion, champion.cleaned(fresh.drop(*EXTRA)))
    least = max(LEAST_TAIL, LEAST_BATCHES * dependence(lost).length)
    return max(TAIL_SHARE * steady(lost), min(least, TAIL_SHARE * fresh.rows)) / fresh.rows


def bounded(model: Model, rows: Table) -> Floats:
    """(n,) loss of every row in [0, 1]: what a coin of its probability gets wrong, or a capped absolute error."""
    if not rows.rows:
        return np.zeros(0)
    score, truth = model.score(rows), model.truth(rows)
    if model.task == "regression":
        gap = np.abs(truth - score)
        return np.asarray(np.minimum(gap / max(float(np.quantile(gap, CAP)), 1e-12), 1.0), np.float64)
    codes = np.asarray(truth, np.int64)
    given = score[np.arange(len(codes)), codes] if score.ndim == 2 else np.where(codes == 1, score, 1 - score)
    return np.asarray(np.clip(1 - given, 0, 1), np.float64)


def each_class(score: Floats) -> Floats:
    """(n, k) probabilities of every class."""
    return score if score.ndim == 2 else np.stack([1 - score, score], axis=1)


def _constant(value: float) -> Term:
    """A term that adds the same to every row."""
    none = np.empty((0, 1))
    return Term(Linear(), {"place": np.empty(0, np.int64), "fill": np.empty(0), "weight": none, "missing": none,
                           "intercept": np.array([value])})


def _plain(model: Model) -> Margin:
    """The margin by the definition of each term: where no library fitted anything anew."""
    def margin(inputs: Floats) -> Floats:
        total = np.zeros((len(inputs), model.program.outputs))
        for term in model.program.terms:
            total += term.margin(inputs)
        return total

    return margin


def _rows(model: Model, tables: list[Table]) -> tuple[Floats, Any]:
    return (np.concatenate([model.inputs(one) for one in tables]),
            np.concatenate([np.asarray(model.truth(one)) for one in tables]))


def _weights(tables: list[Table]) -> Floats | None:
    """What every row weighs, as `unbiased` says of newer ones; None where all weigh the same."""
    told = [one.numbers(WEIGHT) if WEIGHT in one.schema else np.ones(one.rows) for one in tables]
    weights = np.concatenate(told)
    return weights if len(weights) and np.ptp(weights) > 0 else None


def _learnable(model: Model, truth: Floats | Ints) -> bool:
    return len(truth) >= FEWEST and (model.task == "regression" or len(np.unique(truth)) == len(model.classes))


def _finished(name: str, ground: Ground, made: Fitted, recipe: Recipe, told: str) -> Made:
    model = finished(ground.champion.with_program(made.program), ground.judge_newest, ground.project)
    return Made(name, model, made.margin, recipe, told)


def _others(ground: Ground, winner: str, learn: Table, tune: Table) -> list[Candidate]:
    """What the winner stands beside in the case: the least that any model must beat, no update, and who else competed.
    """
    model, found = ground.champion, []
    if ground.recipe.learner != "trivial":
        made: Fitted = ground.learners["trivial"].function(model.inputs(learn), model.truth(learn), ground.job)
        found.append(Made("trivial", model.with_program(made.program), made.margin, Recipe("trivial"), ""))
    found.append(Made(NO_UPDATE, model, _plain(model), ground.recipe, ""))
    rivals = (PROCEDURES[name](ground) for name in able(ground.project) if name != winner)
    found += [one for one in rivals if one is not None]
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
