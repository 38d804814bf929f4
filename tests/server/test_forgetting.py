"""The keeper removes what has expired, once a day, where the project says how long it keeps rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from shipworthy.server.keeper import Keeper
from shipworthy.store.workspace import Workspace, open_workspace

from ..cli.conftest import fill


def old(place: Workspace) -> None:
    """One more label that arrived 40 days ago."""
    then = pa.array([datetime.now(UTC) - timedelta(days=40)], pa.timestamp("us", "UTC"))
    place.store.tables.write("labels", pa.table({"prediction_id": ["p"], "received_at": then}))


def test_what_has_expired_goes_once_a_day(tmp_path: Path) -> None:
    folder = fill(tmp_path / "project")
    text = (folder / "shipworthy.toml").read_text("utf-8")
    (folder / "shipworthy.toml").write_text(text.replace("[data]", "[data]\nretention_days = 30"), encoding="utf-8")
    place = open_workspace(folder)
    old(place)
    keeper = Keeper(place, print)
    keeper.look()
    assert len(place.store.tables.read("labels")) == 0
    old(place)
    keeper.look()
    assert len(place.store.tables.read("labels")) == 1


def test_without_a_declared_retention_everything_stays(tmp_path: Path) -> None:
    place = open_workspace(fill(tmp_path / "project"))
    old(place)
    Keeper(place, print).look()
    assert len(place.store.tables.read("labels")) == 1
