"""A small table of each task, with missing numbers, unseen categories and every learner's awkward values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from shipworthy.again import steps
from shipworthy.core.features import Input, fit
from shipworthy.core.learned import Job
from shipworthy.core.project import Project
from shipworthy.core.registry import Registry, _marked, registry
from shipworthy.core.table import Floats, Table
from shipworthy.learning.privacy import learners as private_learners
from shipworthy.learning.privacy.federated import rungs
from shipworthy.learning.selection import ladder
from shipworthy.learning.selection.finish import finish
from shipworthy.learning.training import additive, boosted, forest, linear, network, tree, trivial
from shipworthy.learning.training.split import parts, split
from shipworthy.sabotage.world import world, world_project

INPUTS = (Input("a"), Input("b"), Input("c"), Input("d", 40), Input("e", 4))
LEARNERS = {
    "trivial": trivial.trivial, "linear": linear.linear, "tree": tree.tree, "additive": additive.additive,
    "forest": forest.forest, "boosted": boosted.boosted, "network": network.network,
}
TASKS = {"binary": ("no", "yes"), "multiclass": ("x", "y", "z"), "regression": ()}


def sample(task: str, rows: int = 600, seed: int = 0) -> tuple[Floats, Any]:
    """Inputs (rows, 5) of INPUTS with 5 % missing, and the truth of a task."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(rows, 5)).round(2)
    inputs[:, 2] = np.where(random.random(rows) < 0.3, 0.0, inputs[:, 2])
    inputs[:, 3] = random.integers(0, 40, rows)
    inputs[:, 4] = random.integers(0, 4, rows)
    inputs[random.random(inputs.shape) < 0.05] = np.nan
    filled = np.nan_to_num(inputs)
    signal = 1.5 * filled[:, 0] - filled[:, 1] * (filled[:, 4] == 2) + np.sin(filled[:, 3])
    if task == "regression":
        return inputs, signal + random.normal(size=rows) / 3
    if task == "multiclass":
        return inputs, np.digitize(signal + random.normal(size=rows) / 3, [-1, 1])
    return inputs, (random.random(rows) < 1 / (1 + np.exp(-2 * signal))).astype(np.int64)


def job(task: str, seconds: float = 0.5, **settings: float | int | str) -> Job:
    return Job(task, TASKS[task], INPUTS, seconds=seconds, settings=settings)


def with_roles(table: Table, project: Project) -> Table:
    """The table with the roles that the project gives its columns."""
    schema = table.schema.replace(project.data.target, role="target")
    for name in project.data.identifiers:
        schema = schema.replace(name, role="identifier")
    for name in project.data.set_aside:
        schema = schema.replace(name, role="ignored")
    return table.with_schema(schema.replace(project.data.time, role="time") if project.data.time else schema)


@pytest.fixture(scope="session", autouse=True)
def learners() -> Iterator[None]:
    """The built-in learners, also where the package is not installed and has no entry points."""
    modules = [sys.modules[function.__module__] for function in LEARNERS.values()]
    found = {one.name: one for module in (*modules, private_learners, rungs) for one in _marked(module)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder, "registry", lambda: Registry({"learner": found}))
        yield


@pytest.fixture(scope="session")
def clean(learners: None) -> dict[str, Any]:
    """Everything that the learning checks judge, made from the clean world."""
    project = world_project()
    table = with_roles(world(0), project)
    cut = parts(table, split(table, project))
    learned, margins = ladder.learn(cut, fit(cut.learn), project)
    return {
        "project": project, "table": table, "parts": cut, "learned": learned,
        "library": margins[learned.chosen.learner], "model": finish(learned.chosen, cut, project),
        "steps": steps(project, registry()),
    }
