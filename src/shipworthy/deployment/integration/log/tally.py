"""Counting served rows over the frozen grid of their release, off the request path: exactly, and each row once.

A row is known by its segment and its block's place there, whether it still lies in a server's file or was drained
into a table. How far every segment was counted is written together with the counts, so a tally that is killed loses
nothing and counts nothing twice, and one that starts late counts what was drained before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.canon import digest
from shipworthy.core.clock import MINUTE, now_us
from shipworthy.core.grid import Plan, cells_of, decided, score_cells
from shipworthy.core.model import Model
from shipworthy.core.release import Release
from shipworthy.core.table import Table
from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log.answers import Heading, answers
from shipworthy.deployment.integration.log.counts import Book, Change, Part, read_counts, write_change
from shipworthy.deployment.integration.log.log import PREDICTIONS, SHADOWS
from shipworthy.deployment.integration.log.tables import OWN, PLACE, Layout, layouts, schema, served_rows
from shipworthy.deployment.integration.log.tail import header, pieces
from shipworthy.deployment.integration.releases.release import stored
from shipworthy.store.files import lock
from shipworthy.store.tables import Tables

KINDS = (PREDICTIONS, SHADOWS)
PIECE = 8 * 1024 * 1024
ROWS = 2_000_000  # counted before they are written
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Counting:
    """What it takes to count the rows of a release: the model, which cleans them, and the plan of its grid."""

    model: Model
    plan: Plan


class Tallied(msgspec.Struct, frozen=True):
    """What a tally did. rows: counted. unknown: releases in the log that it was not told how to count."""

    rows: int = 0
    unknown: tuple[str, ...] = ()


def counting(release: Release) -> Counting | None:
    """How to count a release; None if it carries no grid. Raises BadRelease."""
    found = stored(release)
    return Counting(release.model, found["grid"].plan) if "grid" in found else None


def tally(
    log: Path, state: Path, releases: Mapping[str, Counting], tables: Tables | None = None, *, now: int = 0
) -> Tallied:
    """Count every row of a log that was not counted yet; read the outcome with `counts.read_counts(state)`.

    log: the folder of a log that servers may be writing. state: the folder of counts. releases: by full id.
    tables: of the store into which the log is drained. now: microseconds since 1970, by default those of the clock;
    it only decides which minutes are old enough to become hours.
    Raises StoreError, and Misuse for a release whose plan is another than it was counted by.
    """
    with lock(Path(state) / "tally.lock", WAIT_SECONDS):
        book, rows = read_counts(state).book, 0
        unknown: set[str] = set()
        for change in _changes(Path(log), book, releases, (tables, unknown)):
            book = write_change(Path(state), book, change, now or now_us())
            rows += change.rows
    return Tallied(rows, tuple(sorted(unknown)))


def uncounted(log: Path, state: Path, tables: Tables) -> dict[str, str]:
    """Release → a table with rows of it that were drained and not counted; nothing where nobody ever counted."""
    book, names = read_counts(state).book, set(tables.names())
    found: dict[str, str] = {}
    for name in (layout.table(kind) for layout in layouts(log) for kind in KINDS):
        if name in names and book != Book():
            found |= {release: name for segment, release, end in _ends(tables.scan(name))
                      if end > book.places.get(segment, 0)}
    return found


def cells(table: Table, how: Counting) -> Part:
    """The rows of a log counted by arm and minute: cells of every column of the plan, then of the score."""
    minute = np.asarray(table.data["at"].cast(pa.int64()).to_numpy(), np.int64) // MINUTE
    arms = table.data["arm"].combine_chunks().dictionary_encode()
    names = [str(name) for name in arms.dictionary.to_pylist()]
    code = np.asarray(arms.indices.to_numpy(zero_copy_only=False), np.int64)
    keys, group = np.unique(minute * max(len(names), 1) + code, return_inverse=True)
    table = how.model.cleaned(table, but=OWN)
    placed = [(one.size, cell) for one, cell in zip(how.plan.columns, cells_of(table, how.plan).values(), strict=True)]
    score = score_cells(how.plan, table.numbers("score"), decided(table, how.plan.classes))
    found = [np.bincount(group * size + cell, minlength=len(keys) * size).reshape(len(keys), size)
             for size, cell in (*placed, (how.plan.score_cells, score))]
    counts = np.concatenate(found, axis=1).astype(np.int64)
    return {(names[key % len(names)], int(key // len(names)) * MINUTE): row
            for key, row in zip(keys.tolist(), counts, strict=True)}


def _changes(
    log: Path, book: Book, releases: Mapping[str, Counting], more: tuple[Tables | None, set[str]]
) -> Iterator[Change]:
    """What is new, in portions: first in files, then in tables, so that what is drained meanwhile is not missed."""
    tables, unknown = more
    change, places = Change(), dict(book.places)
    for rows, release, segment, place in _from_files(log, places, releases, unknown):
        _counted(change, rows, release, releases)
        places[segment] = change.places[segment] = place
        if change.rows >= ROWS:
            yield change
            change = Change()
    for found in _from_tables(log, book, releases, (tables, unknown, places)) if tables else ():
        if isinstance(found, dict):
            change.tables.update(found)
            continue
        rows, release, segment, place = found
        _counted(change, rows, release, releases)
        places[segment] = change.places[segment] = place
        if change.rows >= ROWS:
            yield change
            change = Change()
    if change.places or change.tables:
        yield change


def _counted(change: Change, rows: Table, release: str, releases: Mapping[str, Counting]) -> None:
    change.add(release, cells(rows, releases[release]))
    change.plans[release] = releases[release].plan.digest
    change.rows += rows.rows


def _from_files(
    log: Path, places: Mapping[str, int], releases: Mapping[str, Counting], unknown: set[str]
) -> Iterator[tuple[Table, str, str, int]]:
    """New rows of the files that servers write, with release, segment and the place behind them."""
    for path in [path for kind in KINDS for path in segments.segments(log, kind)]:
        first = header(path)
        if first is None:
            continue
        heading = msgspec.msgpack.decode(first, type=Heading)
        if heading.release not in releases:
            unknown.add(heading.release)
            continue
        layout = Layout.of(heading)
        for blocks, behind in pieces(path, places.get(path.stem, 0), size=PIECE):
            data = served_rows(heading, answers(block for _, block in blocks))
            yield Table(data, schema(data, [layout]), "log", str(path)), heading.release, path.stem, behind


def _from_tables(
    log: Path, book: Book, releases: Mapping[str, Counting], more: tuple[Tables, set[str], Mapping[str, int]]
) -> Iterator[tuple[Table, str, str, int] | dict[str, str]]:
    """Rows that were drained before they were counted, and after each table what of it was looked at."""
    tables, unknown, places = more
    names = set(tables.names())
    for name, layout in ((layout.table(kind), layout) for layout in layouts(log) for kind in KINDS):
        if name not in names:
            continue
        seen = f"{tables.version(name)}:{digest(sorted(releases))[:16]}"
        if book.tables.get(name) == seen:
            continue
        rows = tables.scan(name)
        for segment, release, end in _ends(rows):
            start = places.get(segment, 0)
            if end < start:
                continue
            if release not in releases:
                unknown.add(release)
                continue
            data = rows.to_table(filter=(pc.field("segment") == segment) & (pc.field("offset") > start))
            data = data.drop_columns(list(PLACE)).rename_columns(layout.columns)
            if len(data):
                yield Table(data, schema(data, [layout]), "log", name), release, segment, end + 1
        yield {name: seen}


def _ends(rows: pa.dataset.Dataset) -> list[tuple[str, str, int]]:
    """Segment, release and place of the last block of every segment in a table."""
    drained = rows.to_table(columns=["segment", "offset", "release"])
    last = drained.group_by(["segment", "release"]).aggregate([("offset", "max")])
    return list(zip(*(last[key].to_pylist() for key in ("segment", "release", "offset_max")), strict=True))
