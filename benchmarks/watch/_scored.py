"""A model of three columns, one of which it does not need, its reference, and labelled traffic."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from shipworthy.core.features import Features, Number
from shipworthy.core.grid import Reference
from shipworthy.core.model import Model, Sheet
from shipworthy.core.program import Linear, Program, Term
from shipworthy.core.project import Project
from shipworthy.core.table import Table
from shipworthy.deployment.monitoring.reference import reference
from shipworthy.sabotage import world
from shipworthy.sabotage.deployment_monitoring import logged

WEIGHTS = {"lead": 2.0, "second": 1.0, "idle": 0.0}


def world_project() -> Project:
    """The project of the clean world, which watches by the day."""
    return world.world_project()


def rows(seed: int, n: int) -> Table:
    """Rows of three bell curves, and an outcome that follows the first two."""
    random = np.random.default_rng([seed, 41])
    made = {name: random.normal(size=n) for name in WEIGHTS}
    chance = 1 / (1 + np.exp(-sum(weight * made[name] for name, weight in WEIGHTS.items())))
    outcome = pa.array(np.where(random.random(n) < chance, "yes", "no"), pa.string())
    found = Table.of({**made, "outcome": outcome})
    return found.with_schema(found.schema.replace("outcome", role="target"))


@cache
def model() -> Model:
    """The rule of these rows."""
    features = Features(tuple(Number(name) for name in WEIGHTS))
    weight = np.array([[one] for one in WEIGHTS.values()])
    term = Term(Linear(), {"place": np.arange(3), "fill": np.zeros(3), "weight": weight,
                           "missing": np.zeros_like(weight), "intercept": np.zeros(1)})
    sheet = Sheet(features, rows(0, 100).schema, "binary", "outcome", ("no", "yes"))
    return Model(sheet, Program(features.inputs, (term,), "logistic", ("no", "yes"), label="linear"))


@cache
def grid() -> Reference:
    """Its reference, of 4,000 rows."""
    return reference(model(), rows(1, 4_000), rows(2, 4_000))


def asked(model: Model, table: Table, seed: int) -> tuple[Table, Table]:
    """The log of a month, and its labels, which are some days late."""
    found = logged(model, table, seed)
    return found["log"], found["labels"]
