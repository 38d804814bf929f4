"""What a killed job had done is there for the next run, to the last whole table, and never mixed with another job's."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from shipworthy.errors import Misuse
from shipworthy.store.journal import Journal

JOB = {"release": "r1", "table": [["t.parquet", 10, 20]], "identifiers": ("id",)}


def table(*values: int) -> pa.Table:
    return pa.table({"x": list(values)})


def begun(path: Path, *tables: pa.Table) -> Path:
    """A journal left behind with these tables; its folder."""
    with Journal(path, JOB) as journal:
        for each in tables:
            journal.add(each)
        return journal.folder


def test_what_was_kept_is_there_for_the_next_run(tmp_path: Path) -> None:
    begun(tmp_path / "out", table(1, 2), table(3))
    with Journal(tmp_path / "out", JOB) as journal:
        assert journal.rows == 3 and pa.concat_tables(journal.tables()).equals(table(1, 2, 3))
        journal.add(table(4))
        journal.path.write_text("whole", encoding="utf-8")
        journal.finish()
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("rest", [b"\0" * 7, b"\xff\xff\xff\xff torn"])
def test_a_table_that_was_half_written_is_cut_off(tmp_path: Path, rest: bytes) -> None:
    folder = begun(tmp_path / "out", table(1, 2))
    with (folder / "tables").open("ab") as file:
        file.write(rest)
    with Journal(tmp_path / "out", JOB) as journal:
        assert [each.num_rows for each in journal.tables()] == [2]
        journal.add(table(3))
        assert pa.concat_tables(journal.tables()).equals(table(1, 2, 3))


def test_a_state_that_cannot_be_read_is_no_state(tmp_path: Path) -> None:
    folder = begun(tmp_path / "out", table(1, 2))
    (folder / "state.json").write_text("{", encoding="utf-8")
    with Journal(tmp_path / "out", JOB) as journal:
        assert journal.rows == 0 and not list(journal.tables())
        journal.add(table(5))
        assert [each["x"].to_pylist() for each in journal.tables()] == [[5]]


def test_all_that_changed_since_is_named(tmp_path: Path) -> None:
    begun(tmp_path / "out", table(1, 2))
    with pytest.raises(Misuse, match="interrupted after 2 rows, and since then this changed: release, identifiers"):
        Journal(tmp_path / "out", {**JOB, "release": "r2", "identifiers": ()})
    with Journal(tmp_path / "out", JOB | {"release": "r2"}, fresh=True) as journal:
        assert journal.rows == 0


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    with Journal(tmp_path / "out", JOB), pytest.raises(Misuse, match="another run is writing this file"):
        Journal(tmp_path / "out", JOB)
