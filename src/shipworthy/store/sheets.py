"""Tables written piece by piece: Parquet, CSV, JSON lines and Arrow, chosen by the name of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq


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


def _csv(path: Path, schema: pa.Schema) -> Sheet:
    sheet: Sheet = pyarrow.csv.CSVWriter(path, schema)
    return sheet


SHEETS: Mapping[str, Callable[[Path, pa.Schema], Sheet]] = {
    ".parquet": _parquet, ".csv": _csv, ".jsonl": _Lines, ".ndjson": _Lines, ".arrow": _arrow}
