"""Tables with versions: nothing cast in silence, no lost race, no trace of what was erased."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from shipworthy.errors import BadData, Misuse, StoreError
from shipworthy.store import Store
from shipworthy.store.tables import RETRIES, _retried, filtered

UUID_TEXT = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


def _people(first: int, *names: str) -> pa.Table:
    return pa.table({"id": list(range(first, first + len(names))), "name": list(names)})


def _bytes_under(folder: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def test_each_write_is_a_version_that_can_be_read(store: Store) -> None:
    assert store.tables.write("t", _people(1, "a")) == 0
    assert store.tables.write("t", _people(2, "b")) == 1
    assert store.tables.write("t", _people(9, "z"), "overwrite") == 2
    assert store.tables.read("t", 1).num_rows == 2
    assert store.tables.read("t").to_pylist() == [{"id": 9, "name": "z"}]
    assert store.tables.read("t", columns=["name"]).column_names == ["name"]
    assert store.tables.read("t", 1, where=pc.field("id") >= 2).to_pylist() == [{"id": 2, "name": "b"}]
    assert store.tables.scan("t", 1).count_rows() == 2
    assert store.tables.names() == ["t"]


@pytest.mark.parametrize("column", [[2.9], ["7"], [True], pa.array([1], pa.int8())])
def test_an_append_is_not_cast_in_silence(store: Store, column: Any) -> None:
    store.tables.write("t", pa.table({"x": [1]}))
    with pytest.raises(BadData) as error:
        store.tables.write("t", pa.table({"x": column}))
    kind = pa.table({"x": column}).schema.field("x").type
    assert error.value.problem == (f'the rows do not fit table "t": column "x" is int64 in the table and {kind} here')
    assert error.value.hint
    assert store.tables.read("t").num_rows == 1


def test_a_named_cast_is_made_and_noted(store: Store) -> None:
    store.tables.write("t", pa.table({"x": [1]}))
    store.tables.write("t", pa.table({"x": [2.0]}), casts={"x": pa.int64()})
    assert store.tables.history("t")[0].casts == {"x": "double to int64"}


def test_a_named_cast_may_not_change_a_value(store: Store) -> None:
    with pytest.raises(BadData, match="without changing a value"):
        store.tables.write("t", pa.table({"x": [2.9]}), casts={"x": pa.int64()})
    with pytest.raises(BadData, match='column "y" is to be cast'):
        store.tables.write("t", pa.table({"x": [2.9]}), casts={"y": pa.int64()})
    assert store.tables.names() == []


def test_a_schema_changes_only_by_overwrite_with_a_reason(store: Store) -> None:
    store.tables.write("t", pa.table({"x": [1]}))
    wider = pa.table({"x": [1.5]})
    for mode, reason in (("overwrite", ""), ("append", "wider")):
        with pytest.raises(BadData, match="do not fit"):
            store.tables.write("t", wider, mode, migration=reason)  # type: ignore[arg-type]
    assert store.tables.write("t", wider, "overwrite", migration="sensor reports halves") == 1
    newest = store.tables.history("t")[0]
    assert newest.migration == "sensor reports halves"
    assert newest.schema_changes == ('column "x" is int64 in the table and double here',)
    assert store.tables.read("t", 0).schema.field("x").type == pa.int64()


def test_a_changed_unit_is_refused(store: Store) -> None:
    kilos = pa.schema([pa.field("x", pa.int64(), metadata={"unit": "kg"})])
    pounds = pa.schema([pa.field("x", pa.int64(), metadata={"unit": "lb"})])
    store.tables.write("t", pa.table({"x": [1]}, schema=kilos))
    with pytest.raises(BadData, match="unit 'kg' in the table and 'lb' here"):
        store.tables.write("t", pa.table({"x": [1]}, schema=pounds))
    assert store.tables.read("t").schema.field("x").metadata == {b"unit": b"kg"}


def test_a_repeated_transaction_of_a_fresh_writer_is_written_once(store: Store) -> None:
    rows = _people(1, "a")
    for number in (0, 0, 1, 1, 0):
        store.tables.write("t", rows, transaction=("loader", number))
    assert store.tables.read("t").num_rows == 2
    store.tables.write("t", rows, transaction=("other", 0))
    assert store.tables.read("t").num_rows == 3


def test_one_transaction_of_many_writers_at_once_is_written_once(store: Store) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: store.tables.write("t", _people(1, "a"), transaction=("w", 7)), range(6)))
    assert store.tables.read("t").num_rows == 1


def test_appends_at_once_all_land_in_versions_of_their_own(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda i: store.tables.write("t", _people(i, "a")), range(8)))
    assert sorted(versions) == list(range(8))
    assert sorted(store.tables.read("t").column("id").to_pylist()) == list(range(8))


def test_overwrites_and_deletes_at_once_are_tried_again(store: Store) -> None:
    store.tables.write("t", _people(0, *"abcdefgh"))

    def work(number: int) -> object:
        return store.tables.delete_where("t", [number], column="id")

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [1, 1, 1, 1]
    assert sorted(store.tables.read("t").column("id").to_pylist()) == [4, 5, 6, 7]


def test_a_race_lost_too_often_is_told() -> None:
    tries = []

    def lose() -> None:
        tries.append(1)
        raise CommitFailedError("lost")

    with pytest.raises(StoreError, match="6 times in a row"):
        _retried("t", lose)
    assert len(tries) == RETRIES + 1


def test_rows_are_deleted_by_id_and_counted(store: Store) -> None:
    store.tables.write("t", _people(1, "a", "b", "c"))
    assert store.tables.delete_where("t", [1, 3, 99, 1], column="id") == 2
    assert store.tables.read("t").column("name").to_pylist() == ["b"]
    assert store.tables.delete_where("t", [99], column="id") == 0
    assert store.tables.delete_where("t", [], column="id") == 0


def test_after_a_deletion_rows_are_found_by_their_words_as_before(store: Store) -> None:
    store.tables.write("t", _people(1, "ann", "bob", "cyd"))
    store.tables.write("t", _people(4, "dan", "bob"))
    assert store.tables.delete_where("t", [1], column="id") == 1
    assert sorted(store.tables.read("t", where=pc.field("name") == "bob")["id"].to_pylist()) == [2, 5]
    assert store.tables.read("t", columns=["id"], where=pc.field("name") >= "c").sort_by("id").to_pylist() == [
        {"id": 3}, {"id": 4}]
    assert filtered(store.tables.scan("t"), pc.field("name") == "nobody").num_rows == 0


def test_a_hundred_thousand_ids_are_deleted_at_once(store: Store) -> None:
    store.tables.write("t", pa.table({"id": range(200_000)}))
    assert store.tables.delete_where("t", range(0, 200_000, 2), column="id") == 100_000


def test_text_ids_must_be_uuids_or_digests(store: Store) -> None:
    store.tables.write("t", pa.table({"id": [UUID_TEXT, "ab" * 16], "n": [1, 2]}))
    assert store.tables.delete_where("t", [UUID_TEXT], column="id") == 1
    for personal in ("Alice", "a@b.c", "x' OR '1'='1", "07700900123", True):
        with pytest.raises(BadData) as error:
            store.tables.delete_where("t", [personal], column="id")
        assert str(personal) not in str(error.value)
    assert store.tables.read("t").num_rows == 1


def test_ids_of_the_wrong_type_or_column_are_refused(store: Store) -> None:
    store.tables.write("t", _people(1, "a"))
    with pytest.raises(BadData, match="ids do not fit"):
        store.tables.delete_where("t", ["ab" * 16], column="id")
    with pytest.raises(BadData) as error:
        store.tables.delete_where("t", [1], column="idd")
    assert error.value.hint == 'did you mean "id"?'


def test_after_deletion_and_gc_no_byte_of_the_person_is_left(store: Store) -> None:
    store.tables.write("t", _people(1, "Zaphod Beeblebrox", "x"), statistics=["id"])
    assert b"Zaphod" in _bytes_under(store.home)
    store.tables.delete_where("t", [1], column="id")
    assert store.tables.gc("t", hours=0)
    assert b"Zaphod" not in _bytes_under(store.home)
    assert store.tables.read("t").to_pylist() == [{"id": 2, "name": "x"}]


def test_the_log_keeps_statistics_of_named_columns_only(store: Store) -> None:
    store.tables.write("t", _people(1, "Zaphod"), statistics=["id"])
    store.tables.write("t", _people(2, "Trillian"))
    log = _bytes_under(store.home / "tables" / "t" / "_delta_log")
    assert b'\\"minValues\\":{\\"id\\":2}' in log
    assert b"Zaphod" not in log
    assert b"Trillian" not in log
    with pytest.raises(BadData, match="statistics"):
        store.tables.write("u", _people(1, "a"), statistics=["idd"])


def test_no_column_has_statistics_unless_it_is_named(store: Store) -> None:
    store.tables.write("t", pa.table({"a`b, c": [424242]}))
    assert b"424242" not in _bytes_under(store.home / "tables" / "t" / "_delta_log")


def test_a_pinned_version_outlives_gc_and_others_are_told_to_be_gone(store: Store) -> None:
    for name in "abc":
        store.tables.write("t", _people(1, name), "overwrite")
    store.tables.pin("t", 0, "release r1")
    store.tables.pin("t", 0, "report")
    store.tables.gc("t", hours=0)
    assert store.tables.read("t", 0).column("name").to_pylist() == ["a"]
    with pytest.raises(StoreError) as error:
        store.tables.read("t", 1)
    assert error.value.problem == 'version 1 of table "t" was cleaned up and cannot be read'
    assert error.value.hint == "read a newer version; pin a version to keep it"
    with pytest.raises(StoreError, match="was cleaned up"):
        store.tables.pin("t", 1, "too late")
    assert {v.version: v.pins for v in store.tables.history("t")}[0] == ("release r1", "report")


def test_an_unpinned_version_is_collected(store: Store) -> None:
    store.tables.write("t", _people(1, "a"))
    store.tables.write("t", _people(1, "b"), "overwrite")
    store.tables.pin("t", 0, "release r1")
    store.tables.unpin("t", 0, "release r1")
    store.tables.gc("t", hours=0)
    with pytest.raises(StoreError, match="was cleaned up"):
        store.tables.read("t", 0)
    with pytest.raises(StoreError, match="is not pinned"):
        store.tables.unpin("t", 0, "release r1")


def test_gc_keeps_a_week_by_default(store: Store) -> None:
    store.tables.write("t", _people(1, "a"))
    store.tables.write("t", _people(1, "b"), "overwrite")
    assert store.tables.gc("t") == []
    assert store.tables.read("t", 0).num_rows == 1


def test_a_pin_older_than_the_checkpoint_is_still_readable(store: Store) -> None:
    store.tables.write("t", _people(1, "a"))
    store.tables.pin("t", 0, "release r1")
    for number in range(11):
        store.tables.write("t", _people(number, "b"))
    path = str(store.home / "tables" / "t")
    DeltaTable(path).create_checkpoint()
    DeltaTable(path).cleanup_metadata()
    store.tables.gc("t", hours=0)
    assert store.tables.read("t", 0).num_rows == 1
    assert DeltaTable(path).metadata().configuration["delta.enableExpiredLogCleanup"] == "false"


def test_history_counts_rows(store: Store) -> None:
    store.tables.write("t", _people(1, "a", "b"))
    store.tables.delete_where("t", [1], column="id")
    newest, first = store.tables.history("t")
    assert (first.version, first.operation, first.rows_added) == (0, "write", 2)
    assert (newest.version, newest.operation, newest.rows_deleted) == (1, "merge", 1)
    assert first.at.tzinfo is not None


def test_a_table_stays_readable_by_every_delta_reader(store: Store) -> None:
    moment = pa.array([0], pa.timestamp("ns", "UTC"))
    store.tables.write("t", pa.table({"at": moment, "n": pa.array([1], pa.uint32())}))
    protocol = DeltaTable(str(store.home / "tables" / "t")).protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)


@pytest.mark.parametrize(
    "use",
    [
        lambda s: s.tables.read("patient"),
        lambda s: s.tables.history("patient"),
        lambda s: s.tables.gc("patient"),
        lambda s: s.tables.pin("patient", 0, "why"),
        lambda s: s.tables.delete_where("patient", [1], column="id"),
    ],
)
def test_a_missing_table_is_told_with_the_nearest_name(store: Store, use: Callable[[Store], object]) -> None:
    store.tables.write("patients", _people(1, "a"))
    with pytest.raises(StoreError) as error:
        use(store)
    assert error.value.problem == 'there is no table "patient"'
    assert error.value.hint == 'did you mean "patients"?'


def test_a_missing_version_or_column_is_told(store: Store) -> None:
    store.tables.write("t", _people(1, "a"))
    with pytest.raises(StoreError, match='version 7 of table "t" does not exist'):
        store.tables.read("t", 7)
    with pytest.raises(BadData, match='has no column "nam"'):
        store.tables.read("t", columns=["nam"])


@pytest.mark.parametrize("name", ["../t", "T", "", "a/b", ".t", "a b"])
def test_a_table_name_cannot_leave_the_store(store: Store, name: str) -> None:
    with pytest.raises(Misuse, match="cannot be used as a table name"):
        store.tables.write(name, _people(1, "a"))


def test_misuse_is_told(store: Store) -> None:
    store.tables.write("t", _people(1, "a"))
    with pytest.raises(Misuse):
        store.tables.write("t", _people(1, "a"), "upsert")  # type: ignore[arg-type]
    with pytest.raises(Misuse):
        store.tables.pin("t", 0, " ")
    with pytest.raises(Misuse):
        store.tables.gc("t", hours=-1)


def test_a_lost_data_file_is_told(store: Store) -> None:
    store.tables.write("t", _people(1, "a"))
    for file in (store.home / "tables" / "t").glob("*.parquet"):
        file.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        store.tables.read("t")
    shutil.rmtree(store.home / "tables")
    assert store.tables.names() == []


FULL_DISK = """
import resource
import numpy as np, pyarrow as pa
from pathlib import Path
from shipworthy.errors import StoreError
from shipworthy.store import open_store
tables = open_store(Path(sys.argv[1])).tables
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
rows = {"data": 100_000, "log": 10}[sys.argv[2]]
numbers = pa.table({"y": np.random.default_rng(0).normal(size=rows)})
try:
    tables.write("t", numbers, "overwrite", migration="x" * 200_000 if sys.argv[2] == "log" else "wider")
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX systems")
@pytest.mark.parametrize("file", ["data", "log"])
def test_a_full_disk_is_told_and_leaves_the_table_as_it_was(
    store: Store, tmp_path: Path, spawn: Any, file: str
) -> None:
    store.tables.write("t", _people(1, "a"))
    out, err = spawn(FULL_DISK, tmp_path, file).communicate()
    assert out.startswith("the disk takes no file of this size\n  at: "), out + err
    assert "\n  hint: free some space" in out
    assert store.tables.read("t").to_pylist() == [{"id": 1, "name": "a"}]
