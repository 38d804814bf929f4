"""Tables written piece by piece: Parquet, CSV, JSON lines and Arrow, chosen by the name of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq

_encode = msgspec.json.Encoder().encode


class Sheet(Protocol):
    """A file that is being written."""

    def write(self, table: pa.Table) -> Any:
        """Add rows."""

    def close(self) -> None:
        """End the file; before that it may not be readable."""


class _Lines:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("wb")
        self.close = self._file.close

    def write(self, table: pa.Table) -> None:
        import polars as pl

        pl.DataFrame(table).write_ndjson(self._file)


def _parquet(path: Path, schema: pa.Schema) -> Sheet:
    repeated = [field.name for field in schema if not pa.types.is_floating(field.type)]
    sheet: Sheet = pq.ParquetWriter(path, schema, use_dictionary=repeated)
    return sheet


def _arrow(path: Path, schema: pa.Schema) -> Sheet:
    sheet: Sheet = pyarrow.ipc.new_file(path, schema)
    return sheet


class _Commas:
    """CSV; a list, which CSV has no form for, is written as JSON in its cell."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._lists = [place for place, field in enumerate(schema) if pa.types.is_list(field.type)]
        self._file = pyarrow.csv.CSVWriter(path, self._flat(schema.empty_table()).schema)
        self.close = self._file.close

    def write(self, table: pa.Table) -> None:
        self._file.write(self._flat(table))

    def _flat(self, table: pa.Table) -> pa.Table:
        for place in self._lists:
            cells = [None if cell is None else _encode(cell).decode() for cell in table[place].to_pylist()]
            table = table.set_column(place, table.field(place).name, pa.array(cells, pa.string()))
        return table


SHEETS: Mapping[str, Callable[[Path, pa.Schema], Sheet]] = {
    ".parquet": _parquet, ".csv": _Commas, ".jsonl": _Lines, ".ndjson": _Lines, ".arrow": _arrow}
