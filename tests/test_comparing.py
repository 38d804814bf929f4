"""An incident of harm names the axis that did it: old and new code, model and data are replayed once it opens."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shipworthy import flow, runbooks
from shipworthy.core.evidence import Evidence
from shipworthy.core.project import FILE
from shipworthy.core.release import Release
from shipworthy.core.table import Table
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.replay import replay
from shipworthy.deployment.monitoring.incident import Incident
from shipworthy.sabotage.world import PROJECT, world
from shipworthy.store.workspace import Workspace, open_workspace
from shipworthy.survey import ROWS

REQUIRED = json.dumps([row.id for row in ROWS if row.required])
QUICK = PROJECT.replace("seconds = 20.0", "seconds = 2.0").replace(
    '"trivial", "linear", "tree", "additive", "boosted"', '"linear"') + f"[gate]\nwithout = {REQUIRED}\n"
WHO = {"by": "approver@example.org", "why": "nothing is required of so small a world"}
Make = Callable[..., Workspace]


def turned(seed: int, rows: int) -> Table:
    """The world of somebody who has the sign of a figure wrong."""
    found = world(seed, rows=rows)
    return found.with_column("num1", -found.numbers("num1"))


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a good champion, and one after it that learnt the sign of a figure wrong."""
    folder = tmp_path_factory.mktemp("twice") / "project"
    folder.mkdir()
    (folder / FILE).write_text(QUICK, encoding="utf-8")
    place = open_workspace(folder)
    for rows in (world(3, rows=2_000), turned(4, 2_000)):
        champion_of(place, rows)
    return folder


def champion_of(place: Workspace, rows: Table) -> None:
    """A release of these rows that nobody judged, as champion."""
    history.must_sign(place.store)
    made = flow.write(place, place.releases, flow.prepare(place, {"world": rows}) | {"release": None}, Evidence(()))
    history.record(place.store, actor=place.project.project.trainer, role="trainer", action="train",
                   subject={"release": made.id}, evidence=made.evidence.digest)
    flow.promote(place, **WHO)


@pytest.fixture
def place(twice: Path, tmp_path: Path) -> Make:
    """Makes a copy of the project, with one champion or both."""

    def make(champions: int, more: str = "") -> Workspace:
        folder = Path(shutil.copytree(twice, tmp_path / "project"))
        (folder / FILE).write_text(f"{QUICK}\n{more}\n", encoding="utf-8")
        place = open_workspace(folder)
        if champions == 1:
            flow.rollback(place, by="approver@example.org", why="to see the first")
        return place

    return make


def champion(place: Workspace) -> Release:
    found = flow.champion(place)
    assert found
    return found


def serve(place: Workspace, rows: Table, release: Release | None = None) -> None:
    with Server(release or champion(place), place.log, place.project) as server:
        assert replay(rows.drop("entity"), server.address, label="outcome", batch=100).refused == 0


def incident(place: Workspace) -> Incident:
    found = runbooks.attend(place).watched.incident
    assert found
    return found


def test_a_feed_in_another_unit_is_the_data_s(place: Make) -> None:
    here, rows = place(1), world(5, rows=1_000)
    serve(here, rows.with_column("num1", -2.5 * rows.numbers("num1")))
    found = incident(here)
    assert found.harms and found.replay and found.replay.worse
    print(found)
