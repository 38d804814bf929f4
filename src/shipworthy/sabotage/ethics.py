"""Faults that the checks of ethics must catch: an order turned round, a loop that feeds itself, reasons and ways out
that are none, a review that changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from shipworthy.core.case import Reviewed
from shipworthy.core.features import Number
from shipworthy.core.ledger import CHOOSE, MEASURE, Line, criterion_of, line
from shipworthy.core.model import Model
from shipworthy.core.project import Project, Reason
from shipworthy.core.project import Recourse as Ways
from shipworthy.core.recourse import Change, Recourse, price
from shipworthy.core.release import Release
from shipworthy.core.table import Floats
from shipworthy.marks import sabotage, twin
from shipworthy.sabotage.assurance import penalised

Case = dict[str, Any]


@sabotage("a criterion chosen with the figures known", check="criterion-first")
def afterwards(case: Case) -> Case:
    """Groups of these rows were measured, and only then the criterion went on record."""
    return {**case, "history": _lines(case, (MEASURE, CHOOSE))}


@sabotage("a limit that was moved after measuring", check="criterion-first")
def moved_limit(case: Case) -> Case:
    """The criterion was there first, and its limit was lowered when the figures were known."""
    project = case["project"]
    rules = msgspec.structs.replace(project.fairness, limit=0.5)
    return {**case, "history": _lines(case, (CHOOSE, MEASURE)),
            "project": msgspec.structs.replace(project, fairness=rules)}


@twin("criterion-first")
def chosen_first(case: Case, seed: int) -> Case:
    """The criterion, then the measuring, and other acts before and after."""
    return {**case, "history": _lines(case, (CHOOSE, MEASURE), before=seed % 3)}


@sabotage("a loop that takes refusal for failure, from a biased start", check="gap-slope")
def runaway(case: Case) -> Case:
    """The first decider takes 4 off one group, and whoever is refused is recorded as having failed."""
    return _looping(case, explore=0.0)


@twin("gap-slope")
def explored(case: Case, seed: int) -> Case:
    """The same start, but everybody is accepted at random, so that every outcome is learnt."""
    return _looping(case, explore=1.0)


@sabotage("an override that changes nothing", check="override")
def ignored(case: Case) -> Case:
    """The endpoint says yes, and the model's decision still stands."""
    return _reviewed(case, lambda found: replace(found, stands=found.served))


@sabotage("an override that nobody wrote down", check="override")
def unrecorded(case: Case) -> Case:
    """The decision stands, but the ledger has no line of it."""
    return _reviewed(case, lambda found: replace(found, actors=()))


@sabotage("an override by anybody", check="override")
def anybody(case: Case) -> Case:
    """A token without the right may overrule."""
    return _reviewed(case, lambda found: replace(found, refused=200))


@sabotage("a reason without a code", check="reasons")
def uncoded(case: Case) -> Case:
    """The column that weighs most on the whole has no code for the notice; all others have one."""
    project, model = case["project"], case["model"]
    inputs = model.inputs(case["parts"].learn.head(500))
    size = np.abs(np.asarray(case["steps"].contributions(model, inputs), np.float64)).mean(axis=0)
    heaviest = model.features.encoders[int(size.argmax())].column
    codes = {name: project.reasons.get(name, Reason("99", name)) for name in model.features.columns if name != heaviest}
    return {**case, "project": msgspec.structs.replace(project, reasons=codes)}


@sabotage("a way out that is twice as far", check="recourse")
def farther(case: Case) -> Case:
    """Every change that is offered goes twice as far as it has to."""
    def double(model: Model, row: Floats, found: Recourse, allowed: Sequence[Change]) -> Recourse:
        moved = np.array([one.place for one in allowed if not one.levels], np.int64)
        other = found.row.copy()
        other[moved] = row[moved] + 2 * (found.row[moved] - row[moved])
        for one in allowed:
            if not one.levels:
                other[one.place] = np.clip(other[one.place], one.low, one.high)
        return Recourse("found", other, price(row, other, allowed), found.boxes)

    return _offered(case, double)


@sabotage("a way out that nobody can take", check="recourse")
def impossible(case: Case) -> Case:
    """Every change that is offered also touches an input that a person cannot change."""
    def touched(model: Model, row: Floats, found: Recourse, allowed: Sequence[Change]) -> Recourse:
        fixed = next((at for at in range(len(row)) if at not in {one.place for one in allowed}), 0)
        other = found.row.copy()
        other[fixed] = np.nan if other[fixed] == other[fixed] else 0.0
        return Recourse("found", other, found.cost, found.boxes)

    return _offered(case, touched)


def _lines(case: Case, order: tuple[str, str], *, before: int = 0) -> list[Line]:
    subjects = {CHOOSE: criterion_of(case["project"]), MEASURE: {"rows": case["parts"].holdout.digest}}
    lines: list[Line] = []
    for number in range(before):
        lines.append(line(lines, actor="trainer@example.org", action="train", subject={"release": f"r{number}"}))
    for action in order:
        lines.append(line(lines, actor="trainer@example.org", role="trainer", action=action, subject=subjects[action]))
    return lines


def _looping(case: Case, *, explore: float) -> Case:
    project = case["project"]
    rules = msgspec.structs.replace(project.fairness, explore=explore, unseen_outcome="unfavourable")
    return {**case, "model": penalised(case, 4.0), "project": msgspec.structs.replace(project, fairness=rules)}


def _reviewed(case: Case, change: Any) -> Case:
    steps = case["steps"]

    def review(release: Release, project: Project) -> Reviewed:
        found: Reviewed = change(steps.review(release, project))
        return found

    return {**case, "steps": replace(steps, review=review)}


def _offered(case: Case, change: Any) -> Case:
    """The case with what is offered changed; where the project names nothing to change, its first three numbers are."""
    steps, project = case["steps"], case["project"]
    numbers = [encoder.column for encoder in case["model"].features.encoders if isinstance(encoder, Number)]
    if not project.recourse.change:
        project = msgspec.structs.replace(project, recourse=Ways(dict.fromkeys(numbers[:3], "either")))

    def recourse(model: Model, row: Floats, allowed: Sequence[Change], *, wish: int = 1) -> Recourse:
        found: Recourse = steps.recourse(model, row, allowed, wish=wish)
        return change(model, row, found, allowed) if found.verdict == "found" else found

    return {**case, "steps": replace(steps, recourse=recourse), "project": project}
