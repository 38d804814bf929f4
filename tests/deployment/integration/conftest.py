"""A small model of every kind of term, over a table of every kind of column, and a release of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.evidence import Evidence
from shipworthy.core.features import Category, Features, Moment, Number
from shipworthy.core.model import Model, Sheet
from shipworthy.core.program import Dense, Linear, Lookup, Program, Term, Trees
from shipworthy.core.project import Project, parse
from shipworthy.core.release import Identity, Release
from shipworthy.core.table import Table
from shipworthy.deployment.integration.releases import history, sign
from shipworthy.deployment.integration.releases.history import signing_key
from shipworthy.deployment.integration.releases.release import packed, write_release
from shipworthy.deployment.integration.serving.app import App, app
from shipworthy.store import Store, open_store

START = datetime(2024, 2, 28, 22, tzinfo=UTC)
FEATURES = Features((Number("age"), Number("dose"), Category("ward", ("east", "north", "west")), Number("smoker"),
                     Moment("seen", "hour"), Moment("seen", "month"), Category("grade", ("1", "2", "3"))))


def patients(rows: int = 40, seed: int = 0) -> Table:
    """age (nullable), dose, ward, smoker, seen (UTC), grade (whole numbers as a category), ill."""
    random = np.random.default_rng(seed)
    wards = random.choice(["east", "north", "south", "west"], rows)
    data = pa.table({
        "age": pa.array(random.integers(0, 90, rows).astype(float), mask=random.random(rows) < 0.2),
        "dose": pa.array(np.where(random.random(rows) < 0.3, 0.0, random.normal(size=rows))),
        "ward": pa.array(wards, mask=random.random(rows) < 0.1),
        "smoker": pa.array(random.random(rows) < 0.5),
        "seen": pa.array([START + timedelta(hours=n, microseconds=n) for n in range(rows)], pa.timestamp("us", "UTC")),
        "grade": pa.array(random.integers(1, 5, rows)),
        "ill": pa.array(np.where(random.random(rows) < 0.4, "yes", "no")),
    })
    table = Table.of(data, name="patients", origin="patients.csv")
    schema = table.schema.replace("ill", role="target").replace("grade", kind="category")
    return table.with_schema(schema)


def random_trees(random: np.random.Generator, inputs: int, outputs: int, *, trees: int = 5, wide: bool = False,
                 apart: bool = False) -> Term:
    """Trees of two splits with every rule in them: numbers, categories, all three kinds of missing.

    apart: every other input is only read as a category, the rest only as numbers.
    """
    nodes = 2 * trees
    feature = random.integers(0, inputs, nodes)
    categorical = feature % 2 == 1 if apart else random.random(nodes) < 0.4
    flags = random.integers(0, 2, nodes) | categorical * 2 | random.integers(0, 3, nodes) << 2
    child = [[1 + 2 * t, -1 - 3 * t] for t in range(trees)]
    left = np.array([[child[t][0], -2 - 3 * t] for t in range(trees)]).ravel()
    right = np.array([[child[t][1], -3 - 3 * t] for t in range(trees)]).ravel()
    arrays = {
        "root": np.arange(0, nodes, 2), "output": np.arange(trees) % outputs,
        "feature": feature, "left": left, "right": right, "flags": flags,
        "words": categorical.astype(np.int32), "bits": random.integers(0, 2**32, nodes, dtype=np.uint32),
        "threshold": np.where(categorical, random.integers(0, nodes, nodes), random.normal(size=nodes)),
        "leaf": random.normal(size=(3 * trees, outputs if wide else 1)), "base": random.normal(size=outputs),
    }
    return Term(Trees(divisor=float(trees), narrow=wide), arrays)


def small_model(classes: tuple[str, ...] = ("no", "yes"), *, conformal: float | None = 0.6, seed: int = 0) -> Model:
    random = np.random.default_rng(seed)
    outputs = len(classes) if len(classes) > 2 else 1
    linear = Term(Linear(), {
        "place": np.array([0, 1, 4]), "fill": np.array([40.0, 0.1, 12.0]),
        "weight": random.normal(size=(3, outputs)) / 20,
        "missing": random.normal(size=(3, outputs)), "intercept": random.normal(size=outputs)})
    one = Term(Lookup((2,)), {"cuts0": np.array([]), "values": random.normal(size=(4, outputs))})
    two = Term(Lookup((1, 6)), {"cuts0": np.array([-0.5, 0.5]), "cuts1": np.array([]),
                                "values": random.normal(size=(4, 4, outputs))})
    trees = random_trees(random, 7, outputs)
    task = "regression" if not classes else "binary" if outputs == 1 else "multiclass"
    link = "identity" if not classes else "logistic" if outputs == 1 else "softmax"
    program = Program(FEATURES.inputs, (linear, one, two, trees), link, classes, None, "by hand")
    schema = patients(1).schema
    return Model(Sheet(FEATURES, schema, task, "ill", classes, 0.5, conformal), program)  # type: ignore[arg-type]


def small_network(classes: tuple[str, ...] = ("no", "yes")) -> Model:
    """The small model with a network beside its other terms, and a reference row."""
    model, random = small_model(classes), np.random.default_rng(1)
    network = Term(Dense("tanh"), {
        "place": np.array([0, 1, 2, 6]), "levels": np.array([0, 0, 3, 3]), "low": np.array([0.0, -2.0, 0.0, 0.0]),
        "high": np.array([90.0, 2.0, 0.0, 0.0]), "fill": np.array([40.0, 0.1, 0.0, 0.0]),
        "offset": np.array([40.0, 0.1, 0.0, 0.0]), "scale": np.array([20.0, 0.8, 1.0, 1.0]),
        "weight0": random.normal(size=(10, 5)), "bias0": random.normal(size=5),
        "weight1": random.normal(size=(5, model.program.outputs)), "bias1": random.normal(size=model.program.outputs)})
    program = replace(model.program, terms=(*model.program.terms, network))
    return model.with_program(program).with_sheet(reference=(40.0, 0.1, 0.0, 1.0, 12.0, 3.0, 1.0))


def record(**changes: Any) -> dict[str, Any]:
    """One patient as a request holds it."""
    usual = {"age": 39, "dose": 0.5, "ward": "east", "smoker": True, "seen": "2024-03-01T06:00:00Z", "grade": 2}
    return {**usual, **changes}


@pytest.fixture
def table() -> Table:
    return patients()


@pytest.fixture
def model() -> Model:
    return small_model()


@pytest.fixture
def project() -> Project:
    return parse('[project]\nname = "ward"\nowner = "o@example.org"\n[data]\ntarget = "ill"\n'
                 '[serve]\nmax_rows = 50\nmax_megabytes = 0.1\nmax_concurrent = 2\n')


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> sign.Key:
    return sign.make_key(tmp_path_factory.mktemp("key") / "signing.pem")


@pytest.fixture
def make_release(tmp_path: Path, key: sign.Key) -> Callable[..., Release]:
    """Writes a release of a model; another seed is another model."""

    def make(
        model: Model | None = None, *, seed: int = 0, evidence: Evidence | None = None, more: Any = None
    ) -> Release:
        model, table = model or small_model(seed=seed), patients()
        return write_release(
            tmp_path / "releases", name="ward", model=model, evidence=evidence or Evidence(()),
            identity=Identity("c0de", model.digest, table.digest), key=key,
            extras={"holdout.parquet": packed(table), "card.md": b"# ward\n", "datasheet.json": b'{"why":"care"}',
                    **(more or {})})

    return make


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, key: sign.Key) -> Callable[[], Release]:
    """Makes one release that tests share and do not change."""
    home = tmp_path_factory.mktemp("small")
    model = small_model()
    return lambda: write_release(home, name="ward", model=model, evidence=Evidence(()), key=key, extras={},
                                 identity=Identity("c0de", model.digest, patients().digest))


@pytest.fixture
def store(tmp_path: Path, key: sign.Key) -> Store:
    """The store of a project that trusts the key of `make_release`."""
    found = open_store(tmp_path)
    public = signing_key(found).with_name("signing.pem.pub")
    public.parent.mkdir(parents=True, exist_ok=True)
    public.write_bytes(sign.public_bytes(key))
    return found


@pytest.fixture
def trained(store: Store, make_release: Callable[..., Release]) -> Callable[..., Release]:
    """Makes a release as `make_release` does, and puts on record who trained it."""

    def make(by: str = "tom@example.org", **options: Any) -> Release:
        made = make_release(**options)
        history.record(store, actor=by, role="trainer", action="train", subject={"release": made.id},
                       evidence=made.evidence.digest)
        return made

    return make


@pytest.fixture
def release(make_release: Callable[..., Release]) -> Release:
    return make_release()


@pytest.fixture
def served(release: Release, project: Project, tmp_path: Path) -> App:
    """The application of the release, in this process."""
    return app(release, tmp_path / "log", project)


def ask(served: App, method: str, path: str, body: Any = b"", headers: tuple[Any, ...] = ()) -> tuple[int, Any]:
    """Status and decoded body of one request to an ASGI application; anything but bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    sent: list[Any] = []
    waiting = [{"type": "http.request", "body": raw, "more_body": False}]
    path, _, query = path.partition("?")

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": headers}
    asyncio.run(served(scope, receive, send))
    answer = sent[1]["body"]
    kind = dict(sent[0]["headers"])[b"content-type"]
    return sent[0]["status"], msgspec.json.decode(answer) if kind == b"application/json" and answer else answer
