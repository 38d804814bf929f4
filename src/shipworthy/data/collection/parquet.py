"""Parquet and Arrow files."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from shipworthy.core.table import Table
from shipworthy.data.collection.places import local, table_name
from shipworthy.data.collection.size import gathered, largest
from shipworthy.data.collection.tidy import tidied
from shipworthy.errors import BadData
from shipworthy.marks import connector


@connector("parquet", suffixes=(".parquet", ".pq"))
def read_parquet(
    address: str, *, name: str = "", columns: tuple[str, ...] = (), rows: int = 0, most_bytes: int = 0
) -> Table:
    """A table from one Parquet file; only the named columns when some are named. Raises BadData.

    rows: at most so many, drawn at random; 0 is all. most_bytes: as for CSV.
    """
    path = local(address)
    try:
        with pq.ParquetFile(path) as source:
            batches = source.iter_batches(columns=list(columns) or None)
            schema = source.schema_arrow if not columns else pa.schema([source.schema_arrow.field(c) for c in columns])
            data = gathered(batches, schema, rows=rows, most_bytes=most_bytes or largest(), origin=address)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise BadData("the file is not readable Parquet", where=address, hint=str(error).splitlines()[0]) from error
    index = [each for each in data.column_names if each.startswith("__index_level_")]
    return tidied(data.drop_columns(index), name=name or table_name(address), origin=address)


@connector("arrow", suffixes=(".arrow", ".feather", ".ipc"))
def read_arrow(address: str, *, name: str = "") -> Table:
    """A table from an Arrow file or stream. Raises BadData."""
    path = local(address)
    try:
        with pa.memory_map(str(path)) as source:
            try:
                data = pyarrow.ipc.open_file(source).read_all()
            except pa.ArrowInvalid:
                source.seek(0)
                data = pyarrow.ipc.open_stream(source).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise BadData(
            "the file is not a readable Arrow file", where=address, hint=str(error).splitlines()[0]
        ) from error
    return tidied(data, name=name or table_name(address), origin=address)
