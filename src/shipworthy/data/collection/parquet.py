"""Parquet and Arrow files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from shipworthy.core.table import Table
from shipworthy.data.collection.places import local, table_name
from shipworthy.data.collection.size import PIECE, Opened, gathered, largest, without
from shipworthy.data.collection.tidy import tidied
from shipworthy.errors import BadData
from shipworthy.marks import connector

BUFFER = 1 << 20  # bytes read of a column at a time


@connector("parquet", suffixes=(".parquet", ".pq"))
def read_parquet(
    address: str, *, name: str = "", columns: tuple[str, ...] = (), rows: int = 0, most_bytes: int = 0
) -> Table:
    """A table from one Parquet file; only the named columns when some are named. Raises BadData.

    rows: at most so many, drawn at random; 0 is all. most_bytes: as for CSV.
    """
    path = local(address)
    with _told("readable Parquet", address), pq.ParquetFile(path) as source:
        batches = source.iter_batches(columns=list(columns) or None)
        schema = source.schema_arrow if not columns else pa.schema([source.schema_arrow.field(c) for c in columns])
        data = gathered(batches, schema, rows=rows, most_bytes=most_bytes or largest(), origin=address)
    index = [each for each in data.column_names if each.startswith("__index_level_")]
    return tidied(data.drop_columns(index), name=name or table_name(address), origin=address)


@connector("arrow", suffixes=(".arrow", ".feather", ".ipc"))
def read_arrow(address: str, *, name: str = "") -> Table:
    """A table from an Arrow file or stream. Raises BadData."""
    path = local(address)
    with _told("a readable Arrow file", address), pa.memory_map(str(path)) as source:
        data = _arrow(source).read_all()
    return tidied(data, name=name or table_name(address), origin=address)


@contextmanager
def parquet_pieces(address: str, words: Collection[str] = ()) -> Iterator[Opened]:
    """The names of the columns of a Parquet file, and the function from some of them to the rows in pieces.

    words: columns that are wanted as codes with their words, where they hold words. The function takes `skip`, how many
    rows to leave out; groups of rows that hold no others are not read.
    """
    path = local(address)
    with _told("readable Parquet", address):
        schema = pq.read_schema(path)
        coded = [name for name in words if name in schema.names and pa.types.is_string(schema.field(name).type)]

    def pieces(columns: Sequence[str], skip: int = 0) -> Iterator[pa.RecordBatch]:
        with (_told("readable Parquet", address),
              pq.ParquetFile(path, read_dictionary=coded, buffer_size=BUFFER, pre_buffer=False) as source):
            groups, left = list(range(source.num_row_groups)), skip
            while groups and source.metadata.row_group(groups[0]).num_rows <= left:
                left -= source.metadata.row_group(groups.pop(0)).num_rows
            found = source.iter_batches(PIECE, row_groups=groups, columns=list(columns)) if groups else iter(())
            yield from without(found, left)

    yield tuple(schema.names), pieces


@contextmanager
def arrow_pieces(address: str) -> Iterator[Opened]:
    """The names of the columns of an Arrow file or stream, and the function from some of them to the rows in pieces."""
    path = str(local(address))
    with _told("a readable Arrow file", address), pa.OSFile(path) as source:
        names = tuple(_arrow(source).schema.names)

    def pieces(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with _told("a readable Arrow file", address), pa.OSFile(path) as source:
            reader = _arrow(source)
            count = getattr(reader, "num_record_batches", None)
            found = reader if count is None else map(reader.get_batch, range(count))
            yield from (batch.select(list(columns)) for batch in found)

    yield names, pieces


def _arrow(source: Any) -> Any:
    try:
        return pyarrow.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return pyarrow.ipc.open_stream(source)


@contextmanager
def _told(what: str, address: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise BadData(f"the file is not {what}", where=address, hint=str(error).splitlines()[0]) from error
