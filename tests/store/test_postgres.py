"""The index in PostgreSQL: the same shape, the same answers, and writers that do not undo each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from shipworthy.errors import StoreError
from shipworthy.store import Run, migrations, open_store
from shipworthy.store.index import TABLES
from shipworthy.store.records import KINDS

from .test_metadata import ONE_OF_EACH

WRITER = """
from shipworthy.store import Run, open_store
store = open_store(sys.argv[1], url=sys.argv[2])
for number in range(10):
    store.metadata.add(Run(id=f"{sys.argv[3]}-{number}", verb="build"))
"""


def test_postgresql_keeps_the_index_as_sqlite_does(tmp_path: Path, postgres: str) -> None:
    store = open_store(tmp_path, url=postgres)
    store.metadata.add(*ONE_OF_EACH)
    assert [store.metadata.get(type(r), r.id) for r in ONE_OF_EACH] == ONE_OF_EACH
    assert open_store(tmp_path, url=postgres).metadata.rebuild() == dict.fromkeys(KINDS, 1)
    assert not (store.home / "index.db").exists()


def test_the_migrations_make_exactly_the_tables_of_the_structs_and_can_be_undone(tmp_path: Path, postgres: str) -> None:
    engine = open_store(tmp_path, url=postgres).metadata.engine
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), TABLES) == []
    settings = migrations.configuration()
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "base")
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]


def test_text_from_data_is_only_text(tmp_path: Path, postgres: str) -> None:
    store = open_store(tmp_path, url=postgres)
    hostile = "'; DROP TABLE runs; -- %s %(x)s :y ☃"
    store.metadata.add(Run(id="r1", verb=hostile))
    assert store.metadata.find(Run, verb=hostile)[0].verb == hostile


def test_writers_at_once_lose_nothing(tmp_path: Path, postgres: str, spawn: Any) -> None:
    open_store(tmp_path, url=postgres)
    for process in [spawn(WRITER, tmp_path, postgres, name) for name in ("ada", "ben")]:
        assert process.communicate() == ("", "")
    metadata = open_store(tmp_path, url=postgres).metadata
    assert len(metadata.find(Run)) == 20
    assert metadata.rebuild()["runs"] == 20


def test_machines_whose_file_locks_do_not_meet_may_make_the_index_at_once(
    tmp_path: Path, postgres: str, spawn: Any
) -> None:
    folders = [tmp_path / name for name in ("ada", "ben", "cem")]
    for folder in folders:
        folder.mkdir()
    script = "from shipworthy.store import open_store\nopen_store(sys.argv[1], url=sys.argv[2])\n"
    for process in [spawn(script, folder, postgres) for folder in folders]:
        assert process.communicate() == ("", "")


def test_a_lost_index_is_made_again_from_the_records(tmp_path: Path, postgres: str) -> None:
    store = open_store(tmp_path, url=postgres)
    store.metadata.add(*ONE_OF_EACH)
    with store.metadata.engine.begin() as connection:
        TABLES.drop_all(connection)
        connection.execute(sa.text("DROP TABLE alembic_version"))
    again = open_store(tmp_path, url=postgres)
    assert [again.metadata.get(type(r), r.id) for r in ONE_OF_EACH] == ONE_OF_EACH


def test_a_refused_connection_is_told_without_the_password(tmp_path: Path, postgres: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path, url=re.sub(r":\w+@", ":hunter2@", postgres))
    assert caught.value.problem == 'the index refused: password authentication failed for user "shipworthy"'
    assert caught.value.hint == "set PGPASSWORD, or check the user in the address"
    assert "hunter2" not in str(caught.value)
