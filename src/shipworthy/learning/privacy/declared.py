"""What private learning may know beforehand: bounds and levels from the project file, and never from rows."""

from __future__ import annotations

from collections.abc import Sequence

from shipworthy.core.amounts import by_row
from shipworthy.core.features import Category, Encoder, Features, Number
from shipworthy.core.private import Private
from shipworthy.core.project import Privacy, Project
from shipworthy.core.schema import Column, Schema
from shipworthy.errors import BadProject

TRUTHS = (0.0, 1.0)


def declared(schema: Schema, project: Project) -> Features:
    """Encoders of the columns whose bounds or levels the project file declares, in the order of the table.

    Names and kinds of columns are taken to be public. Raises BadProject for a column that might be learnt from and has
    neither, and for what would let rows decide: a split by class or quantile, or rows that belong together.
    """
    rules = rules_of(project)
    _by_place(project)
    data = project.data
    kept_out = {data.target, data.time, data.group, *data.identifiers, *data.set_aside}
    encoders: list[Encoder] = []
    unbounded: list[Column] = []
    for column in schema.columns:
        if column.name in kept_out:
            continue
        if column.name in rules.levels:
            encoders.append(Category(column.name, tuple(rules.levels[column.name])))
        elif column.name in data.limits or (column.kind == "boolean" and column.role == "feature"):
            encoders.append(Number(column.name))
        elif column.role == "feature":
            unbounded.append(column)
    if unbounded:
        raise _unbounded(unbounded)
    if not encoders:
        raise BadProject("no column has declared bounds or levels to learn from", where="[privacy]",
                         hint="write them in [data.limits] and [privacy.levels]")
    return Features(tuple(encoders))


def private(features: Features, project: Project) -> Private:
    """What the private learners are told of the inputs that `declared` made."""
    rules = rules_of(project)
    bounds = tuple((0.0, 0.0) if isinstance(one, Category) else project.data.limits.get(one.column, TRUTHS)
                   for one in features.encoders)
    return Private(rules, bounds, tuple(one.column in rules.heavy for one in features.encoders))


def middle(features: Features, project: Project) -> tuple[float | None, ...]:
    """The row that explanations compare with: the middle of every bound, the first of every level."""
    return tuple((low + high) / 2 for low, high in private(features, project).bounds)


def rules_of(project: Project) -> Privacy:
    """The section [privacy]. Raises BadProject where there is none."""
    if project.privacy is None:
        raise BadProject("a private learner needs a budget", where="[learning] learners",
                         hint="write [privacy] with epsilon, and leave [learning] learners out")
    return project.privacy


def _by_place(project: Project) -> None:
    """Raise BadProject where values of rows would decide which part a row is in, or a row is not what is protected."""
    if project.split.kind in ("stratified", "grouped") or (
            project.split.kind == "time" and not (project.split.learn_until and project.split.tune_until)):
        raise BadProject("with [privacy], rows may be divided by their place or by declared dates only",
                         where="[split] kind", hint='write kind = "random", or "time" with learn_until and tune_until')
    if project.value is not None and by_row(project.value):
        raise BadProject("with [privacy], no amount may be read from a column of tune rows", where="[value]",
                         hint="write the amount itself")
    if project.fairness.mitigation != "none":
        raise BadProject("private learning does not weigh its rows", where="[fairness] mitigation",
                         hint='leave [privacy] out, or write mitigation = "none"')
    if project.data.group:
        raise BadProject("[privacy] protects a row, and the rows of one group are several", where="[data] group",
                         hint="keep one row of each, and take group out")


def _unbounded(columns: Sequence[Column]) -> BadProject:
    """What is missing of the first column, and the names of all others that lack the same."""
    name, *others = (column.name for column in columns)
    missing, hint = ("bounds", f"[data.limits] {name} = [lowest, highest]") if columns[0].kind == "number" else (
        "levels", f'[privacy.levels] {name} = ["…"]')
    rest = f"; bounds or levels are also missing for {', '.join(others)}" if others else ""
    return BadProject(f'the column "{name}" has no declared {missing}, and none may be read from its rows{rest}',
                      where="[privacy]", hint=f'write {hint}, or set it aside: [data] set_aside = ["{name}"]')
