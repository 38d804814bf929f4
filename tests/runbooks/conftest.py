"""A project with two champions after each other, and traffic whose input is broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipworthy import flow
from shipworthy.deployment.integration.serving.app import app
from shipworthy.store.workspace import Workspace, open_workspace

from ..cli.conftest import fill, rows, text
from ..cli.conftest import start as start
from ..deployment.alerts.conftest import mail as mail
from ..deployment.alerts.conftest import web as web
from ..deployment.integration.conftest import ask

WHO = {"by": "eve@example.org", "why": "it is newer"}
GOOD, BROKEN = {"size": 0.5, "noise": 0.1, "colour": "a"}, {"size": None, "noise": None, "colour": "zzz"}


@pytest.fixture(scope="session")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fill(tmp_path_factory.mktemp("twice") / "project")
    place = open_workspace(folder)
    flow.build(place, flow.gather(place))
    flow.promote(place, **WHO)
    (folder / "t.csv").write_text(text(rows()[:-10]))
    flow.build(place, flow.gather(place))
    flow.promote(place, **WHO)
    return folder


@pytest.fixture
def place(twice: Path, tmp_path: Path) -> Callable[..., Workspace]:
    """Makes a copy of the project, with more lines in its file."""

    def make(more: str = "") -> Workspace:
        folder = Path(shutil.copytree(twice, tmp_path / "project"))
        file = folder / "shipworthy.toml"
        file.write_text(f"{file.read_text('utf-8')}\n{more}\n", "utf-8")
        return open_workspace(folder)

    return make


@pytest.fixture
def answer() -> Callable[..., None]:
    """Has the champion of a project answer so many rows."""

    def serve(place: Workspace, count: int, record: dict[str, Any] = BROKEN) -> None:
        champion = flow.champion(place)
        assert champion
        served = app(champion, place.log, place.project)
        assert ask(served, "POST", "/v1/predict", [record] * count)[0] == 200
        served.arms.close()
        served.log.close()

    return serve
