"""Taking rows out of a versioned table for good: the rows, the versions that held them, and what the log says of them.

Source: Delta transaction log protocol, "Add File" (per-file statistics) and "Checkpoints".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shipworthy.store.files import told, write_bytes
from shipworthy.store.records import Pin
from shipworthy.store.tables import Tables


class Gone(msgspec.Struct, frozen=True):
    """What was taken out of a table. rows: of its newest version. files: deleted. kept: pins that still hold such rows.

    others: values of the columns asked for with the rows, such as the ids of their predictions.
    """

    rows: int
    files: int
    kept: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def erase(
    tables: Tables, name: str, words: Collection[str], columns: Collection[str], *, also: str = "",
    unpin: Collection[str] = (),
) -> Gone:
    """Delete every row of a table in which one of the columns reads as one of the words; then every old version.

    Only a pinned version stays, and with it the rows in it: its reason is told. unpin: reasons that count no longer.
    also: a column whose values in the deleted rows are told. The log keeps no statistics afterwards. Whoever reads an
    old version meanwhile is told that it was cleaned up. Raises StoreError.
    """
    newest = tables.read(name)
    wanted = [column for column in columns if column in newest.column_names]
    mask = matches(newest, words, wanted)
    others = tuple(map(str, newest.filter(mask)[also].to_pylist())) if also in newest.column_names else ()
    rows = 0
    for column in wanted:
        values = newest.filter(matches(newest, words, [column]))[column].unique()
        rows += tables.remove(name, column, values) if len(values) else 0
    holding = _holding(tables, name, words, columns)
    for pin in tables.metadata.find(Pin, table=name, ended=None):
        if pin.reason in unpin and (not holding or pin.version in holding):
            tables.unpin(name, pin.version, pin.reason)
    files = len(tables.gc(name, hours=0))
    quiet(tables.folder / "tables" / name / "_delta_log")
    left = tuple(sorted({pin.reason for pin in tables.metadata.find(Pin, table=name, ended=None)
                         if pin.version in holding}))
    return Gone(rows, files, left, others)


def matches(data: pa.Table, words: Collection[str], columns: Collection[str]) -> pa.ChunkedArray:
    """(n,) whether a row reads as one of the words in one of the columns that the table has."""
    wanted = pa.array(sorted(words), pa.string())
    mask = pa.chunked_array([pa.array([False] * len(data), pa.bool_())])
    for column in columns:
        if column in data.column_names:
            mask = pc.or_(mask, pc.is_in(_text(data[column]), value_set=wanted))
    return mask


def quiet(log: Path) -> int:
    """How many files of a table's log were written anew without statistics, or removed as checkpoints that held some.

    The smallest and largest value of a column in a file are values of somebody, whatever became of the file. Commits
    say all that a checkpoint says, for the log is never cut.
    """
    changed = 0
    for path in sorted(log.glob("*.json")):
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
        if any(line.get("add", {}).get("stats") for line in lines):
            write_bytes(path, "".join(json.dumps(_without(line)) + "\n" for line in lines).encode())
            changed += 1
    for path in sorted(log.glob("*.checkpoint*.parquet")):
        with told(path):
            (log / "_last_checkpoint").unlink(missing_ok=True)
            path.unlink()
        changed += 1
    return changed


def _holding(tables: Tables, name: str, words: Collection[str], columns: Collection[str]) -> set[int]:
    """The pinned versions that still hold such rows."""
    found = set()
    for pin in tables.metadata.find(Pin, table=name, ended=None):
        schema = tables.scan(name, pin.version).schema.names
        there = [column for column in columns if column in schema]
        data = tables.read(name, pin.version, columns=there)
        if pc.any(matches(data, words, there)).as_py():
            found.add(pin.version)
    return found


def _without(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: {name: entry for name, entry in value.items() if name != "stats"} if key == "add" else value
            for key, value in line.items()}


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def read_words(path: Path, column: str) -> pa.ChunkedArray | None:
    """A column of a Parquet file as text; None where it has none of the name."""
    with told(path), pq.ParquetFile(path) as file:
        return _text(file.read([column])[column]) if column in file.schema_arrow.names else None
