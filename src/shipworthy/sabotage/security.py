"""Faults that the security drills must catch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from shipworthy.core.learned import Recipe
from shipworthy.core.model import Model
from shipworthy.core.rows import row_hashes
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.marks import sabotage, twin
from shipworthy.sabotage.assurance import penalised

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
