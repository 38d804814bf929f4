"""A small case with nothing wrong in it, made from the clean world by the real stages."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.case import Book, Steps
from shipworthy.core.contributions import contributions
from shipworthy.core.features import fit
from shipworthy.core.found import Catalogue, Listed
from shipworthy.core.learned import Candidate, Cost, Figures, Job, Learned, Parts
from shipworthy.core.model import Model, Sheet, encode_target
from shipworthy.core.recourse import recourse
from shipworthy.core.table import Table
from shipworthy.data.analysis.contract import contract, validate
from shipworthy.data.analysis.profile import profile
from shipworthy.deployment.integration.serving.answerer import answerer
from shipworthy.deployment.integration.serving.loopback import loopback
from shipworthy.deployment.integration.serving.reviewed import reviewed
from shipworthy.deployment.monitoring.drill import first_alarm
from shipworthy.deployment.monitoring.reference import reference
from shipworthy.learning.selection.ladder import target_of, usual
from shipworthy.learning.training.boosted import boosted
from shipworthy.learning.training.linear import linear
from shipworthy.learning.training.network import network
from shipworthy.learning.training.tree import tree
from shipworthy.metrics import METRICS
from shipworthy.sabotage.world import world, world_project
from shipworthy.store.postgres import connect

LEARNERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "boosted": (boosted, {"rounds": 40, "num_leaves": 7}), "linear": (linear, {}), "tree": (tree, {}),
    "network": (network, {"units": 8, "rounds": 20})}


def train(table: Table, *, learner: str = "boosted", seed: int = 0, settings: dict[str, Any] | None = None) -> Model:
    features = fit(table)
    project = world_project()
    if project.data.positive not in table.words("outcome"):
        project = msgspec.structs.replace(project, data=msgspec.structs.replace(project.data, positive=""))
    task, classes = target_of(table, project)
    inputs = features.matrix(table)
    learn, default = LEARNERS[learner]
    job = Job(task, classes, features.inputs, seconds=20.0, seed=seed, settings={**default, **(settings or {})})
    made = learn(inputs, encode_target(table, "outcome", classes), job)
    sheet = Sheet(features, table.schema.only(features.columns), task, "outcome", classes,
                  reference=usual(inputs, features))
    return Model(sheet, made.program)


def suspect_labels(table: Table) -> Any:
    fold = np.random.default_rng(0).integers(0, 3, table.rows)
    given = np.zeros(table.rows)
    for n in range(3):
        asked = table.take(fold == n)
        model = train(table.take(fold != n), learner="linear")
        score = model.score(asked)
        given[fold == n] = np.where(model.truth(asked) == 1, score, 1 - score)
    return np.argsort(given, kind="stable")


def answer(model: Model, record: dict[str, Any]) -> dict[str, Any]:
    return answerer(model).answer([record])[0]


STEPS = Steps(
    profile=lambda table: None, contract=contract, validate=validate, clean=lambda raw: None, train=train,
    contributions=lambda model, inputs: contributions(model.program, inputs, model.reference),
    suspect_labels=suspect_labels, reference=reference, discover=lambda tables, project: None,
    answer=answer, serve=partial(loopback, world_project()), alarm=partial(first_alarm, world_project()),
    recourse=recourse, review=reviewed,
)


def roles(table: Table) -> Table:
    schema = table.schema.replace("entity", role="identifier").replace("outcome", role="target")
    return table.with_schema(schema.replace("when", role="time").replace("sex", role="ignored", protected=True))


@cache
def case(seed: int, rows: int = 3_000) -> dict[str, Any]:
    table = roles(world(seed, rows=rows))
    order = np.random.default_rng(seed).permutation(rows)
    cuts = np.split(order, [int(0.65 * rows), int(0.8 * rows)])
    parts = Parts(*(table.take(np.sort(cut)) for cut in cuts))
    model = train(parts.learn, learner="linear")
    doubt = np.where(model.truth(parts.tune) == 1, 1 - model.score(parts.tune), model.score(parts.tune))
    model = model.with_sheet(threshold=4 / 14, conformal=float(np.quantile(doubt, 0.9)))
    figures = Figures(0.5, 0.8, 10, 0, 0.0, 0.0, 0.0)
    chosen = Candidate("linear", True, model, figures, model.score(parts.tune))
    columns = table.schema.names
    source = Listed("world", "world.parquet", rows, columns, owner="owner@example.org", licence="CC0-1.0")
    return {
        "project": world_project(), "catalogue": Catalogue((source,), trace=dict.fromkeys(columns, "world")),
        "table": table, "parts": parts, "arrived": parts.holdout, "profile": profile(parts.learn, target="outcome"),
        "learned": Learned((chosen,), chosen, "", Cost()), "recipe": chosen.recipe, "model": model,
        "contract": contract(parts.learn), "book": Book(1), "quota": 10, "holders": ("shop",), "tickets": (),
        "steps": STEPS, "history": (), "seals": (), "code": (), "metrics": METRICS, "meters": (),
        "grid": reference(model, parts.tune, parts.holdout, learnt=parts.learn),
    }


@pytest.fixture(scope="session")
def make_case() -> Callable[..., dict[str, Any]]:
    return case


@pytest.fixture
def clean() -> dict[str, Any]:
    return dict(case(0))


@pytest.fixture(scope="session")
def plugin_text() -> str:
    """The plugin file of the guide: a connector, a learner, a metric, and a check with its fault."""
    guide = Path(__file__).resolve().parents[1] / "docs" / "guides" / "plugins.md"
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", guide.read_text("utf-8"), re.M | re.S))


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of an empty PostgreSQL database, dropped afterwards."""
    server = os.environ.get("SHIPWORTHY_POSTGRES")
    if not server:
        pytest.skip("no PostgreSQL server is named by SHIPWORTHY_POSTGRES; run: bash .ci/postgres make test")
    name = f"test_{secrets.token_hex(6)}"
    with closing(connect(server)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
        yield f"{server.rpartition('/')[0]}/{name}"
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    return Path(os.environ.get("SHIPWORTHY_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
