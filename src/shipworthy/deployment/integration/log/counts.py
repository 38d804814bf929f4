"""Tallies of a project's traffic on the disk: small files by release, kind and time, changed all or nothing.

The newest hours are kept by the minute, older ones by the hour, the oldest by the day; rolling up is addition, so no
count is lost by it. Sampled rows are kept for sixty days. A part is a file of its own that is never changed: a change
writes new parts, then the book that names them and says how far every segment was read, then deletes what no book
names. A killed writer leaves the old book or the new one.
"""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from shipworthy.core.canon import canonical
from shipworthy.core.clock import DAY, HOUR, MINUTE
from shipworthy.core.tallies import FULL, Sample, Sums, Tallies, add, add_samples, add_sums, keys_of, no_sums, sums
from shipworthy.deployment.integration.log.waiting import Waiting, no_waiting, read_waiting
from shipworthy.errors import StoreError
from shipworthy.store.files import lock, write_bytes

Kind = Literal["rows", "labels", "cohorts", "sample"]
SUMMED: tuple[Kind, ...] = ("rows", "labels", "cohorts")
WIDTH: dict[str, int] = {"minute": MINUTE, "hour": HOUR, "day": DAY}
SPAN: dict[str, int] = {"minute": HOUR, "hour": DAY, "day": 30 * DAY}  # of one part
KEPT: dict[str, int] = {"minute": 3 * HOUR, "hour": 400 * DAY}
NEXT = {"minute": "hour", "hour": "day"}
SAMPLE_DAYS = 60
COUNTS = "counts"  # the folder of a project's counts, in its `.shipworthy`
BOOK, LOCK = "tally.json", "tally.lock"
FORMAT = 3
WAIT_SECONDS = 60.0
Part = Sums | Sample


class Spot(msgspec.Struct, frozen=True, order=True):
    """What a part holds. level: minute, hour or day. period: its number, in spans of its level since 1970."""

    release: str
    kind: str
    level: str
    period: int


class Entry(msgspec.Struct, frozen=True):
    """A part and its file."""

    spot: Spot
    file: str


class Book(msgspec.Struct, frozen=True):
    """What was counted. places: segment → the place up to which it was. tables: table → version that was looked at.

    plans: release → digest of what is counted of it. unknown: releases of which nothing could be counted. until:
    microseconds up to which all was counted. waiting: the file of the labels that wait; lost: how many were given up.
    anew: release → when it was last counted anew, and the first row that had been counted before, in microseconds.
    """

    places: dict[str, int] = {}
    tables: dict[str, str] = {}
    plans: dict[str, str] = {}
    unknown: tuple[str, ...] = ()
    until: int = -FULL
    parts: tuple[Entry, ...] = ()
    waiting: str = ""
    lost: int = 0
    anew: dict[str, tuple[int, int]] = {}
    format: int = FORMAT


@dataclass
class Change:
    """What is to be added at once; as in `Book`, and tallies by release.

    labels: whether what the sample knows of these rows replaces what was known of them.
    """

    places: dict[str, int] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    plans: dict[str, str] = field(default_factory=dict)
    found: dict[str, Tallies] = field(default_factory=dict)
    rows: int = 0
    labels: bool = False
    waiting: Waiting | None = None
    lost: int = 0

    def add(self, release: str, more: Tallies) -> None:
        self.found[release] = add(self.found[release], more) if release in self.found else more


