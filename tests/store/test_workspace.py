"""Where a project's index is: in its folder, or where the environment says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipworthy.errors import Misuse, StoreError
from shipworthy.store.jobs import Job, Jobs
from shipworthy.store.workspace import DATABASE, open_workspace

from ..cli.conftest import fill


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATABASE, raising=False)


def named(folder: Path, name: str) -> Path:
    """A tiny project of this name."""
    file = fill(folder) / "shipworthy.toml"
    file.write_text(file.read_text().replace('name = "tiny"', f'name = "{name}"'))
    return folder


def test_the_index_is_a_file_of_the_project_unless_the_environment_names_a_database(tmp_path: Path) -> None:
    assert (open_workspace(fill(tmp_path / "a")).store.home / "index.db").is_file()


def test_an_address_without_a_place_for_the_project_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE, "postgresql://tom:hunter2@host/all")
    with pytest.raises(Misuse) as caught:
        open_workspace(fill(tmp_path / "a"))
    assert caught.value.where == DATABASE
    assert "hunter2" not in str(caught.value)


def test_two_projects_of_one_environment_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE, f"sqlite:///{tmp_path}/{{project}}.db")
    shop, town = (open_workspace(named(tmp_path / name, name)) for name in ("shop", "town"))
    Jobs(shop.store.metadata.engine).put(Job(verb="run", by="tom"))
    assert (Jobs(shop.store.metadata.engine).open(), Jobs(town.store.metadata.engine).open()) == (1, 0)
    assert not (shop.store.home / "index.db").exists()


def test_a_project_without_its_database_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: str
) -> None:
    monkeypatch.setenv(DATABASE, f"{postgres.rpartition('/')[0]}/{{project}}")
    with pytest.raises(StoreError, match='database "Ada\'s shop" does not exist'):
        open_workspace(named(tmp_path / "a", "Ada's shop"))


@pytest.mark.skipif(sys.platform == "win32", reason="a worker is ended by signals of POSIX systems")
def test_a_worker_takes_a_run_by_lease_from_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: str, spawn: Callable[..., Any]
) -> None:
    begin, _, name = postgres.rpartition("/")
    monkeypatch.setenv(DATABASE, f"{begin}/{{project}}")
    place = open_workspace(named(tmp_path / "a", name))
    assert place.store.metadata.engine.dialect.name == "postgresql"
    jobs = Jobs(place.store.metadata.engine)
    asked = jobs.put(Job(verb="verify", by="tom", settings={"release": "abcd"}))
    workers = [spawn("from shipworthy.cli import main; sys.argv[0] = 'shipworthy'; main()",
                     "worker", "-p", place.folder, "--drain") for _ in range(2)]
    for worker in workers:
        out, err = worker.communicate()
        assert (worker.returncode, out) == (0, ""), err
    ended = jobs.get(asked.id)
    assert ended is not None
    assert (ended.state, ended.attempts, ended.by) == ("failed", 1, "tom")  # there is no such release
    assert not (place.store.home / "index.db").exists()
