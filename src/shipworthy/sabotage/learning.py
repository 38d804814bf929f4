"""Faults that the learning checks must catch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from shipworthy.core.learned import Candidate, Cost, Gain, Learned, Parts
from shipworthy.core.model import Model
from shipworthy.core.program import Program, Term
from shipworthy.core.project import Project
from shipworthy.marks import sabotage, twin

Case = dict[str, Any]


@sabotage("a huge model no better than a line", check="beats-simplest")
def huge(case: Case) -> Case:
    """600 trees of 63 leaves are released although the simplest candidate scores as well."""
    learned: Learned = case["learned"]
    model: Model = case["steps"].train(case["parts"].learn, settings={"rounds": 600, "num_leaves": 63})
    best = max(learned.candidates, key=lambda one: one.figures.metric)
    return {**case, "learned": _released(learned, _posing(model, best, metric=best.figures.metric))}


@sabotage("a black box with no gain", check="black-box-earns-it")
def opaque(case: Case) -> Case:
    """Boosted trees are released although they score exactly as the best glass box does."""
    learned: Learned = case["learned"]
    model: Model = case["steps"].train(case["parts"].learn)
    glass = max((one for one in learned.candidates if one.glass_box), key=lambda one: one.figures.metric)
    return {**case, "learned": _released(learned, _posing(model, glass, metric=glass.figures.metric))}


@sabotage("ten times over its latency budget", check="latency")
def slow(case: Case) -> Case:
    """A tenth of the time that the model needs is declared."""
    figure = case["learned"].chosen.figures.row_microseconds
    return {**case, "project": _limited(case["project"], max_row_microseconds=figure / 10)}


@sabotage("ten times over its size budget", check="size")
def big(case: Case) -> Case:
    """A tenth of the model's bytes is declared."""
    found = sum(map(len, case["model"].files().values()))
    return {**case, "project": _limited(case["project"], max_megabytes=found / 1e7)}


@sabotage("a search that runs on after it stopped gaining", check="cost-in-budget")
def restless(case: Case) -> Case:
    """Sixty more trials, none of which found anything better."""
    learned: Learned = case["learned"]
    best = min((step.loss for step in learned.course), default=1.0)
    more = tuple(Gain(10.0 + n, best, "boosted") for n in range(60))
    return {**case, "learned": replace(learned, course=(*learned.course, *more))}


@sabotage("more CPU seconds than declared", check="cost-in-budget")
def overspent(case: Case) -> Case:
    """A tenth of the CPU seconds that the run took is declared."""
    return {**case, "project": _limited(case["project"], max_cpu_seconds=case["learned"].cost.cpu_seconds / 10)}


@sabotage("metering switched off", check="metered")
def unmetered(case: Case) -> Case:
    """The run's cost is all zeros, as a run without a meter reports it."""
    learned: Learned = case["learned"]
    return {**case, "learned": replace(learned, cost=Cost(budget_seconds=learned.cost.budget_seconds))}


@sabotage("a trial that hangs", check="budget-kept")
def hung(case: Case) -> Case:
    """Learning took twice the declared seconds."""
    learned: Learned = case["learned"]
    late = msgspec.structs.replace(learned.cost, wall_seconds=2 * learned.cost.budget_seconds)
    return {**case, "learned": replace(learned, cost=late)}


@sabotage("more trials than declared", check="budget-kept")
def endless(case: Case) -> Case:
    """Two trials are declared, and the search made three."""
    learned: Learned = case["learned"]
    rules = msgspec.structs.replace(case["project"].learning, trials=2)
    return {**case, "project": msgspec.structs.replace(case["project"], learning=rules),
            "learned": replace(learned, cost=msgspec.structs.replace(learned.cost, trials=3))}


@sabotage("the best setting on the bound of its range", check="best-inside")
def cornered(case: Case) -> Case:
    """The search's best learning rate is the largest that it could try."""
    return _searched(case, rate=0.2)


@twin("best-inside")
def inside(case: Case, seed: int) -> Case:
    """The search's best learning rate lies in the middle of its range."""
    return _searched(case, rate=0.02 + 0.005 * (seed % 20))


@sabotage("a latency that was estimated", check="measured-on-this-machine")
def estimated(case: Case) -> Case:
    """The figure says a hundredth of the time that the model takes here."""
    learned: Learned = case["learned"]
    figures = learned.chosen.figures
    wrong = msgspec.structs.replace(figures, row_microseconds=figures.row_microseconds / 100)
    return {**case, "learned": _released(learned, replace(learned.chosen, figures=wrong))}


@sabotage("one value of the program edited", check="program-equals-library")
def edited(case: Case) -> Case:
    """One leaf, cell or weight that the first tune row reaches is a tenth higher than the library's."""
    model: Model = case["model"]
    row = model.inputs(case["parts"].tune.head(1))
    program = model.program
    at = max(range(len(program.terms)), key=lambda n: float(np.abs(program.terms[n].margin(row)).max()))
    terms = tuple(_nudged(term, program, row) if n == at else term for n, term in enumerate(program.terms))
    return {**case, "model": model.with_program(replace(program, terms=terms))}


def _nudged(term: Term, program: Program, row: np.ndarray[Any, Any]) -> Term:
    """The term with the value that a row reads changed by a tenth."""
    arrays = dict(term.arrays)
    key = term.added
    changed = np.array(arrays[key], np.float64)
    for place in np.ndindex(changed.shape[:-1]):
        trial = changed.copy()
        trial[place] += 0.1
        if not np.array_equal(Term(term.kind, {**arrays, key: trial}).margin(row), term.margin(row)):
            return Term(term.kind, {**arrays, key: trial})
    return Term(term.kind, {**arrays, key: changed + 0.1})


def _posing(model: Model, other: Candidate, *, metric: float) -> Candidate:
    """A model presented with the scores and figures of another candidate, but its own complexity."""
    figures = msgspec.structs.replace(other.figures, complexity=model.program.complexity, metric=metric)
    return Candidate("posing", False, model, figures, other.scores)


def _released(learned: Learned, chosen: Candidate) -> Learned:
    others = tuple(one for one in learned.candidates if one is not learned.chosen or chosen.learner != one.learner)
    return replace(learned, candidates=(*others, chosen), chosen=chosen)


def _limited(project: Project, **limits: float) -> Project:
    return msgspec.structs.replace(project, learning=msgspec.structs.replace(project.learning, **limits))


def _searched(case: Case, *, rate: float) -> Case:
    """The case with the search on and one searched candidate, whose learning rate was drawn from 0.015 to 0.2."""
    learned: Learned = case["learned"]
    found = replace(learned.chosen, learner="searched", settings={**learned.chosen.settings, "learning_rate": rate},
                    bounds={"learning_rate": (0.015, 0.2)})
    cost = msgspec.structs.replace(learned.cost, trials=20)
    parts: Parts = case["parts"]
    return {**case, "project": _limited(case["project"], search=True), "parts": parts,
            "learned": replace(learned, candidates=(*learned.candidates, found), chosen=found, cost=cost)}