@dataclass(frozen=True)
class Counts:
    """What a folder of counts holds now; made by `read_counts`."""

    folder: Path
    book: Book

    @property
    def releases(self) -> tuple[str, ...]:
        return tuple(self.book.plans)

    def tallies(self, release: str, nothing: Tallies, *, since: int = -FULL, width: int = MINUTE) -> Tallies:
        """What was counted of a release: rows and samples of a time on, all labels, by buckets at least so wide.

        nothing: tallies of nothing, which say what is counted. Raises StoreError when a part cannot be read.
        """
        summed: dict[str, list[Sums]] = {kind: [] for kind in SUMMED}
        sample = nothing.sample
        for entry in self.book.parts:
            spot = entry.spot
            late = spot.kind in ("rows", "sample") and (spot.period + 1) * SPAN[spot.level] <= since
            if spot.release != release or late:
                continue
            part = read_part(self.folder, entry.file)
            if isinstance(part, Sample):
                sample = add_samples(sample, part.where(part.at >= since))
            else:
                summed[spot.kind].append(part.between(since) if spot.kind == "rows" else part)
        rows, labels, cohorts = (_merged(getattr(nothing, kind), summed[kind], width) for kind in SUMMED)
        return replace(nothing, rows=rows, labels=labels, cohorts=cohorts, sample=sample, until=self.book.until,
                       told=self.book.until, orphans=len(self.waiting.orphans), lost=self.book.lost)

    def first(self, release: str) -> int:
        """The first bucket with rows of a release, in microseconds; that of never where there are none."""
        spots = [entry for entry in self.book.parts if entry.spot.release == release and entry.spot.kind == "rows"]
        parts = [read_part(self.folder, min(spots, key=_begin).file)] if spots else []
        return min((int(part.at.min()) for part in parts if len(part)), default=FULL)

    def told_anew(self, release: str) -> str:
        """When a release was counted anew, and which rows had expired by then; empty where nothing was lost by it."""
        when, before = self.book.anew.get(release, (0, FULL))
        first = min(self.first(release), when) // DAY
        if first <= before // DAY:
            return ""
        days = [datetime.fromtimestamp(at * DAY / 1e6, UTC).date() for at in (when // DAY, first)]
        return f"counted anew on {days[0]}, for meters or segments had changed; rows before {days[1]} had expired"

    @property
    def waiting(self) -> Waiting:
        """The labels that came before their prediction. Raises StoreError when they cannot be read."""
        return kept_waiting(self.folder, self.book)


def read_counts(folder: Path) -> Counts:
    """What was counted into a folder; nothing in a new one, or in one of an older format, which is counted again.

    Its parts may be gone a moment later: to read them beside a writer, see `held_counts`. Raises StoreError when it
    cannot be read.
    """
    path = Path(folder) / BOOK
    try:
        raw = json.loads(path.read_bytes())
        book = msgspec.convert(raw, Book) if raw.get("format") == FORMAT else Book()
    except FileNotFoundError:
        book = Book()
    except (OSError, ValueError, AttributeError, msgspec.MsgspecError) as error:
        raise _unread(path, error) from error
    return Counts(Path(folder), book)


@contextmanager
def held_counts(folder: Path) -> Iterator[Counts]:
    """What was counted into a folder, which no writer changes until the block ends. Raises StoreError."""
    with lock(Path(folder) / LOCK, WAIT_SECONDS, shared=True):
        yield read_counts(folder)


def write_change(folder: Path, book: Book, change: Change, now: int) -> Book:
    """The book after a change, all of it on disk, or nothing. now: microseconds since 1970, for rolling up.

    For one writer at a time. Raises StoreError; Misuse for counts of other meters.
    """
    files = {entry.spot: entry.file for entry in book.parts}
    touched: dict[Spot, Part] = {}
    for release, found in change.found.items():
        for kind in SUMMED:
            _into(touched, (release, kind, "day" if kind == "cohorts" else "minute"), getattr(found, kind))
        _sampled(touched, release, found.sample)
    for spot, more in touched.items():
        if spot in files:
            touched[spot] = _both(_without(read_part(folder, files[spot]), more if change.labels else None), more)
    for level in ("minute", "hour"):
        for spot in sorted(set(files) | set(touched)):
            if spot.level == level and spot.kind in SUMMED and (spot.period + 1) * SPAN[level] <= now - KEPT[level]:
                _roll(folder, files, touched, spot)
    for spot in [one for one in files if one.kind == "sample" and one.period * SPAN["hour"] < now - SAMPLE_DAYS * DAY]:
        files.pop(spot)
    for spot, part in touched.items():
        files[spot] = _written(folder, spot, part)
    made = Book({**book.places, **change.places}, {**book.tables, **change.tables}, {**book.plans, **change.plans},
                book.unknown, max(book.until, now), _listed(files), _waits(folder, book, change),
                book.lost + change.lost, book.anew)
    return _turned(folder, made)


def forget(folder: Path, ids: Collection[str]) -> int:
    """Take rows out of the samples, and labels out of those that wait; how many. Sums name nobody and stay.

    ids: of predictions, or of entities as `tables.entity_rows` has them. Raises StoreError.
    """
    if not (Path(folder) / BOOK).exists():
        return 0
    with lock(Path(folder) / LOCK, WAIT_SECONDS):
        counts = read_counts(folder)
        book, waiting = counts.book, counts.waiting
        left = waiting.without(ids)
        gone = len(waiting) - len(left)
        files = {entry.spot: entry.file for entry in book.parts}
        for spot, name in list(files.items()):
            part = read_part(folder, name) if spot.kind == "sample" else None
            if isinstance(part, Sample) and (hit := np.isin(part.ids, list(ids))).any():
                gone += int(hit.sum())
                files[spot] = _written(folder, spot, part.where(~hit))
        _turned(folder, msgspec.structs.replace(book, parts=_listed(files),
                                                waiting=_waits(folder, book, Change(waiting=left))))
    return gone


def coarser(found: Sums, width: int) -> Sums:
    """The sums in buckets at least so wide. width: microseconds."""
    return _merged(no_sums(found.layout), [found], width)


def _merged(nothing: Sums, parts: Sequence[Sums], width: int) -> Sums:
    """All parts at once, by buckets at least so wide."""
    if any(part.layout != nothing.layout for part in parts):
        raise _unread(Path(BOOK), "they are of other meters")
    keys = [(at // max(width, own) * max(width, own), max(width, own), segment, arm)
            for part in parts for at, own, segment, arm in keys_of(part)]
    return sums(nothing.layout, keys, np.concatenate([nothing.cells, *(part.cells for part in parts)]))


def read_part(folder: Path, name: str) -> Part:
    """The sums or the sample of a file. Raises StoreError when it cannot be read."""
    try:
        with np.load(folder / name, allow_pickle=False) as packed:
            arrays = {key: packed[key] for key in packed.files}
        layout = arrays.pop("layout", None)
        if layout is None:
            return Sample(**arrays)
        return Sums(tuple((str(key), int(size)) for key, size in json.loads(layout.tobytes())), **arrays)
    except (OSError, ValueError, KeyError, EOFError, TypeError) as error:
        raise _unread(folder / name, error) from error


def kept_waiting(folder: Path, book: Book) -> Waiting:
    """The labels that wait, by the book. Raises StoreError when they cannot be read."""
    if not book.waiting:
        return no_waiting()
    try:
        return read_waiting((folder / book.waiting).read_bytes(), book.waiting)
    except (OSError, ValueError) as error:
        raise _unread(folder / book.waiting, error) from error


def _waits(folder: Path, book: Book, change: Change) -> str:
    """The file of the labels that wait after a change; a new one where they are others."""
    if change.waiting is None or change.waiting.file:
        return book.waiting
    if not len(change.waiting):
        return ""
    name = f"waiting-{secrets.token_hex(4)}.parquet"
    write_bytes(folder / name, change.waiting.bytes())
    return name


def _without(part: Part, more: Part | None) -> Part:
    """A part without the rows of a sample that replaces them."""
    return part.where(~np.isin(part.ids, more.ids)) if isinstance(part, Sample) and isinstance(more, Sample) else part


def _into(parts: dict[Spot, Part], where: tuple[str, str, str], found: Sums) -> None:
    """Add sums to the parts of a level in which they lie. where: release, kind, level."""
    found = coarser(found, WIDTH[where[2]])
    period = found.at // SPAN[where[2]]
    for number in np.unique(period).tolist():
        spot, part = Spot(*where, number), found.where(period == number)
        parts[spot] = _both(parts[spot], part) if spot in parts else part


def _sampled(parts: dict[Spot, Part], release: str, found: Sample) -> None:
    day = found.at // DAY
    for number in np.unique(day).tolist():
        parts[Spot(release, "sample", "hour", number)] = found.where(day == number)


def _both(left: Part, right: Part) -> Part:
    if isinstance(left, Sample) and isinstance(right, Sample):
        return add_samples(left, right)
    assert isinstance(left, Sums)
    assert isinstance(right, Sums)
    return add_sums(left, right)


def _roll(folder: Path, files: dict[Spot, str], touched: dict[Spot, Part], spot: Spot) -> None:
    """Move a part to the next level."""
    part = touched.pop(spot) if spot in touched else read_part(folder, files[spot])
    files.pop(spot, None)
    made: dict[Spot, Part] = {}
    assert isinstance(part, Sums)
    _into(made, (spot.release, spot.kind, NEXT[spot.level]), part)
    for target, more in made.items():
        known = touched.get(target) or (read_part(folder, files[target]) if target in files else None)
        touched[target] = more if known is None else _both(known, more)


def _begin(entry: Entry) -> int:
    return entry.spot.period * SPAN[entry.spot.level]


def _listed(files: dict[Spot, str]) -> tuple[Entry, ...]:
    return tuple(Entry(spot, files[spot]) for spot in sorted(files))


def _written(folder: Path, spot: Spot, part: Part) -> str:
    """The name of a new file that holds a part."""
    name = f"{spot.release[:16]}-{spot.kind}-{spot.level}-{spot.period}-{secrets.token_hex(4)}.npz"
    arrays: dict[str, Any] = {key: value for key, value in vars(part).items() if key != "layout"}
    if isinstance(part, Sums):
        arrays["layout"] = np.frombuffer(canonical(part.layout), np.uint8)
    made = io.BytesIO()
    np.savez_compressed(made, allow_pickle=False, **arrays)
    write_bytes(folder / name, made.getvalue())
    return name


def _turned(folder: Path, book: Book) -> Book:
    """The book, once it is the one that counts; files that it does not name are gone."""
    write_bytes(folder / BOOK, canonical(book))
    named = {folder / name for name in (book.waiting, *(entry.file for entry in book.parts))}
    for path in {*folder.glob("*.npz"), *folder.glob("waiting-*.parquet")} - named:
        path.unlink(missing_ok=True)
    return book


def _unread(path: Path, error: object) -> StoreError:
    return StoreError(f"the counts cannot be read: {error}", where=str(path),
                      hint="delete that folder: everything is counted again from the log")
