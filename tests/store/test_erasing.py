"""Rows taken out of a table are gone from every version and from what its log says, and pins are told, not broken."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from shipworthy.core.absence import search
from shipworthy.store import open_store
from shipworthy.store.erasing import erase, quiet
from shipworthy.store.opening import Store

WORDS = [f"zq41{n:03}person" for n in range(40)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def people(*numbers: int) -> pa.Table:
    return pa.table({"person": [WORDS[n] for n in numbers], "n": list(numbers)})


def traces(store: Store, word: str) -> list[str]:
    return [hit.file for hit in search(store.folder, [word]).hits]


def test_rows_are_gone_from_every_version_and_from_the_log(store: Store) -> None:
    store.tables.write("t", people(*range(20)), statistics=["person"])
    store.tables.write("t", people(*range(20, 40)))
    store.tables.write("t", people(*range(5)), mode="overwrite")
    assert any("_delta_log" in file for file in traces(store, WORDS[0]))
    done = erase(store.tables, "t", [WORDS[0], WORDS[39]], ["person"], also="n")
    assert (done.rows, done.others, done.kept) == (1, ("0",), ())
    assert traces(store, WORDS[0]) == traces(store, WORDS[39]) == []
    assert sorted(store.tables.read("t")["n"].to_pylist()) == [1, 2, 3, 4]


def test_to_erase_twice_is_to_erase_once(store: Store) -> None:
    store.tables.write("t", people(1, 2))
    assert erase(store.tables, "t", [WORDS[1]], ["person"]).rows == 1
    assert erase(store.tables, "t", [WORDS[1]], ["person"]).rows == 0


def test_a_row_left_in_an_old_version_is_found(store: Store) -> None:
    store.tables.write("t", people(1, 2))
    store.tables.remove("t", "person", pa.chunked_array([[WORDS[1]]]))
    assert len(traces(store, WORDS[1])) > 0


def test_a_pinned_version_stays_and_says_why(store: Store) -> None:
    version = store.tables.write("t", people(1, 2))
    store.tables.pin("t", version, "release a")
    assert erase(store.tables, "t", [WORDS[1]], ["person"]).kept == ("release a",)
    assert traces(store, WORDS[1]) != []
    assert erase(store.tables, "t", [WORDS[1]], ["person"], unpin=["release a"]).kept == ()
    assert traces(store, WORDS[1]) == []


def test_a_checkpoint_with_statistics_goes_and_the_table_opens_as_before(store: Store) -> None:
    store.tables.write("t", people(1), statistics=["person"])
    store.tables.write("t", people(2))
    DeltaTable(str(store.home / "tables" / "t")).create_checkpoint()
    log = store.home / "tables" / "t" / "_delta_log"
    assert quiet(log) == 3
    assert search(log, [WORDS[1]]).hits == ()
    assert sorted(store.tables.read("t")["n"].to_pylist()) == [1, 2]
    store.tables.write("t", people(3))
    assert len(store.tables.read("t")) == 3


def test_numbers_are_matched_by_how_they_are_written(store: Store) -> None:
    store.tables.write("t", people(1, 2, 3))
    assert erase(store.tables, "t", ["2"], ["n"]).rows == 1
    assert store.tables.read("t")["n"].to_pylist() == [1, 3]


def test_a_null_is_nobody(store: Store) -> None:
    store.tables.write("t", pa.table({"person": ["ann", None, "bob"]}))
    assert erase(store.tables, "t", ["ann"], ["person"]).rows == 1
    assert store.tables.read("t")["person"].to_pylist() == [None, "bob"]
