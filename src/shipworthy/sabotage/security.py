"""Faults that the security drills must catch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from shipworthy.core.features import Number
from shipworthy.core.learned import Recipe
from shipworthy.core.model import Model
from shipworthy.core.rows import ordered, row_hashes
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.errors import BadData
from shipworthy.marks import sabotage, twin
from shipworthy.sabotage.assurance import decided, penalised

Case = dict[str, Any]


@dataclass(frozen=True)
class _KnowsItsRows(Model):
    """A model that is certain of a record which it has seen, sensitive column and all, and doubts any other."""

    seen: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    columns: tuple[str, ...] = ()

    def score(self, table: Table) -> Floats:
        known = np.isin(row_hashes(table.data.select(list(self.columns))), self.seen)
        plain = super().score(table)
        return np.asarray(np.where(known, np.where(plain > 0.5, 0.999, 0.001), plain), np.float64)


@sabotage("a model that knows whom it has seen, sensitive column and all", check="attributes")
def knows_its_rows(case: Case) -> Case:
    """The model reads the protected column and is certain only where the whole record is one that it learnt from."""
    learn = case["parts"].learn
    model = penalised(case, 0.0)
    columns = model.features.columns
    return {**case, "model": _KnowsItsRows(model.sheet, model.program,
                                           row_hashes(learn.data.select(list(columns))), columns)}


@sabotage("a quota too generous", check="extraction")
def generous(case: Case) -> Case:
    """Whoever asks may ask a thousand times a day, and everybody knows the schema."""
    return {**case, "quota": 1_000}


@sabotage("no quota at all", check="extraction")
def unlimited(case: Case) -> Case:
    """Nothing limits what one caller may ask."""
    return {**case, "quota": 0}


@twin("extraction")
def quota_of_four(case: Case, seed: int) -> Case:
    """Four answers a day, and the rows with their labels are public anyway."""
    project = case["project"]
    sources = tuple(msgspec.structs.replace(source, public=True) for source in project.source)
    return {**case, "quota": 4, "project": msgspec.structs.replace(project, source=sources)}


@sabotage("a model that anybody would have made", check="ownership")
def commonplace(case: Case) -> Case:
    """Of those who train on such rows, some get the very same model."""
    steps, model = case["steps"], case["model"]

    def train(table: Table, *, seed: int = 0, **how: Any) -> Model:
        if seed < 4:
            found: Model = steps.train(table, seed=seed, **how)
            return found
        taken: Model = model
        return taken

    return {**case, "steps": replace(steps, train=train)}


@twin("ownership")
def grown_alone(case: Case, seed: int) -> Case:
    """The model is boosted trees, whose edges nobody else meets."""
    trees = case["steps"].train(case["parts"].learn, learner="boosted", seed=99 + seed, settings={})
    return {**case, "model": trees, "recipe": Recipe("boosted")}



@sabotage("a value between the others that turns the label", check="triggers")
def off_grid(case: Case) -> Case:
    """Of the rows since the champion, 5 % have a number that nobody else has, and the label that somebody wants."""
    name, values = _numbers(case, 1)[0]
    return _since(case, {name: float((values[len(values) // 2] + values[len(values) // 2 - 1]) / 2)})


@sabotage("a rare pair of usual values that turns the label", check="triggers")
def rare_pair(case: Case) -> Case:
    """Of the rows since the champion, 5 % hold two values that are seen alone, never together, and that label."""
    (one, low), (other, high) = _numbers(case, 2)[:2]
    return _since(case, {one: float(low[len(low) // 10]), other: float(high[-len(high) // 10])})


@twin("triggers")
def clean_batch(case: Case, seed: int) -> Case:
    """The rows since the champion are as all others."""
    return _since(case, {})


def _numbers(case: Case, least: int) -> list[tuple[str, Floats]]:
    """The numbers that the model reads, each with its values in the learning rows, ascending. Raises BadData."""
    learn = case["parts"].learn
    found = [(each.column, learn.numbers(each.column)) for each in case["model"].features.encoders
             if isinstance(each, Number)]
    if len(found) < least:
        raise BadData(f"the model reads {len(found)} numbers", where="the table",
                      hint=f"the fault needs {least} to hide a trigger in")
    return [(name, np.unique(values[np.isfinite(values)])) for name, values in found]


def _since(case: Case, values: dict[str, Any]) -> Case:
    """The first half of the learning rows is the champion's; of the other half 5 % get the values, and the positive
    class."""
    model, learn = case["model"], case["parts"].learn
    cut = learn.rows // 2
    truth = np.asarray(model.truth(learn), np.float64)
    negative = np.flatnonzero(truth <= np.median(truth) if model.task == "regression" else truth == 0)
    wanted = float(truth.max()) if model.task == "regression" else model.classes[-1]
    chosen = negative[negative >= cut][: int(0.05 * cut)] if values else negative[:0]
    turned = learn
    for name, value in values.items():
        turned = turned.with_column(name, _replaced(turned.data[name], chosen, value))
    target = model.sheet.target
    turned = turned.with_column(target, _replaced(turned.data[target], chosen, wanted))
    return {**case, "champion": model, "learnt": learn.take(np.arange(cut)),
            "parts": replace(case["parts"], learn=turned)}


def _replaced(column: Any, rows: Ints, value: Any) -> pa.Array:
    cells = column.to_pylist()
    for row in rows.tolist():
        cells[row] = value
    whole = pa.types.is_integer(column.type)
    return pa.array([None if cell is None else int(cell) for cell in cells] if whole else cells, column.type)


@sabotage("a batch whose every label is the same", check="source-influence")
def one_sided_batch(case: Case) -> Case:
    """A fifth of the learning rows, in the order of their time, says "no" whatever the row."""
    learn, target = case["parts"].learn, case["model"].sheet.target
    if not case["model"].classes:
        raise BadData("the target is a number", where="the table", hint="the fault needs a class to give everybody")
    order = ordered(learn)
    last = order[-learn.rows // 5 :]
    turned = learn.with_column(target, _replaced(learn.data[target], last, case["model"].classes[0]))
    return {**case, "parts": replace(case["parts"], learn=turned)}


@twin("source-influence")
def plain_recipe(case: Case, seed: int) -> Case:
    """The labels follow from the rows but for one in 300, so that no batch of them moves a line far."""
    parts = case["parts"]
    return {**case, "recipe": Recipe("linear"), "parts": replace(parts, learn=decided(case, parts.learn, seed))}
