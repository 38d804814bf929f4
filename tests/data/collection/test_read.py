"""Any source becomes a table, or an error that says what, where and what to do."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shipworthy.data.collection.read import read
from shipworthy.data.collection.tidy import tidied
from shipworthy.errors import BadData


def write(folder: Path, text: str | bytes, name: str = "a.csv") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_types_are_found_and_yes_stays_a_word(tmp_path: Path) -> None:
    table = read(
        write(tmp_path, "id,paid,ok,born,at\n1,yes,true,2024-01-02,2024-01-02T10:00:00Z\n2,no,false,2024-01-03,\n")
    )
    assert [column.kind for column in table.schema.columns] == [
        "number",
        "category",
        "boolean",
        "timestamp",
        "timestamp",
    ]
    assert table.words("paid").tolist() == ["yes", "no"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    text = "a,b,c\n1,x,2.5\n2,y,3.5\n3,z,4.5\n".replace(",", delimiter)
    assert read(write(tmp_path, text)).records()[1] == {"a": 2, "b": "y", "c": 3.5}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_any_encoding_is_found(tmp_path: Path, encoding: str) -> None:
    text = "town,n\n" + "Köln,1\nMünster,2\nGöttingen,3\n" * 20
    table = read(write(tmp_path, text.encode(encoding)))
    assert table.schema.names == ("town", "n")
    assert table.words("town")[0] == "Köln"


def test_a_naive_time_is_read_as_utc_and_said_so(tmp_path: Path) -> None:
    table = read(write(tmp_path, "at,n\n2024-01-02 10:00:00,1\n2024-01-03 10:00:00,2\n"))
    assert table.data["at"].type == pa.timestamp("us", "UTC")
    assert table.notes["at"] == "times without a zone are read as UTC"


def test_leading_zeros_stay_text(tmp_path: Path) -> None:
    assert read(write(tmp_path, "zip,n\n01234,1\n99999,2\n")).words("zip").tolist() == ["01234", "99999"]


def test_a_leading_zero_deep_in_the_file_is_kept(tmp_path: Path) -> None:
    rows = "".join(f"{10_000 + n},1\n" for n in range(30_000)) + "00598,2\n"
    assert read(write(tmp_path, "zip,n\n" + rows)).words("zip")[-1] == "00598"


def test_whole_numbers_too_large_for_a_sign_become_text() -> None:
    table = tidied(pa.table({"n": pa.array([2**64 - 1, 7, None], pa.uint64())}), name="t", origin="t")
    assert (table.words("n").tolist(), table.schema["n"].kind) == (["18446744073709551615", "7", None], "category")
    assert table.notes["n"] == "whole numbers beyond 64 bits with a sign are read as text"


def test_a_type_that_changes_late_in_the_file_is_read(tmp_path: Path) -> None:
    rows = "".join(f"{n},1\n" for n in range(30_000)) + "not a number,2\n"
    table = read(write(tmp_path, "a,b\n" + rows))
    assert table.words("a")[-1] == "not a number"
    assert table.rows == 30_001


def test_a_ragged_row_deep_in_the_file_is_told_with_its_line(tmp_path: Path) -> None:
    address = write(tmp_path, "a,b\n" + "1,2\n" * 50_000 + "1,2,3\n" + "1,2\n" * 9)
    with pytest.raises(BadData, match="CSV Error on Line: 50002"):
        read(address)


def test_a_quoted_delimiter_and_line_break_are_kept(tmp_path: Path) -> None:
    assert read(write(tmp_path, 'a,b\n"x,\ny",1\nz,2\n')).words("a").tolist() == ["x,\ny", "z"]


def test_a_packed_file_is_read(tmp_path: Path) -> None:
    assert read(write(tmp_path, gzip.compress(b"a,b\n1,2\n3,4\n"), "a.csv.gz")).rows == 2


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        (b"", "a.csv", "the file is empty"),
        (b"a,b\n", "a.csv", "the file has a header but no rows"),
        (b"a,b,a\n1,2,3\n", "a.csv", 'two columns are named "a"'),
        (b"a,b\n1,2\n3\n4,5,6\n", "a.csv", "row 2 has 1 fields where the header has 2"),
        (b"PAR1\x00\x00rest", "a.csv", "the file is a Parquet file, not a text table"),
        (b"a\x00\x01b", "a.csv", "the file is binary, not a text table"),
        (b"not parquet", "a.parquet", "the file is not readable Parquet"),
        (b"{]", "a.jsonl", "the file does not hold JSON records"),
        (b"nonsense", "a.db", "this is not an SQLite database: file is not a database"),
        (b"x", "a.docx", 'no connector reads ".docx"'),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: bytes, name: str, problem: str) -> None:
    address = write(tmp_path, text, name)
    with pytest.raises(BadData) as caught:
        read(address)
    assert caught.value.problem == problem
    assert address in caught.value.where


def test_a_missing_file_is_told_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "a\n1\n", "customers.csv")
    with pytest.raises(BadData) as caught:
        read(str(tmp_path / "custmers.csv"))
    assert caught.value.hint == 'did you mean "customers.csv"?'


def test_a_database_without_a_table_named_lists_one(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER, price REAL)")
        connection.execute("CREATE TABLE people (id INTEGER)")
        connection.execute("INSERT INTO orders VALUES (1, 2.5), (2, NULL)")
    connection.close()
    assert read(f"{path}#orders").records() == [{"id": 1, "price": 2.5}, {"id": 2, "price": None}]
    assert read(f"sqlite:///{path}#orders").rows == 2
    with pytest.raises(BadData, match="the database holds 2 tables"):
        read(str(path))


def test_the_files_of_a_folder_are_one_table(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n1,x\n", "p1.csv")
    pq.write_table(pa.table({"b": ["y"], "a": [2.5]}), tmp_path / "p2.parquet")
    assert read(str(tmp_path)).records() == [{"a": 1.0, "b": "x"}, {"a": 2.5, "b": "y"}]
    assert read(str(tmp_path / "*.csv")).rows == 1


def test_files_with_other_columns_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n1,x\n", "p1.csv")
    write(tmp_path, "a,c\n1,x\n", "p2.csv")
    with pytest.raises(BadData, match='column "b" is missing'):
        read(str(tmp_path))


def test_json_lines_are_read_and_nested_values_are_text(tmp_path: Path) -> None:
    table = read(write(tmp_path, '{"a": 1, "b": {"c": 2}}\n{"a": 2, "b": null}\n', "a.jsonl"))
    assert table.words("b")[0] == '{"c": 2}'


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table, dict])
def test_anything_that_speaks_arrow_is_a_table(make: type) -> None:
    assert read(make({"a": [1, 2], "b": ["x", "y"]})).records() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


@pytest.mark.parametrize(("words", "note"), [
    (["2011-01-01", None, "2012-12-31"], "dates are read as midnight UTC"),
    (["2011-01-01 06:00:00", "2012-02-29T07:30"], "times without a zone are read as UTC"),
    (["2011-01-01T06:00:00Z", "2011-01-01T06:00:00+02:00"], ""),
])
def test_iso_times_as_words_are_times_whatever_the_file(words: list[str | None], note: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"day": words}), tmp_path / "t.parquet")
    table = read(str(tmp_path / "t.parquet"))
    assert table.schema["day"].kind == "timestamp"
    assert table.notes.get("day", "") == note


@pytest.mark.parametrize("odd", ["2011-02-30", "soon", "2011-1-1"])
def test_words_of_which_one_is_no_time_stay_words(odd: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"day": ["2011-01-01", odd]}), tmp_path / "t.parquet")
    assert read(str(tmp_path / "t.parquet")).schema["day"].kind == "category"
