"""Counting what was served and what came true, off the request path: exactly, and each row once.

A row or a label is known by its segment and its block's place there, whether it still lies in a server's file or was
drained into a table. How far every segment was counted is written together with the counts, so a
tally that is killed loses nothing and counts nothing twice, and one that starts late counts what was drained before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.canon import digest
from shipworthy.core.clock import now_us
from shipworthy.core.meters import OwnMeter
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.core.table import Table
from shipworthy.core.tallies import FULL, Tallies, less
from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log.answers import Heading, answers
from shipworthy.deployment.integration.log.counts import (
    LOCK,
    WAIT_SECONDS,
    Book,
    Change,
    kept_waiting,
    read_counts,
    write_change,
)
from shipworthy.deployment.integration.log.log import PREDICTIONS, SHADOWS
from shipworthy.deployment.integration.log.news import News, news
from shipworthy.deployment.integration.log.read import found_by_id
from shipworthy.deployment.integration.log.tables import OWN, PLACE, Layout, layouts, schema, served_rows
from shipworthy.deployment.integration.log.tail import header, pieces
from shipworthy.deployment.integration.log.waiting import Waiting, no_waiting
from shipworthy.deployment.integration.releases.release import stored
from shipworthy.deployment.monitoring import counting
from shipworthy.deployment.monitoring.meters import layout
from shipworthy.store.files import lock
from shipworthy.store.tables import Tables, filtered

KINDS = (PREDICTIONS, SHADOWS)
PIECE = 8 * 1024 * 1024
ROWS = 2_000_000  # counted before they are written


@dataclass(frozen=True)
class Counter:
    """What it takes to count a release: the model, which cleans its rows, and what is counted of them."""

    model: Model
    how: counting.Counting

    @property
    def digest(self) -> str:
        """Counts of another digest cannot be added to these."""
        made = self.how.meters
        layouts = [layout(each) for each in (made.rows, made.labels, made.cohorts)]
        return digest([self.how.reference.plan.digest, self.how.segments, *layouts])

    def tally(self, log: Table, labels: Table | None = None) -> Tallies:
        """What rows of a log, and their labels, add up to."""
        return counting.tally(self.how, self.model.cleaned(log, but=OWN), labels)


class Tallied(msgspec.Struct, frozen=True):
    """What a tally did. rows, labels: counted. unknown: releases in the log that it was not told how to count."""

    rows: int = 0
    labels: int = 0
    unknown: tuple[str, ...] = ()


Known = Callable[[str], Counter | None]
Spelled = Callable[[Table], Table]


def counter(release: Release, project: Project, own: tuple[OwnMeter, ...] = ()) -> Counter | None:
    """How to count a release; None if it carries no grid. own: meters of the user. Raises BadRelease."""
    found = stored(release)
    if "grid" not in found:
        return None
    how = counting.counting(found["grid"], segments=counting.segments_of(project), own=own)
    return Counter(release.model, how)


def tally(
    log: Path, state: Path, known: Known, tables: Tables, *, spelled: Spelled = lambda labels: labels, now: int = 0
) -> Tallied:
    """Count every row and label of a log that was not counted yet; read the outcome with `counts.read_counts(state)`.

    log: the folder of a log that servers may be writing. state: the folder of counts. known: how to count a release,
    by its full id; None for one that is not here. tables: of the store into which the log is drained. spelled:
    labels in the spelling that the models learnt. now: microseconds since 1970, by default those of the clock.
    What was counted by other meters is counted anew. Raises StoreError.
    """
    now, known = now or now_us(), cache(known)  # one that comes while this counts is counted the next time
    with lock(Path(state) / LOCK, WAIT_SECONDS):
        book, rows, labels = _book(Path(state), known, now), 0, 0
        unknown: set[str] = set()
        for change in _changes(Path(log), book, known, (tables, unknown, kept_waiting(Path(state), book))):
            book = write_change(Path(state), book, change, now)
            rows += change.rows
        late = _labels(Path(log), tables, known, (spelled, book, kept_waiting(Path(state), book), now))
        book = msgspec.structs.replace(book, unknown=tuple(sorted(unknown)))
        write_change(Path(state), book, late, now)
        labels += late.rows
    return Tallied(rows, labels, tuple(sorted(unknown)))


def uncounted(log: Path, state: Path, tables: Tables) -> dict[str, str]:
    """Release → a table with rows of it that were drained and not counted; nothing where nobody ever counted."""
    book, names = read_counts(state).book, set(tables.names())
    found: dict[str, str] = {}
    for name in (one.table(kind) for one in layouts(log) for kind in KINDS):
        if name in names and book != Book():
            found |= {release: name for segment, release, end in _ends(tables.scan(name))
                      if end > book.places.get(segment, 0)}
    return found


def _book(state: Path, known: Known, now: int) -> Book:
    """What was counted; nothing where a release is counted by other meters now. A release that became known stays among
    the unknown until its labels are counted too, in case this is killed before.
    """
    counts = read_counts(state)
    book = counts.book
    made = {one: known(one) for one in book.plans}
    if any(how is not None and how.digest != book.plans[one] for one, how in made.items()):
        return Book(anew={one: (now, min(counts.first(one), book.anew.get(one, (0, FULL))[1])) for one in book.plans})
    waiting = all(known(one) is None for one in book.unknown)
    return book if waiting else msgspec.structs.replace(book, tables={})


def _changes(log: Path, book: Book, known: Known, more: tuple[Tables, set[str], Waiting]) -> Iterator[Change]:
    """What is new, in portions: first in files, then in tables, so that what is drained meanwhile is not missed."""
    tables, unknown, waiting = more
    change, places = Change(waiting=waiting), dict(book.places)
    for rows, release, segment, place in _from_files(log, places, known, unknown):
        _counted(change, rows, release, known)
        places[segment] = change.places[segment] = place
        if change.rows >= ROWS:
            yield change
            change = Change(waiting=change.waiting)
    for found in _from_tables(log, book, known, (tables, unknown, places)):
        if isinstance(found, dict):
            change.tables.update(found)
            continue
        rows, release, segment, place = found
        _counted(change, rows, release, known)
        places[segment] = change.places[segment] = place
        if change.rows >= ROWS:
            yield change
            change = Change(waiting=change.waiting)
    if change.places or change.tables:
        yield change


def _counted(change: Change, rows: Table, release: str, known: Known) -> None:
    how = known(release)
    assert how is not None
    change.waiting = change.waiting.marked(rows) if change.waiting is not None else None
    change.add(release, how.tally(rows))
    change.plans[release] = how.digest
    change.rows += rows.rows


def _labels(log: Path, tables: Tables, known: Known, more: tuple[Spelled, Book, Waiting, int]) -> Change:
    """What labels add that arrived since the last time, or whose prediction did."""
    spelled, book, waiting, now = more
    now_known = {one for one in book.unknown if known(one) is not None}
    found = news(log, tables, book.places, book.tables, waiting)
    change = Change(places=found.places, tables=found.tables, labels=True)
    served = _labelled(change, (log, tables), known, (spelled, found, lambda release: release not in now_known))
    change.waiting, change.lost = found.waiting.settled(found.seen, served).aged(now)
    if now_known:  # what came of them while nobody knew them lies before the places
        every = news(log, tables, {}, {}, no_waiting())
        _labelled(change, (log, tables), known, (spelled, every, now_known.__contains__))
    return change


def _labelled(
    change: Change, where: tuple[Path, Tables], known: Known, more: tuple[Spelled, News, Callable[[str], bool]]
) -> set[str]:
    """Add what labels say of the releases that are meant; the ids of which there is a prediction of any release."""
    spelled, found, meant = more
    if not found.ids:
        return set()
    served = found_by_id(*where, found.ids)
    for release in filter(meant, sorted(set(served.words("release")))):
        how = known(release)
        if how is not None:
            rows = served.take(served.words("release") == release)
            change.add(release, _difference(how, rows, (spelled(found.before), spelled(found.after))))
            change.plans[release] = how.digest
            change.rows += rows.rows
    return set(served.words("prediction_id"))


def _difference(how: Counter, rows: Table, labels: tuple[Table, Table]) -> Tallies:
    """What labels after a change say more than those before it: served rows were counted when they were served."""
    nothing = counting.nothing(how.how)
    before, after = (how.tally(rows, each) if each.rows else None for each in labels)
    found = replace(after or how.tally(rows), rows=nothing.rows)
    if before is None:
        return found
    return replace(found, labels=less(found.labels, before.labels), cohorts=less(found.cohorts, before.cohorts))


def _from_files(
    log: Path, places: Mapping[str, int], known: Known, unknown: set[str]
) -> Iterator[tuple[Table, str, str, int]]:
    """New rows of the files that servers write, with release, segment and the place behind them."""
    for path in [path for kind in KINDS for path in segments.segments(log, kind)]:
        first = header(path)
        if first is None:
            continue
        heading = msgspec.msgpack.decode(first, type=Heading)
        if known(heading.release) is None:
            unknown.add(heading.release)
            continue
        columns = Layout.of(heading)
        for blocks, behind in pieces(path, places.get(path.stem, 0), size=PIECE):
            data = served_rows(heading, answers(block for _, block in blocks))
            yield Table(data, schema(data, [columns]), "log", str(path)), heading.release, path.stem, behind


def _from_tables(
    log: Path, book: Book, known: Known, more: tuple[Tables, set[str], Mapping[str, int]]
) -> Iterator[tuple[Table, str, str, int] | dict[str, str]]:
    """Rows that were drained before they were counted, and after each table what of it was looked at."""
    tables, unknown, places = more
    names = set(tables.names())
    for name, columns in ((one.table(kind), one) for one in layouts(log) for kind in KINDS):
        if name not in names:
            continue
        seen = str(tables.version(name))
        if book.tables.get(name) == seen:
            continue
        rows = tables.scan(name)
        for segment, release, end in _ends(rows):
            start = places.get(segment, 0)
            if end < start:
                continue
            if known(release) is None:
                unknown.add(release)
                continue
            data = filtered(rows, (pc.field("segment") == segment) & (pc.field("offset") > start))
            data = data.drop_columns(list(PLACE)).rename_columns(columns.columns)
            if len(data):
                yield Table(data, schema(data, [columns]), "log", name), release, segment, end + 1
        yield {name: seen}


def _ends(rows: pa.dataset.Dataset) -> list[tuple[str, str, int]]:
    """Segment, release and place of the last block of every segment in a table."""
    drained = rows.to_table(columns=["segment", "offset", "release"])
    last = drained.group_by(["segment", "release"]).aggregate([("offset", "max")])
    return list(zip(*(last[key].to_pylist() for key in ("segment", "release", "offset_max")), strict=True))
