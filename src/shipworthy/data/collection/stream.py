"""A table of any size in pieces: what `read` would give, without ever holding all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shipworthy.core.address import divide
from shipworthy.core.table import Table
from shipworthy.data.collection.csv import csv_pieces, read_csv
from shipworthy.data.collection.folder import parts_of
from shipworthy.data.collection.jsonlines import json_pieces, read_jsonlines
from shipworthy.data.collection.parquet import arrow_pieces, parquet_pieces, read_arrow, read_parquet
from shipworthy.data.collection.places import local
from shipworthy.data.collection.read import connector_of, read
from shipworthy.data.collection.size import PIECE, Opened
from shipworthy.data.collection.tidy import HEAD, arrived, may_change, twice
from shipworthy.errors import BadData, one_of

Opening = Callable[[str], AbstractContextManager[Opened]]
OPENINGS: dict[Any, Opening] = {read_csv: csv_pieces, read_jsonlines: json_pieces, read_arrow: arrow_pieces}


@dataclass(frozen=True)
class Wanted:
    """Columns of a stream. required: those that must be there. words: those whose words stay words."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()

    def among(self, names: Sequence[str], origin: str) -> list[str]:
        """The wanted columns that there are. Raises BadData naming the first that must be there and is not."""
        if repeated := twice(names):
            raise BadData(f'two columns are named "{repeated[0]}"', where=origin, hint="rename one in the source")
        for name in self.required:
            if name not in names:
                raise BadData(f'column "{name}" is missing', where=origin, hint=one_of(name, names))
        return [name for name in dict.fromkeys((*self.optional, *self.required)) if name in names]


@dataclass(frozen=True)
class Piece:
    """Some rows of a file. first: how many rows of the file come before them. table: them, with plain types."""

    data: pa.Table
    origin: str
    first: int
    table: Callable[[pa.Table], Table]

    @property
    def rows(self) -> int:
        return int(self.data.num_rows)

    def after(self, row: int) -> Piece:
        """The piece without rows of the file before that one."""
        if row <= self.first:
            return self
        return replace(self, data=self.data.slice(row - self.first), first=row)


def pieces(
    address: Any, wanted: Wanted, *, plugins: tuple[str, ...] = (), skip: int = 0,
    most: int = PIECE, told: Callable[[str], None] = lambda sentence: None,
) -> Iterator[Piece]:
    """The rows of a table in order, at most `most` at a time and mostly as many; skip: without the first so many.

    Parquet, Arrow, CSV and JSON are read as they are needed, anything else at once, which `told` is told. Raises
    BadData as `read`.
    """
    for part in _parts(address):
        rows = _rows(part) if skip else None
        if rows is not None and rows <= skip:
            skip -= rows
            continue
        end = 0
        for piece in _of(part, wanted, plugins, (skip if rows is not None else 0, most), told):
            end = piece.first + piece.rows
            if end > skip:
                yield piece.after(skip)
        skip = max(0, skip - end)


def rows_of(address: Any) -> int | None:
    """How many rows there are, where that is known without reading them."""
    counts = [_rows(part) for part in _parts(address)]
    return None if None in counts else sum(count for count in counts if count is not None)


def stamp_of(address: Any) -> list[list[str | int]] | None:
    """Path, bytes and time of change of every file that is read; None where a source is no file."""
    found: list[list[str | int]] = []
    for part in _parts(address):
        path = Path(divide(part)[0].removeprefix("file://")).expanduser() if isinstance(part, str) else None
        if path is None or not path.is_file():
            return None
        found.append([str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns])
    return found


def _parts(address: Any) -> tuple[Any, ...]:
    if not isinstance(address, str | Path):
        return (address,)
    place = divide(str(address))[0]
    remote = "://" in str(address)
    many = not remote and (any(mark in place for mark in "*?") or Path(place).is_dir())
    return parts_of(place) if many else (str(address),)


def _rows(part: Any) -> int | None:
    if isinstance(part, str) and part.lower().endswith((".parquet", ".pq")):
        path = local(part)
        try:
            return int(pq.read_metadata(path).num_rows)
        except (pa.ArrowInvalid, OSError):  # reading it says what is wrong
            return None
    return None


def _of(
    part: Any, wanted: Wanted, plugins: tuple[str, ...], size: tuple[int, int], told: Callable[[str], None]
) -> Iterator[Piece]:
    """The pieces of one file. size: rows to skip, which is for Parquet only, and rows of a piece."""
    skip, most = size
    connector = connector_of(_place(part), plugins) if isinstance(part, str) else None
    parquet = connector is read_parquet
    opening = partial(parquet_pieces, words=wanted.words) if parquet else OPENINGS.get(connector)
    why = "only Parquet, Arrow, CSV and JSON files are read piece by piece"
    if opening is not None:
        with opening(part) as (names, batches):
            columns = wanted.among(names, part)
            words = [name for name in columns if name in wanted.words]
            changing = _changing(batches(words)) if words else ""
            if not changing:
                found = batches(columns, skip=skip) if parquet else batches(columns)
                yield from _gathered(found, most, part, skip, partial(arrived, origin=part, words=wanted.words))
                return
        why = f'only all words of "{changing}" together say whether they are times'
    if isinstance(part, str):
        told(f"{part} is read at once: {why}")
    table = read(part, plugins=plugins)
    table = table.select(wanted.among(table.schema.names, table.origin))
    yield from _gathered(iter(table.data.to_batches()), most, table.origin, 0, lambda data: replace(table, data=data))


def _place(part: str) -> str:
    return part.partition("#")[0] if "://" in part else divide(part)[0]


def _changing(batches: Iterator[pa.RecordBatch]) -> str:
    """The first column of words that `read` may make times or truths of, by all its words; empty if none."""
    head: list[pa.RecordBatch] = []
    while sum(batch.num_rows for batch in head) < HEAD and (batch := next(batches, None)) is not None:
        head.append(batch)
    columns = pa.Table.from_batches(head) if head else pa.table({})
    return next((name for name in columns.column_names if may_change(columns[name])), "")


def _gathered(
    batches: Iterator[pa.RecordBatch], most: int, origin: str, first: int, table: Callable[[pa.Table], Table]
) -> Iterator[Piece]:
    """The batches, small ones joined and large ones cut."""
    held: list[pa.RecordBatch] = []
    rows, any_row = 0, first > 0
    for batch in (each.slice(at, most) for each in batches for at in range(0, each.num_rows, most)):
        if held and rows + batch.num_rows > most:
            yield Piece(pa.Table.from_batches(held), origin, first, table)
            first, held, rows = first + rows, [], 0
        held, rows, any_row = [*held, batch], rows + batch.num_rows, True
    if rows:
        yield Piece(pa.Table.from_batches(held), origin, first, table)
    if not any_row:
        raise BadData("the table has a header but no rows", where=origin, hint="check that the export finished")
