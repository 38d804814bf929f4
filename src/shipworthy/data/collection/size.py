"""How much of a source is read: all of it while it fits the machine, or rows drawn at random."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shipworthy.core.table import Table
from shipworthy.errors import BadData

SHARE = 10
UNKNOWN_MACHINE = 8 << 30
_CONTAINER = Path("/sys/fs/cgroup/memory.max")
Marks = npt.NDArray[np.uint64]
PIECE = 1 << 16  # rows that a stream holds at a time
HELD = "400MB"  # of a text file that DuckDB keeps in memory while it streams
Opened = tuple[tuple[str, ...], Callable[..., Iterator[pa.RecordBatch]]]


def largest() -> int:
    """The bytes that a table may take as Arrow: a tenth of this machine's memory, or of its container's.

    Profiling takes three times a table's own bytes, a whole run eight (measured on 20 million rows).
    """
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        whole = UNKNOWN_MACHINE
    with suppress(OSError, ValueError):  # no container, or one without a limit
        whole = min(whole, int(_CONTAINER.read_text()))
    return whole // SHARE


def gathered(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, rows: int, most_bytes: int, origin: str
) -> pa.Table:
    """The batches as one table, held to `most_bytes` while they come in; `rows` of them by `drawn` if not 0.

    Raises BadData, before memory runs out, with the number of rows that would fit.
    """
    if rows:
        return drawn(batches, schema, rows)
    kept, size, count = [], 0, 0
    for batch in batches:
        kept.append(batch)
        size, count = size + batch.nbytes, count + batch.num_rows
        if size > most_bytes:
            raise too_large(size / count, most_bytes, origin)
    return pa.Table.from_batches(kept, schema)


def without(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The batches without the first `rows` rows."""
    for batch in batches:
        if rows < batch.num_rows:
            yield batch.slice(rows)
        rows = max(0, rows - batch.num_rows)


def drawn(batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int) -> pa.Table:
    """A simple random sample of `rows` rows, in their order; memory for twice as many is enough.

    Every row gets a number that is mixed from its place, never from its content, and the smallest are kept: so the
    same file gives the same rows. Source: Cohen and Kaplan (2007), bottom-k sketches.
    """
    sample, marks, seen, bound = schema.empty_table(), np.empty(0, np.uint64), 0, np.uint64(2**64 - 1)
    for batch in batches:
        new = _mixed(np.arange(seen, seen + batch.num_rows, dtype=np.uint64))
        seen += batch.num_rows
        low = new <= bound
        sample = pa.concat_tables([sample, pa.Table.from_batches([batch]).filter(pa.array(low))])
        marks = np.concatenate([marks, new[low]])
        if len(marks) > 2 * rows:
            sample, marks = _smallest(sample, marks, rows)
            bound = marks.max()
    return _smallest(sample, marks, rows)[0]


def bounded(table: Table, *, rows: int, most_bytes: int) -> Table:
    """The table itself if it fits, or `rows` of its rows by `drawn`. Raises BadData when it is too large."""
    if rows and table.rows > rows:
        table = table.take(np.sort(np.argsort(_mixed(np.arange(table.rows, dtype=np.uint64)))[:rows]))
    if table.data.nbytes > most_bytes:
        raise too_large(table.data.nbytes / table.rows, most_bytes, table.origin)
    return replace(table, notes={**table.notes, "rows": f"{rows:,} rows, drawn at random"}) if rows else table


def too_large(row_bytes: float, most_bytes: int, origin: str) -> BadData:
    """The error about a table that this machine cannot hold, with a number of rows that it can."""
    fit = max(1, int(most_bytes / row_bytes))
    fit -= fit % 10 ** (len(str(fit)) - 1)
    return BadData(f"the table takes more than {in_words(most_bytes)}, a tenth of this machine's memory", where=origin,
                   hint=f"read a part of it, drawn at random: [[source]] rows = {fit}, or --rows {fit}")


def in_words(size: int) -> str:
    """A number of bytes as GB, or MB where it is small."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _smallest(sample: pa.Table, marks: Marks, rows: int) -> tuple[pa.Table, Marks]:
    if len(marks) <= rows:
        return sample, marks
    keep = np.sort(np.argpartition(marks, rows)[:rows])
    return sample.take(pa.array(keep)), marks[keep]


def _mixed(places: Marks) -> Marks:
    """A bijection of 64 bits that leaves no pattern. Source: Steele, Lea and Flood (2014), SplitMix64."""
    mixed = (places + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
