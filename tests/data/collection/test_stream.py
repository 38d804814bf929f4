"""A table in pieces holds what the table read at once holds, from any row on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from shipworthy.core.table import Table
from shipworthy.data.collection.read import read
from shipworthy.data.collection.size import PIECE
from shipworthy.data.collection.stream import Wanted, pieces, rows_of, stamp_of
from shipworthy.errors import BadData

ROWS = 300
COLUMNS = ("n", "word", "when", "id")


def made(rows: int = ROWS) -> pa.Table:
    hours = [(datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n)).isoformat() for n in range(rows)]
    return pa.table({"unread": list(range(rows)), "id": [f"i{n}" for n in range(rows)],
                     "n": [None if n % 7 == 0 else n / 2 for n in range(rows)],
                     "word": [f"w{n % 5}" if n % 11 else None for n in range(rows)], "when": hours})


def written(data: pa.Table, path: Path) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(data, path, row_group_size=37)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(data, path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in data.to_pylist()), encoding="utf-8")
    elif path.suffix == ".arrow":
        with pyarrow.ipc.new_file(path, data.schema) as sink:
            sink.write_table(data, max_chunksize=41)
    else:
        with pyarrow.ipc.new_stream(path, data.schema) as sink:
            sink.write_table(data, max_chunksize=41)
    return path


def joined(address: Any, skip: int = 0, words: tuple[str, ...] = ("word", "id"), **more: Any) -> Table:
    found = [piece.table(piece.data) for piece in pieces(
        address, Wanted(("n", "word", "when"), ("id", "absent"), frozenset(words)), skip=skip, **more)]
    decoded = [Table.of({name: each.data[name].cast(pa.string()) if name in words else each.data[name]
                         for name in COLUMNS}) for each in found]
    return Table.of(pa.concat_tables([each.data for each in decoded]))


@pytest.mark.parametrize("skip", [0, 1, 37, 40, 299])
@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl", "t.arrow", "t.ipc"])
def test_the_pieces_of_a_file_are_the_file_from_any_row_on(tmp_path: Path, name: str, skip: int) -> None:
    path = written(made(), tmp_path / name)
    whole = read(path)
    assert joined(path, skip).data.equals(whole.select(COLUMNS).data.slice(skip).combine_chunks())


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("skip", [0, 120, 300, 301])
def test_the_files_of_a_pattern_follow_each_other(tmp_path: Path, suffix: str, skip: int) -> None:
    for n in range(3):
        written(made().slice(n * 150, 150), tmp_path / f"part{n}.{suffix}") if n < 2 else written(
            made(10), tmp_path / f"part{n}.{suffix}")
    found = joined(tmp_path / f"*.{suffix}", skip)
    assert found.data["id"].to_pylist() == [*(f"i{n}" for n in range(300)), *(f"i{n}" for n in range(10))][skip:]


def test_a_piece_is_large_but_not_larger_than_it_should_be(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(made(1000).take(pa.array([n % 1000 for n in range(150_000)])), path, row_group_size=10_000)
    sizes = [piece.rows for piece in pieces(path, Wanted(("n",)))]
    assert max(sizes) <= PIECE and len(sizes) == 3
    assert next(piece.first for piece in pieces(path, Wanted(("n",)), skip=70_000)) == 70_000


def test_words_that_may_all_be_times_are_read_at_once_and_somebody_is_told(tmp_path: Path) -> None:
    path, said = written(made(), tmp_path / "t.parquet"), []
    found = joined(path, words=("when",), told=said.append)
    assert found.rows == ROWS
    assert said == [f'{path} is read at once: only all words of "when" together say whether they are times']


def test_what_cannot_be_read_in_pieces_is_read_at_once(tmp_path: Path) -> None:
    said: list[str] = []
    data = made()
    assert joined(data, 290, told=said.append).rows == 10 and not said


def test_a_column_that_is_missing_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = written(made().rename_columns(["unread", "id", "n", "wort", "when"]), tmp_path / "t.csv")
    with pytest.raises(BadData) as told:
        list(pieces(path, Wanted(("n", "word"))))
    assert str(told.value) == f'column "word" is missing\n  at: {path}\n  hint: did you mean "wort"?'


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_a_table_without_rows_is_refused(tmp_path: Path, name: str) -> None:
    path = written(made(0).cast(pa.schema([(c, pa.string()) for c in made(1).column_names])), tmp_path / name)
    with pytest.raises(BadData, match="no rows"):
        list(pieces(path, Wanted(("n",))))


def test_rows_and_stamps_are_known_where_they_can_be(tmp_path: Path) -> None:
    path, text = written(made(), tmp_path / "t.parquet"), written(made(), tmp_path / "t.csv")
    assert rows_of(path) == ROWS and rows_of(text) is None and rows_of(made()) is None
    assert stamp_of(path) == [[str(path), path.stat().st_size, path.stat().st_mtime_ns]]
    assert stamp_of(made()) is None and stamp_of("postgresql://host/shop#orders") is None
