"""Traffic of a town of 3,000 people, answered by two arms as the servers were told, minute by minute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from shipworthy.core.clock import MINUTE
from shipworthy.core.grid import Reference
from shipworthy.core.model import Model
from shipworthy.core.release import Release
from shipworthy.core.settings.deployment import Rollout
from shipworthy.core.table import Table
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases.shelf import find_release
from shipworthy.deployment.integration.rollout import rollout
from shipworthy.deployment.integration.rollout.calls import EDGES, Calls
from shipworthy.deployment.integration.rollout.traffic import Traffic
from shipworthy.deployment.integration.serving.standing import read_standing
from shipworthy.deployment.monitoring.reference import reference
from shipworthy.store import Store

BEGIN = 1_700_000_040_000_000
PLAN = Rollout(stages=(0.05, 0.25, 0.5, 1.0), minutes=10, rows=300, unit=("ward",), segments=("smoker",))
Fault = Callable[[dict[str, Any], npt.NDArray[np.bool_], np.random.Generator], None]


class Town:
    """fault: what it does to the answers of the challenger's rows (a mask over the columns of one minute)."""

    def __init__(
        self, store: Store, grid: Reference, *, seed: int = 0, fault: Fault | None = None, labelled: float = 0.5,
        per_minute: int = 600, counted: bool = True,
    ) -> None:
        self.counted = counted
        self.store, self.grid, self.fault, self.labelled, self.per_minute = store, grid, fault, labelled, per_minute
        self.seed = seed
        self.random, self.now = np.random.default_rng(seed), BEGIN
        self.people = [f"person {n}" for n in range(3_000)]
        self.rows: list[dict[str, Any]] = []
        self.shadows: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []
        self.calls: list[Calls] = []
        self.where: dict[str, npt.NDArray[np.float64]] = {}

    def minute(self) -> None:
        told, n, random = read_standing(self.store.home), self.per_minute, self.random
        assert told
        if told.salt not in self.where:  # as `place` draws it, but the same in every run of the test
            self.where[told.salt] = np.random.default_rng([len(self.where), self.seed]).random(len(self.people))
        who = random.integers(0, len(self.people), n)
        lies = self.where[told.salt][who] if told.unit else random.random(n)
        challenged = lies < (told.share if told.mode == "canary" else 0.0)
        other = told.challenger.release if told.challenger else told.champion.release
        truth, start = random.random(n) < 0.4, len(self.rows) * n
        columns = self.answers(truth, random) | {
            "prediction_id": np.array([f"{start + k:012d}" for k in range(n)], object),
            "at": self.now + np.sort(random.integers(0, MINUTE, n)),
            "release": np.where(challenged, other, told.champion.release),
            "arm": np.where(challenged, "challenger", "champion"),
            "propensity": np.where(challenged, told.share, 1 - told.share if told.mode == "canary" else 1.0),
            "ward": np.array(self.people, object)[who], "smoker": random.random(n) < 0.3,
            "status": np.where(random.random(n) < 0.002, 500, 200),
            "seconds": np.exp(random.normal(-6, 0.3, n)),
        }
        if told.mode == "shadow":
            shadow = {**{name: values.copy() for name, values in columns.items()},
                      **self.answers(truth, random, like=columns),
                      "release": np.full(n, other), "arm": np.full(n, "challenger")}
            self.spoil(shadow, np.ones(n, np.bool_))
            self.shadows.append(shadow)
        self.spoil(columns, challenged)
        kept = random.random(n) < self.labelled
        self.labels.append({"prediction_id": columns["prediction_id"][kept], "observed_at": columns["at"][kept] + 1,
                            "label": np.where(truth, "yes", "no")[kept]})
        self.rows.append(columns)
        self.calls += called(columns, self.now) if self.counted else []
        self.now += MINUTE

    def spoil(self, columns: dict[str, Any], rows: npt.NDArray[np.bool_]) -> None:
        if self.fault is not None and rows.any():
            self.fault(columns, rows, self.random)

    def answers(self, truth: Any, random: Any, like: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Wrong on 10 % of rows; another model of the same quality decides otherwise on about 4 %."""
        wrong = random.random(len(truth)) < 0.1
        if like is not None:
            before = (like["decision"] == "yes") != truth
            wrong = np.where(random.random(len(truth)) < 0.2, wrong, before)
        yes = truth ^ wrong
        score = np.where(yes, 0.5, 0.0) + 0.5 * random.random(len(truth))
        return {"score": score, "decision": np.where(yes, "yes", "no").astype(object), "abstain": score > 0.97}

    def traffic(self, _: Any = None) -> Traffic:
        return Traffic(stacked(self.rows), stacked(self.shadows) if self.shadows else None, stacked(self.labels),
                       tuple(self.calls), self.grid)


def called(columns: dict[str, Any], minute: int) -> list[Calls]:
    """What the servers count of the rows of a minute, each a request."""
    found = []
    for arm in ("challenger", "champion"):
        mine = columns["arm"] == arm
        cells = np.bincount(np.searchsorted(EDGES, columns["seconds"][mine]))
        found.append(Calls(minute, arm, int(mine.sum()), int((columns["status"][mine] >= 500).sum()),
                           {cell: int(count) for cell, count in enumerate(cells) if count}))
    return [each for each in found if each.requests]


def stacked(minutes: list[dict[str, Any]]) -> Table:
    joined = {name: np.concatenate([each[name] for each in minutes]) for name in minutes[0]
              if name not in ("status", "seconds")}
    stamp = pa.timestamp("us", "UTC")
    return Table.of({name: pa.array(values.astype(np.int64), stamp) if name in ("at", "observed_at") else
                     pa.array(values.tolist()) for name, values in joined.items()}, name="log")


@pytest.fixture
def grid(model: Model, table: Table) -> Reference:
    return reference(model, table.head(20), table.take(np.arange(20, 40)))


@pytest.fixture
def promote(store: Store) -> Callable[[rollout.Rolling, str], object]:
    def act(known: rollout.Rolling, why: str) -> object:
        release = find_release(store.folder / "releases", known.challenger.release)
        return history.promote(store, release, by=known.by, why=why)

    return act


@pytest.fixture
def pair(store: Store, trained: Callable[..., Release]) -> tuple[Release, Release]:
    """The champion, and a challenger that may be promoted."""
    first, second = trained(), trained(seed=1)
    history.promote(store, first, by="ann@example.org", why="first")
    return first, second


@pytest.fixture
def begin(store: Store, pair: tuple[Release, Release]) -> Callable[..., rollout.Rolling]:
    return lambda **changes: rollout.start(store, pair[1], by="bob@example.org", why="it is newer", now=BEGIN,
                                           plan=msgspec.structs.replace(PLAN, **changes))


@pytest.fixture
def run(store: Store, grid: Reference, promote: Any, begin: Any) -> Callable[..., tuple[Town, list[rollout.Decision]]]:
    """A rollout to its end: a look every five minutes. plan: changes of it. last: what promotes. Others: of `Town`."""

    def go(*, looks: int = 80, plan: Mapping[str, Any] | None = None, last: Any = promote, **town: Any) -> Any:
        begin(**(plan or {}))
        served, decisions = Town(store, grid, **town), []
        step = partial(rollout.step, store, served.traffic, promote=last)
        while len(decisions) < looks and not (decisions and decisions[-1].action in ("back", "done", "timeout")):
            for _ in range(5):
                served.minute()
            decisions.append(step(now=served.now))
        return served, decisions

    return go
