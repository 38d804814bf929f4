"""Records: files first, and an index that can be made again."""

from __future__ import annotations

import os
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from shipworthy.errors import Misuse, StoreError
from shipworthy.store import (
    Artefact,
    Edge,
    FindingRecord,
    HoldoutRead,
    Move,
    Pin,
    Release,
    Run,
    Step,
    Store,
    migrations,
    open_store,
)
from shipworthy.store.index import TABLES
from shipworthy.store.records import KINDS, Record

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)

ONE_OF_EACH: list[Record] = [
    Run(id="r1", verb="build", started=NOON, ended=NOON + timedelta(seconds=1), status="done"),
    Step(id="s1", step="fit", key="ab", outputs={"model": "cd"}, cpu_seconds=0.5, started=NOON),
    Artefact(id="a1", name="model", digest="cd", key="ab", kind="bytes", path="kept/ab/cd.bin", size=3, at=NOON),
    Edge(id="e1", source="00", target="cd", role="train", step="fit", key="ab", at=NOON),
    Pin(id="p1", table="patients", version=3, reason="release one", at=NOON),
    Release(id="one", name="one", digest="ef", at=NOON),
    Move(id="live-00000001", alias="live", number=1, release="one", at=NOON, who="Ada", why="first"),
    HoldoutRead(id="h1", holdout="99", subject="one", reader="Ada", at=NOON),
    FindingRecord(id="f1", run="r1", check="auc", row="x.y", verdict="pass", body={"value": 0.5}, at=NOON),
]


@pytest.mark.parametrize("record", ONE_OF_EACH, ids=list(KINDS))
def test_a_record_comes_back_equal_from_index_and_file(store: Store, record: Record) -> None:
    store.metadata.add(record)
    kind = next(k for k, struct in KINDS.items() if struct is type(record))
    assert store.metadata.get(type(record), record.id) == record
    path = store.home / "records" / kind / f"{record.id}.json"
    assert msgspec.json.decode(path.read_bytes(), type=type(record)) == record


def test_the_index_is_made_again_from_the_files(store: Store, tmp_path: Path) -> None:
    store.metadata.add(*ONE_OF_EACH)
    for file in store.home.glob("index.db*"):
        file.unlink()
    again = open_store(tmp_path)
    assert [again.metadata.get(type(r), r.id) for r in ONE_OF_EACH] == ONE_OF_EACH
    assert again.metadata.rebuild() == dict.fromkeys(KINDS, 1)


def test_rebuild_forgets_what_has_no_file(store: Store) -> None:
    store.metadata.add(Run(id="r1", verb="build"), Run(id="r2", verb="build"))
    (store.home / "records" / "runs" / "r1.json").unlink()
    assert store.metadata.rebuild()["runs"] == 1
    assert [run.id for run in store.metadata.find(Run)] == ["r2"]


def test_a_broken_record_stops_a_rebuild_and_keeps_the_index(store: Store) -> None:
    store.metadata.add(Run(id="r1", verb="build"))
    broken = store.home / "records" / "runs" / "r2.json"
    broken.write_text('{"id": 1')
    with pytest.raises(StoreError) as error:
        store.metadata.rebuild()
    assert error.value.where == str(broken)
    assert store.metadata.get(Run, "r1") is not None


def test_a_broken_index_says_that_it_may_be_deleted(store: Store, tmp_path: Path) -> None:
    for file in store.home.glob("index.db*"):
        file.unlink()
    (store.home / "index.db").write_bytes(b"not a database at all, sorry" * 100)
    with pytest.raises(StoreError) as error:
        open_store(tmp_path)
    assert error.value.hint.startswith("delete the index file; it is made again")


def test_an_older_file_without_a_newer_field_opens(store: Store) -> None:
    folder = store.home / "records" / "runs"
    folder.mkdir(parents=True)
    (folder / "old.json").write_text('{"id": "old", "verb": "build", "started": "2030-05-01T12:00:00Z"}')
    (folder / "new.json").write_text(
        '{"id": "new", "verb": "build", "started": "2031-05-01T12:00:00Z", "from_the_future": 1}'
    )
    assert store.metadata.rebuild()["runs"] == 2
    assert [run.id for run in store.metadata.find(Run)] == ["new", "old"]


def test_a_record_is_replaced_by_one_of_its_id(store: Store) -> None:
    run = Run(id="r1", verb="build")
    store.metadata.add(run)
    store.metadata.add(msgspec.structs.replace(run, status="done", ended=NOON))
    assert [(r.status, r.ended) for r in store.metadata.find(Run)] == [("done", NOON)]


def test_find_filters_and_gives_the_newest_first(store: Store) -> None:
    store.metadata.add(
        *[Run(id=f"r{i}", verb="build" if i % 2 else "watch", started=NOON + timedelta(days=i)) for i in range(5)]
    )
    assert [r.id for r in store.metadata.find(Run, verb="build")] == ["r3", "r1"]
    assert [r.id for r in store.metadata.find(Run, limit=2)] == ["r4", "r3"]
    assert store.metadata.find(Run, ended=None, verb="none") == []


def test_find_by_an_unknown_field_is_told_the_nearest(store: Store) -> None:
    with pytest.raises(Misuse) as error:
        store.metadata.find(Run, statu="done")
    assert str(error.value) == 'runs have no field "statu"\n  at: runs\n  hint: did you mean "status"?'


def test_text_from_data_is_only_text(store: Store) -> None:
    hostile = "'; DROP TABLE runs; --☃"
    store.metadata.add(Run(id="r1", verb=hostile))
    assert store.metadata.find(Run, verb=hostile)[0].verb == hostile


