"""JSON, one object a line, or one array of objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from shipworthy.core.table import Table
from shipworthy.data.collection.places import local, table_name
from shipworthy.data.collection.size import HELD, PIECE, Opened, gathered, largest
from shipworthy.data.collection.tidy import tidied
from shipworthy.errors import BadData
from shipworthy.marks import connector

BATCH = 100_000


@connector("json", suffixes=(".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz"))
def read_jsonlines(address: str, *, name: str = "", rows: int = 0, most_bytes: int = 0) -> Table:
    """A table from JSON records; nested values become JSON text. Raises BadData with the line that is not JSON.

    rows: at most so many, drawn at random; 0 is all. most_bytes: as for CSV.
    """
    path = local(address)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        with _told(address):
            records = connection.read_json(str(path), sample_size=-1, records="true")
            reader = records.project(", ".join(map(_plain, records.columns, records.types))).to_arrow_reader(BATCH)
            data = gathered(reader, reader.schema, rows=rows, most_bytes=most_bytes or largest(), origin=address)
    return tidied(data, name=name or table_name(address), origin=address)


@contextmanager
def json_pieces(address: str) -> Iterator[Opened]:
    """The names of the columns of JSON records, and the function from some of them to the rows in pieces."""
    path = local(address)
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = 'UTC'; SET memory_limit = '{HELD}'")
        with _told(address):
            records = connection.read_json(str(path), sample_size=-1, records="true")
            asked = dict(zip(records.columns, map(_plain, records.columns, records.types), strict=True))

        def pieces(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
            with _told(address):
                yield from records.project(", ".join(asked[name] for name in columns)).to_arrow_reader(PIECE)

        yield tuple(asked), pieces


@contextmanager
def _told(address: str) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, OSError) as error:  # streaming wraps DuckDB's errors in OSError
        raise BadData("the file does not hold JSON records", where=address, hint=str(error).splitlines()[0]) from error


def _plain(name: str, kind: object) -> str:
    """A column as SQL; one of mixed values, which DuckDB keeps as JSON, gives its words without their quotes."""
    quoted = '"' + name.replace('"', '""') + '"'
    return f"{quoted} ->> '$' AS {quoted}" if str(kind) == "JSON" else quoted
