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

from shipworthy.core.learned import Fitted, Job, Recipe
from shipworthy.core.model import Model
from shipworthy.core.program import Linear, Term
from shipworthy.core.project import Project
from shipworthy.core.registry import Marked
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.deployment.updating.contest import losses
from shipworthy.deployment.updating.dependence import dependence, steady
from shipworthy.deployment.updating.mitigation import LEAST_ROWS, corrected, new_shares
from shipworthy.deployment.updating.unbiased import WEIGHT
from shipworthy.learning.selection.finish import finished
from shipworthy.learning.selection.provable import shape
from shipworthy.learning.training.online import Online
from shipworthy.learning.training.warm import warm

Margin = Callable[[Floats], Floats]
FEWEST = 60
LEAST_WINDOW = 500
ONLINE_ROWS, ONLINE_MOST = 5_000, 20_000  # of the old rows, and of all
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
    rows, oldest first, before they are learnt from; None for a model that learns no more.
    """

    name: str
    model: Model
    margin: Margin
    recipe: Recipe
    told: str
    along: Callable[[Table], Floats] | None = None


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
    return Made("recalibrate", done, plain(base), ground.recipe, f"calibrated on the {rows.rows:,} newest rows")


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
    return Made("label-shift", done, plain(done), ground.recipe, told)


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
    """A linear model that went through the rows one by one, calibrated by what it answered before it learnt."""
    rules, recent, old = ground.project.renew, ground.recent, ground.old
    tables = [old.take(np.arange(max(0, old.rows - ONLINE_ROWS), old.rows)), recent]
    inputs, truth = (one[-ONLINE_MOST:] for one in _rows(ground.champion, tables))
    if not _learnable(ground.champion, truth):
        return None
    rows = len(truth)
    lag = min(rules.rows if rules.continual else LEAST_WINDOW, rows // 5)
    found = Online(ground.job, lag).scaled(truth)
    margins, program = found.run(inputs, truth), found.program()
    model = ground.champion.with_program(program)

    def along(rows: Table) -> Floats:
        inputs, truth = _rows(model, [rows])
        return program.finish(deepcopy(found).run(inputs, truth))

    since = min(max(ground.window, LEAST_WINDOW), recent.rows, rows)
    newest = recent.take(np.arange(recent.rows - since, recent.rows))
    done = finished(model, newest, ground.project, program.finish(margins[rows - since :]))
    return Made("online", done, plain(model), Recipe("online"), f"went through {rows:,} rows one by one", along)


PROCEDURES: dict[str, Callable[[Ground], Made | None]] = {
    "recalibrate": recalibrate, "label-shift": label_shift, "window": refit, "warm": warmed, "online": online}


# ── helpers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def fifth(rows: int) -> Mask:
    """Every fifth row."""
    return np.asarray(np.arange(rows) % 5 == 4)


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


def plain(model: Model) -> Margin:
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