@pytest.mark.parametrize("id", ["../x", "A", "", ".x", "a/b", "x" * 161, "a\nb"])
def test_an_id_cannot_leave_its_folder(store: Store, id: str) -> None:
    with pytest.raises(Misuse, match="cannot be used as id"):
        store.metadata.add(Run(id=id, verb="build"))


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(Misuse) as error:
        store.metadata.add(Run(verb="build", started=datetime(2030, 1, 1)))
    assert error.value.problem == "Run.started is a time without a zone"
    assert store.metadata.find(Run) == []


def test_times_of_any_zone_sort_as_moments(store: Store) -> None:
    east = datetime.fromisoformat("2030-05-01T13:30:00+02:00")
    store.metadata.add(Run(id="a", verb="v", started=NOON), Run(id="b", verb="v", started=east))
    assert [run.id for run in store.metadata.find(Run)] == ["a", "b"]


def test_a_holdout_counts_the_models_it_judged_and_records_every_reading(store: Store) -> None:
    assert store.metadata.read_holdout("abc", subject="model-1", reader="Ada") == 1
    assert store.metadata.read_holdout("abc", subject="model-2", reader="Ben") == 2
    assert store.metadata.read_holdout("abc", subject="model-1", reader="Ben") == 2
    assert store.metadata.read_holdout("def", subject="model-2", reader="Ben") == 1
    assert [r.reader for r in store.metadata.find(HoldoutRead, holdout="abc")].count("Ben") == 2


def test_eight_processes_may_start_a_project_at_once(tmp_path: Path, spawn: Any) -> None:
    script = (
        "from shipworthy.store import Run, open_store\n"
        "store = open_store(sys.argv[1])\n"
        "store.metadata.add(*[Run(verb='build') for _ in range(5)])\n"
        "print(len(store.metadata.find(Run)) >= 5)\n"
    )
    for process in [spawn(script, tmp_path) for _ in range(8)]:
        assert process.communicate() == ("True\n", "")
    store = open_store(tmp_path)
    assert len(store.metadata.find(Run)) == 40
    assert store.metadata.rebuild()["runs"] == 40


def test_a_kill_between_file_and_row_is_mended_at_the_next_open(store: Store, tmp_path: Path, spawn: Any) -> None:
    script = (
        "import os\nfrom shipworthy.store import Run, open_store\n"
        "store = open_store(sys.argv[1])\n"
        "import sqlalchemy as sa\n"
        "sa.event.listen(store.metadata.engine, 'before_cursor_execute',\n"
        "    lambda c, cur, text, *rest: os._exit(9) if text.startswith('INSERT INTO runs') else None)\n"
        "store.metadata.add(Run(id='killed', verb='build'))\n"
    )
    process = spawn(script, tmp_path)
    process.communicate()
    assert process.returncode == 9
    assert store.metadata.find(Run) == []
    store.metadata.add(Run(id="later", verb="build"))
    assert {run.id for run in open_store(tmp_path).metadata.find(Run)} == {"later", "killed"}


def test_a_refused_write_adds_neither_file_nor_row(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="the disk is full"):
            store.metadata.add(Run(id="r1", verb="build"), Run(id="r2", verb="build"))
    assert store.metadata.find(Run) == []
    assert store.metadata.rebuild()["runs"] == 0
    store.metadata.add(Run(id="r1", verb="build"))
    assert len(store.metadata.find(Run)) == 1


def test_the_migrations_make_exactly_the_tables_of_the_structs(store: Store) -> None:
    assert migrations.newest() == migrations.HEAD
    with store.metadata.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), TABLES) == []
        inspector = sa.inspect(connection)
        for name, table in TABLES.tables.items():
            made = {column["name"]: column["nullable"] for column in inspector.get_columns(name)}
            assert made == {column.name: column.nullable for column in table.columns}


def test_the_migrations_can_be_undone(store: Store) -> None:
    settings = migrations.configuration()
    with store.metadata.engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "base")
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]


def test_the_tables_can_be_said_in_postgresql() -> None:
    said = [str(CreateTable(table).compile(dialect=postgresql.dialect())) for table in TABLES.sorted_tables]
    assert len(said) == len({*KINDS, "jobs", "job_events"})
    assert any("DOUBLE PRECISION" in line for line in said)


def test_an_unusable_address_is_told(tmp_path: Path) -> None:
    for url in ("nonsense://x/y", "no url at all"):
        with pytest.raises(StoreError) as error:
            open_store(tmp_path, url=url)
        assert "PostgreSQL" in error.value.hint


def test_an_index_of_a_newer_version_is_not_touched(store: Store, tmp_path: Path) -> None:
    connection = sqlite3.connect(store.home / "index.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError) as error:
        open_store(tmp_path)
    assert error.value.hint.startswith("a newer Shipworthy made it")
    assert (store.home / "index.db.before-upgrade-from-9999").exists()


def test_a_copied_project_opens_elsewhere(store: Store, tmp_path: Path) -> None:
    store.metadata.add(*ONE_OF_EACH)
    elsewhere = tmp_path / "deep" / "copy with spaces % and é"
    shutil.copytree(store.home / "records", elsewhere / ".shipworthy" / "records")
    assert open_store(elsewhere).metadata.find(Run) == [ONE_OF_EACH[0]]


def test_a_missing_project_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the project folder is missing"):
        open_store(tmp_path / "nothing")


def test_a_thousand_runs_are_listed_within_a_second(store: Store) -> None:
    store.metadata.add(*[FindingRecord(run=f"r{i % 1000}", check="c", row="x.y", verdict="pass") for i in range(2000)])
    begun = datetime.now(UTC)
    assert len(store.metadata.find(FindingRecord, run="r7")) == 2
    assert len(store.metadata.find(FindingRecord, limit=1000)) == 1000
    assert datetime.now(UTC) - begun < timedelta(seconds=1)
