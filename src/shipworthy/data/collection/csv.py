"""CSV and its relatives: dialect, header, types and times found without being told.

Dialect and types by DuckDB's sniffer; the header, ragged rows and leading zeros are judged here.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from shipworthy.core.table import Table
from shipworthy.data.collection.encoding import as_utf8, encoding_of, opened
from shipworthy.data.collection.places import local, table_name
from shipworthy.data.collection.size import HELD, PIECE, Opened, gathered, largest
from shipworthy.data.collection.tidy import MOST_COLUMNS, tidied, too_wide, twice
from shipworthy.errors import BadData
from shipworthy.marks import connector

NULLS = ["", "NA", "N/A", "#N/A", "NULL", "null", "NaN", "nan"]
TYPES = ["BIGINT", "DOUBLE", "DATE", "TIMESTAMP", "TIMESTAMPTZ", "VARCHAR"]
BATCH = 100_000
HEAD = 1 << 17
SAMPLE = 20_480
DELIMITERS = ",;\t|"
LEADING_ZERO = "^0[0-9]+$"


@dataclass(frozen=True)
class Dialect:
    """How a file is written. skip: lines before the first row of values."""

    delimiter: str
    quote: str
    names: tuple[str, ...]
    skip: int
    notes: dict[str, str]


@connector("csv", suffixes=(".csv", ".tsv", ".txt", ".data", ".csv.gz", ".tsv.gz", ".csv.bz2"))
def read_csv(
    address: str, *, name: str = "", delimiter: str = "", header: bool | None = None, skip: int = 0, rows: int = 0,
    most_bytes: int = 0,
) -> Table:
    """A table from delimited text, whatever its delimiter, quoting and encoding.

    delimiter, header, skip: override what is found. rows: at most so many, drawn at random; 0 is all. most_bytes: that
    the table may take in memory; 0 is a tenth of the machine's. Empty, NA, N/A, NULL and NaN cells are null. A column
    with leading zeros stays text. Times without a zone are read as UTC, and a note says so.
    Raises BadData: missing, empty or binary file, no rows, two equal headers, ragged rows, too large.
    """
    path = local(address)
    encoding = encoding_of(path)
    with as_utf8(path, encoding) as plain, duckdb.connect() as connection:
        connection.execute("SET GLOBAL TimeZone = 'UTC'").fetchall()
        _not_too_wide(plain, address)
        sniffed = _sniff(connection, plain)
        dialect = _dialect(plain, address, sniffed, delimiter=delimiter, header=header, skip=skip)
        part = {"rows": rows, "most_bytes": most_bytes or largest(), "origin": address}
        data = _load(connection, plain, dialect, part).rename_columns(list(dialect.names))
    notes = {**dialect.notes, "encoding": encoding} if encoding not in ("utf-8", "utf-8-sig") else dialect.notes
    return tidied(data, name=name or table_name(address), origin=address, notes=notes)


@contextmanager
def csv_pieces(address: str) -> Iterator[Opened]:
    """The names of the columns of delimited text, and the function from some of them to the rows in pieces.

    Types are found from every row, since none can be taken back later. Raises BadData as `read_csv`.
    """
    path = local(address)
    with as_utf8(path, encoding_of(path)) as plain, duckdb.connect() as connection:
        connection.execute(f"SET GLOBAL TimeZone = 'UTC'; SET memory_limit = '{HELD}'").fetchall()
        _not_too_wide(plain, address)
        dialect = _dialect(plain, address, _sniff(connection, plain), delimiter="", header=None, skip=0)
        try:
            types = _types(connection, plain, dialect, -1)
        except duckdb.Error as error:
            raise _unreadable(str(error), dialect, address, plain) from error

        def pieces(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
            try:
                relation = _relation(connection, plain, dialect, types)
                chosen = ", ".join(f"c{dialect.names.index(name)}" for name in columns)
                for batch in relation.project(chosen).to_arrow_reader(PIECE):
                    yield batch.rename_columns(list(columns))
            except (duckdb.Error, OSError) as error:  # streaming wraps DuckDB's errors in OSError
                raise _unreadable(str(error), dialect, address, plain) from error

        yield dialect.names, pieces


def _dialect(
    path: Path, address: str, sniffed: tuple[str, str, bool], *, delimiter: str, header: bool | None, skip: int
) -> Dialect:
    text, whole = _head(path)
    lines = text.splitlines(keepends=True)[skip:]
    body = "".join(lines if whole else lines[:-1] or lines)
    if not body.strip():
        raise BadData("the file holds no text", where=address,
                      hint="check that the export finished, and the setting skip")
    found, quote, has_header = sniffed
    delimiter = delimiter or (found if found in DELIMITERS or body.splitlines()[0].count(found) else ",")
    rows = [row for row in csv.reader(io.StringIO(body), delimiter=delimiter, quotechar=quote) if row]
    first, rest = rows[0], rows[1:]
    known = header if header is not None else has_header or _looks_like_names(first)
    if not known:
        return Dialect(delimiter, quote, tuple(f"column{n}" for n in range(1, len(first) + 1)), skip,
                       {"header": "no header was found; columns are numbered"})
    if not rest:
        raise BadData("the file has a header but no rows", where=address, hint="check that the export finished")
    names, notes = _names(first, rest)
    repeated = twice(names)
    if repeated:
        raise BadData(f'two columns are named "{repeated[0]}"', where=f"{address}, line {skip + 1}",
                      hint="rename one in the source")
    _not_ragged(rest if whole else rest[:-1], len(names), address, skip)
    return Dialect(delimiter, quote, tuple(names), skip + 1, notes)


def _names(first: list[str], rest: list[list[str]]) -> tuple[list[str], dict[str, str]]:
    """The names of the columns; one is made where a row number or a trailing delimiter has none."""
    names, notes = [cell.strip() for cell in first], {}
    if names[-1] == "" and all(len(row) == len(names) and row[-1] == "" for row in rest[:100]):
        names[-1] = "blank"
    if "" not in names and all(len(row) == len(names) + 1 for row in rest[:-1] or rest):
        names.insert(0, "row")
        notes["header"] = "the header has one name fewer than the rows; the first column is called row"
    if names[0] == "":
        names[0] = "row"
        notes["header"] = "the first column has no name; it is called row"
    return names, notes


def _head(path: Path) -> tuple[str, bool]:
    with opened(path) as stream:
        raw = stream.read(HEAD)
        whole = not stream.read(1)
    text = codecs.getincrementaldecoder("utf-8-sig")(errors="strict").decode(raw)
    return text.replace("\r\n", "\n").replace("\r", "\n"), whole


def _sniff(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, str, bool]:
    """Delimiter, quote and whether there is a header, as DuckDB finds them."""
    try:
        query = "SELECT delimiter, quote, hasheader FROM sniff_csv(?)"
        row = connection.cursor().execute(query, [str(path)]).fetchall()[0]
    except duckdb.Error:
        return ",", '"', False
    delimiter, quote, header = row
    return (delimiter if len(delimiter) == 1 else ",", quote if quote in ('"', "'") else '"', bool(header))


def _not_too_wide(path: Path, address: str) -> None:
    """Before the sniffer, which takes long over many columns. Raises BadData."""
    with opened(path) as stream:
        line = stream.readline(HEAD)
    most = max(line.count(mark.encode()) for mark in DELIMITERS)
    if most >= 2 * MOST_COLUMNS:
        raise too_wide(most + 1, address)


def _looks_like_names(cells: list[str]) -> bool:
    return len(set(cells)) == len(cells) and all(re.match(r"\s*[^\W\d][^\n]{0,80}$", cell) for cell in cells)


def _not_ragged(rows: list[list[str]], width: int, address: str, skip: int) -> None:
    for place, row in enumerate(rows):
        if len(row) != width and not (len(row) == 1 and row[0].strip() == ""):
            raise BadData(f"row {place + 1} has {len(row)} fields where the header has {width}",
                          where=f"{address}, about line {skip + place + 2}",
                          hint='quote fields that hold the delimiter, or name another one: delimiter = ";"')


def _load(connection: duckdb.DuckDBPyConnection, path: Path, dialect: Dialect, part: dict[str, Any]) -> pa.Table:
    """Arrow by streaming; types from a sample first, and from every row when the sample misled."""
    reason = ""
    for sample in (SAMPLE, -1):
        try:
            relation = _relation(connection, path, dialect, _types(connection, path, dialect, sample))
            reader = relation.to_arrow_reader(BATCH)
            return gathered(reader, reader.schema, **part)
        except (duckdb.Error, OSError) as error:  # streaming wraps DuckDB's errors in OSError
            reason = str(error)
            if "Expected Number of Columns" in reason:
                break
    raise _unreadable(reason, dialect, part["origin"], path)


def _relation(
    connection: duckdb.DuckDBPyConnection, path: Path, dialect: Dialect, types: dict[str, str]
) -> duckdb.DuckDBPyRelation:
    options = {**_options(dialect), "columns": types, "header": False, "auto_detect": False}
    return connection.cursor().read_csv(str(path), **options)


def _unreadable(reason: str, dialect: Dialect, address: str, path: Path) -> BadData:
    """What DuckDB could not read; where the lines end in two ways, that is the cause it does not name."""
    if line := _other_end(path):
        return BadData(f"the lines end in two ways: line {line} ends otherwise than the first", where=address,
                       hint="write the file anew with one end of line: tr -d '\\r' < FILE > NEW")
    reason = re.sub(r'"c(\d+)"', lambda found: f'"{dialect.names[int(found[1])]}"', reason)
    return BadData(_first_lines(reason), where=address, hint="correct that line, or read the file with other settings")


def _other_end(path: Path) -> int:
    """The first line, from 1, that ends otherwise (CR LF, or LF alone) than the first does; 0 if none in the head."""
    with opened(path) as stream:
        lines = stream.read(HEAD).split(b"\n")[:-1]
    ends = [line.endswith(b"\r") for line in lines]
    return ends.index(not ends[0]) + 1 if len(set(ends)) == 2 else 0


def _types(connection: duckdb.DuckDBPyConnection, path: Path, dialect: Dialect, sample: int) -> dict[str, str]:
    """Place of a column as "c0", "c1", … → DuckDB type; whole numbers are text if any row has a leading zero.

    Not by its name, because DuckDB holds "a" and "A" for one.
    """
    options = {**_options(dialect), "names": [f"c{n}" for n in range(len(dialect.names))], "header": False}
    relation = connection.cursor().read_csv(str(path), **options, sample_size=sample, auto_type_candidates=TYPES)
    types = {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}
    whole = [name for name, kind in types.items() if kind == "BIGINT"]
    if whole:
        text = connection.cursor().read_csv(str(path), **options, all_varchar=True)
        asked = ", ".join(f"bool_or(regexp_matches(trim({name}), '{LEADING_ZERO}'))" for name in whole)
        found = text.aggregate(asked).fetchall()[0]
        types |= {name: "VARCHAR" for name, zero in zip(whole, found, strict=True) if zero}
    return types


def _options(dialect: Dialect) -> dict[str, Any]:
    return {"delimiter": dialect.delimiter, "quotechar": dialect.quote, "escapechar": dialect.quote,
            "skiprows": dialect.skip, "na_values": NULLS}


def _first_lines(message: str) -> str:
    kept = [line.strip() for line in message.splitlines() if line.strip()]
    return "; ".join(kept[:3]).replace("Invalid Input Error: ", "").replace("Conversion Error: ", "")
