"""The ladder: every rung from the trivial rule to boosted trees, measured on the tune part, under one budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pyarrow.compute as pc

from shipworthy.core.features import Features
from shipworthy.core.features import fit as fit_features
from shipworthy.core.learned import CAUTIOUS, Candidate, Figures, Fitted, Gain, Job, Learned, Parts
from shipworthy.core.model import Model, Sheet, encode_target
from shipworthy.core.project import Project
from shipworthy.core.registry import Marked, registry
from shipworthy.core.schema import Schema, Task, task_of
from shipworthy.core.table import Floats, Ints, Table, to_words
from shipworthy.core.words import counted
from shipworthy.errors import BadProject, nearest, one_of
from shipworthy.learning.privacy.declared import declared, middle, private, rules_of
from shipworthy.learning.privacy.federated.rungs import others
from shipworthy.learning.privacy.noise import SystemNoise
from shipworthy.learning.privacy.tuned import with_counts
from shipworthy.learning.search.folds import folds
from shipworthy.learning.search.hardware import row_microseconds
from shipworthy.learning.search.purse import Purse
from shipworthy.learning.search.search import Course, search
from shipworthy.learning.selection.choice import choose, quality
from shipworthy.learning.selection.provable import LEARNERS, shape
from shipworthy.learning.training.boosted import DEFAULT, dataset, fitted, grow
from shipworthy.learning.training.cost import cpu_seconds, start, stop
from shipworthy.learning.training.rows import drawn
from shipworthy.learning.training.weighing import row_weights
from shipworthy.metrics.losses import row_losses
from shipworthy.metrics.regression import r2

Learners = Mapping[str, Marked]
Margins = dict[str, Callable[[Floats], Floats]]
Progress = Callable[[str], None]
SHARES = {"trivial": 0.03, "linear": 0.08, "tree": 0.04, "additive": 0.2, "forest": 0.12, "network": 0.1,
          "boosted": 0.3}
RESERVE = 0.05
RESERVE_SECONDS = 0.5
LEAST_ROWS, CELLS_A_SECOND, SEARCHED = 5_000, 350_000, 0.6
LEAST_SECONDS = 0.3
MANY_CLASSES = 30


@dataclass(frozen=True)
class Stage:
    """What every rung is fitted and scored on. weights: of the learn rows, where a gap between groups is mitigated."""

    features: Features
    schema: Schema
    task: Task
    target: str
    classes: tuple[str, ...]
    learn: tuple[Floats, Floats | Ints]
    tune: tuple[Floats, Floats | Ints]
    usual: tuple[float | None, ...]
    weights: Floats | None = None


def learn(
    parts: Parts,
    features: Features,
    project: Project,
    *,
    learners: Learners | None = None,
    progress: Progress = lambda name: None,
    warm: Mapping[str, Any] | None = None,
) -> tuple[Learned, Margins]:
    """Every rung of the ladder, the search, the choice and its cost; and each rung's library margin by learner.

    Every rung does a fixed amount of work, that its share of project.learning.seconds allows on a usual machine; only
    the search is cut by the clock, and a rung is left out where no time is left for it. Either is said in the reason
    and in the cost. With project.learning.trials nothing asks the clock. learners: those known, by name; the installed
    ones by default. warm: settings to try early in the search, such as the champion's.
    """
    clock, meter, rules = time.monotonic(), start(), project.learning
    stage = set_up(parts, features, project)
    end = math.inf if rules.trials else clock + rules.seconds - max(RESERVE * rules.seconds, RESERVE_SECONDS)
    purse = Purse(rules, partial(meter.spent, rules))
    candidates: list[Candidate] = []
    margins: Margins = {}
    course, skipped = Course(), []
    for marked in rungs(project, stage.task, learners):
        if candidates and (end - time.monotonic() < LEAST_SECONDS or purse.empty()):
            skipped.append(marked.name)
            continue
        progress(f"learning: {marked.name}")
        job = _job(stage, project, seconds=max(0.1, SHARES.get(marked.name, 0.1) * rules.seconds))
        begun, cpu = time.monotonic(), cpu_seconds()
        if marked.name == "boosted" and project.learning.cautious:
            made = marked.function(*stage.learn, replace(job, settings=CAUTIOUS.settings))
        elif marked.name == "boosted":
            made, course = _searched(stage, parts, project, job, clock=clock, end=end, warm=warm, purse=purse)
        else:
            made = _counted(stage, marked.function(*stage.learn, job), project)
        candidates.append(_candidate(stage, marked, made, time.monotonic() - begun, cpu_seconds() - cpu))
        margins[marked.name] = made.margin
    chosen, why = choose(candidates, stage.tune[1], rules, stage.task)
    cut = _cut(course, skipped)
    cost = msgspec.structs.replace(
        stop(meter, rules, search_seconds=course.seconds, trials=course.trials), cut=cut)
    gains = tuple(Gain(0.0, c.figures.loss, c.learner) for c in candidates) + tuple(course.gains)
    return Learned(tuple(candidates), chosen, f"{why}; {cut}" if cut else why, cost, gains), margins


def _cut(course: Course, skipped: list[str]) -> str:
    """What the clock cut, in words; empty where it cut nothing."""
    said = [f"the budget cut the search after {counted(course.trials, 'trial')}"] if course.cut else []
    said += [f"no time was left for {', '.join(skipped)}"] if skipped else []
    return f"{' and '.join(said)}; another run may choose another model" if said else ""


def _searched(
    stage: Stage,
    parts: Parts,
    project: Project,
    job: Job,
    *,
    clock: float,
    end: float,
    warm: Mapping[str, Any] | None,
    purse: Purse,
) -> tuple[Fitted, Course]:
    """Boosted trees by the best settings found, fitted again on all rows searched on where there is time.

    With few seconds for many rows, a part of them drawn by the seed. The default settings are always fitted again.
    """
    rules = project.learning
    most = max(LEAST_ROWS, int(SEARCHED * rules.seconds * CELLS_A_SECOND / stage.learn[0].shape[1]))
    chosen = drawn(parts.learn.rows, most, rules.seed)
    inputs, truth, job = stage.learn[0][chosen], stage.learn[1][chosen], job.only(chosen)
    held = folds(parts.learn.take(chosen), truth, project)
    course = search(inputs, truth, job, held, clock=clock, end=end,
                    trials=(rules.trials or None) if rules.search else 1,
                    most_bytes=rules.max_megabytes * 1e6, warm=warm, purse=purse)
    assert course.kept is not None
    plain = course.settings.items() >= {name: DEFAULT[name] for name in DEFAULT if name != "rounds"}.items()
    last = math.inf if plain else end
    grown, rows = course.kept, int((~held[0]).sum())
    if last - time.monotonic() > 0.7 * course.refit:
        again = replace(job, settings=course.settings, threads=course.threads)
        grown = grow(dataset(inputs, truth, job), again, course.settings, end=last)
        rows = len(truth)
    course.cut |= grown.cut or rows < len(truth)
    rounds = grown.rounds
    made = fitted(grown.booster, rounds, job, course.settings, rows=rows)
    while rounds > 10 and not _fits(stage, made, project):
        rounds //= 2
        made = fitted(grown.booster, rounds, job, course.settings, rows=rows)
    return replace(made, bounds=dict(course.bounds) if rules.search and course.trials > 1 else {}), course


def _fits(stage: Stage, made: Fitted, project: Project) -> bool:
    """Whether a fit keeps the declared size and latency, as measured here."""
    rules = project.learning
    if rules.max_megabytes and sum(map(len, made.program.files().values())) > rules.max_megabytes * 1e6:
        return False
    return (not rules.max_row_microseconds
            or row_microseconds(made.program, stage.tune[0][:40]) <= rules.max_row_microseconds)


def train(
    table: Table,
    *,
    project: Project,
    learners: Learners | None = None,
    learner: str = "boosted",
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    seconds: float = 20.0,
) -> Model:
    """One learner fitted on a whole table, its encoders too; not calibrated. For drills, sabotages and quick looks."""
    hidden = project.privacy is not None and learner.startswith("private-")
    features = encoders(table, project) if hidden else fit_features(table)
    known = _installed() if learners is None else learners
    if learner not in known:
        raise BadProject(f'there is no learner "{learner}"', where="learner", hint=one_of(learner, known))
    task, classes = target_of(table, project)
    truth = encode_target(table, project.data.target, classes)
    job = Job(task, classes, features.inputs, seconds=seconds, seed=seed, shape=shape(project, features, table.schema),
              weights=row_weights(table, truth, project),
              settings={"rounds": 60, **(settings or {})} if learner == "boosted" else dict(settings or {}),
              private=private(features, project) if hidden else None)
    inputs = features.matrix(table)
    made: Fitted = known[learner].function(inputs, truth, job)
    sheet = Sheet(features, table.schema.only(features.columns), task, project.data.target, classes,
                  reference=usual(inputs, features))
    return Model(sheet, made.program)


def encoders(table: Table, project: Project) -> Features:
    """The way from a row to the inputs: fitted on these rows, or with [privacy] as the project file declares it."""
    return declared(table.schema, project) if project.privacy else fit_features(table)


def set_up(parts: Parts, features: Features, project: Project) -> Stage:
    """Inputs and truth of the learn and tune parts, and what the task is."""
    task, classes = target_of(parts.learn, project)
    sides = [(features.matrix(part), encode_target(part, project.data.target, classes))
             for part in (parts.learn, parts.tune)]
    schema = parts.learn.schema.only(features.columns)
    middles = middle(features, project) if project.privacy else usual(sides[0][0], features)
    return Stage(features, schema, task, project.data.target, classes, sides[0], sides[1], middles,
                 row_weights(parts.learn, sides[0][1], project))


def target_of(table: Table, project: Project) -> tuple[Task, tuple[str, ...]]:
    """The task, and its classes: sorted, the positive one last; none for a regression."""
    values = table.column(project.data.target)
    task = task_of(table.schema[project.data.target], pc.count_distinct(values).as_py(), positive=project.data.positive)
    if task == "regression":
        return task, ()
    classes = sorted({word for word in to_words(values) if word is not None})
    if len(classes) > MANY_CLASSES:
        raise BadProject(f'the target "{project.data.target}" has {len(classes)} classes, more than {MANY_CLASSES}',
                         where="[data] target", hint="group rare classes, or give a number to predict")
    positive = project.data.positive
    if positive:
        if positive not in classes:
            raise BadProject(f'"{positive}" is not a value of {project.data.target}', where="[data] positive",
                             hint=nearest(positive, classes) or f"it has {', '.join(classes[:5])}")
        classes = [name for name in classes if name != positive] + [positive]
    return ("binary" if len(classes) == 2 else "multiclass"), tuple(classes)


def rungs(project: Project, task: str, learners: Learners | None = None) -> list[Marked]:
    """The learners that the project asks for, simplest first; when it names none, all that fit the task and do not
    wait to be named."""
    known = _installed() if learners is None else learners
    for name in project.learning.learners:
        if name not in known:
            raise BadProject(f'there is no learner "{name}"', where="[learning] learners", hint=one_of(name, known))
    if "network" in project.learning.learners and project.fairness.mitigation != "none":
        raise BadProject("a network does not weigh its rows", where="[fairness] mitigation",
                         hint="take network out of [learning] learners")
    usual = LEARNERS if project.learning.profile == "provable" else ()
    wanted = project.learning.learners or usual or tuple(name for name in known if not known[name].facts["by_name"])
    if project.privacy:
        wanted = _only_private(project, task)
    chosen = [known[name] for name in wanted if task in known[name].facts["tasks"]]
    return sorted(chosen, key=lambda marked: int(marked.facts["order"]))


def _only_private(project: Project, task: str) -> tuple[str, ...]:
    """The private learner alone: another would look at rows outside the budget."""
    rules = rules_of(project)
    if project.learning.learners not in ((), (rules.learner,)):
        raise BadProject("with [privacy], only its own learner may look at the rows", where="[learning] learners",
                         hint=f'leave it out; [privacy] learner = "{rules.learner}" says which')
    if task != "binary":
        raise BadProject("private learning needs a target of two classes", where="[privacy]",
                         hint="leave [privacy] out, or make two classes: [data.target_rule]")
    return (rules.learner,)


def _installed() -> Learners:
    return registry().of("learner")


def usual(inputs: Floats, features: Features) -> tuple[float | None, ...]:
    """The usual row: median of every number, most frequent code of every category, None where missing is usual."""
    found: list[float | None] = []
    for column, kind in zip(inputs.T, features.inputs, strict=True):
        known = column[np.isfinite(column)]
        if (len(known) * 2 < len(column) and kind.categorical) or not len(known):
            found.append(None)
        elif kind.categorical:
            found.append(float(np.bincount(known.astype(np.int64)).argmax()))
        else:
            found.append(float(np.quantile(known, 0.5, method="lower")))
    return tuple(found)


def _job(stage: Stage, project: Project, *, seconds: float) -> Job:
    return Job(stage.task, stage.classes, stage.features.inputs, seconds=seconds, threads=project.learning.threads,
               seed=project.learning.seed, shape=shape(project, stage.features, stage.schema), weights=stage.weights,
               private=private(stage.features, project) if project.privacy else None,
               others=others(stage.features, project))


def _counted(stage: Stage, made: Fitted, project: Project) -> Fitted:
    """A private learner's fit with the noisy counts of tune rows from which it will be tuned; any other as it is."""
    if made.private is None:
        return made
    truth = np.asarray(stage.tune[1], np.int64)
    return replace(made, private=with_counts(made.private, _scores(stage, made), truth, SystemNoise(),
                                             releases=rules_of(project).releases))


def _scores(stage: Stage, made: Fitted) -> Floats:
    """By the library, whose equality with the program is a check of its own."""
    return made.program.finish(made.margin(stage.tune[0]))


def _candidate(stage: Stage, marked: Marked, made: Fitted, wall: float, cpu: float) -> Candidate:
    scores = _scores(stage, made)
    sheet = Sheet(stage.features, stage.schema, stage.task, stage.target, stage.classes, reference=stage.usual)
    model = Model(sheet, made.program)
    sample = stage.tune[0][:200]
    metric = r2(stage.tune[1], scores) if stage.task == "regression" else quality(scores, stage.tune[1], stage.task)
    figures = Figures(loss=float(row_losses(scores, stage.tune[1], stage.task).mean()), metric=float(metric),
                      complexity=made.program.complexity, bytes=sum(map(len, made.program.files().values())),
                      row_microseconds=row_microseconds(model.program, sample), fit_seconds=wall, cpu_seconds=cpu,
                      library_difference=float(
                          np.max(np.abs(made.program.margin(sample) - made.margin(sample)), initial=0.0)))
    return Candidate(marked.name, bool(marked.facts["glass_box"]), model, figures, scores, dict(made.settings),
                     dict(made.bounds), made.private, made.transcript)
