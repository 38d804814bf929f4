"""Counts of served rows by release, arm and time over a release's grid: kept in small files, changed all or nothing.

The newest hours are kept by the minute, older ones by the hour, the oldest by the day; rolling up is addition, so no
count is lost by it. A part is a file of its own that is never changed: a change writes new parts, then the book that
names them and says how far every segment was read, then deletes what no book names. A killed writer leaves the old
book or the new one.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from shipworthy.core.canon import canonical
from shipworthy.core.clock import DAY, HOUR, MINUTE
from shipworthy.core.grid import Grid, Plan
from shipworthy.core.table import Ints
from shipworthy.errors import Misuse, StoreError
from shipworthy.store.files import write_bytes

Level = Literal["minute", "hour", "day"]
WIDTH: dict[str, int] = {"minute": MINUTE, "hour": HOUR, "day": DAY}
SPAN: dict[str, int] = {"minute": HOUR, "hour": DAY, "day": 30 * DAY}  # of one part
KEPT: dict[str, int] = {"minute": 3 * HOUR, "hour": 400 * DAY}
NEXT: dict[str, Level] = {"minute": "hour", "hour": "day"}
COUNTS = "counts"  # the folder of a project's counts, in its `.shipworthy`
BOOK = "tally.json"
FORMAT = 1
_FULL = 2**62
Bucket = tuple[str, int]  # arm, first microsecond
Part = dict[Bucket, Ints]


class Spot(msgspec.Struct, frozen=True, order=True):
    """What a part holds. period: its number, in spans of its level since 1970."""

    release: str
    level: Level
    period: int


class Entry(msgspec.Struct, frozen=True):
    """A part and its file."""

    spot: Spot
    file: str


class Book(msgspec.Struct, frozen=True):
    """What was counted. places: segment → the place up to which it was. tables: table → what of it was looked at.

    plans: release → digest of its plan; counts of another plan cannot be added.
    """

    places: dict[str, int] = {}
    tables: dict[str, str] = {}
    plans: dict[str, str] = {}
    parts: tuple[Entry, ...] = ()
    format: int = FORMAT


@dataclass(frozen=True)
class Buckets:
    """Rows by arm and time: at (k,) first microsecond, width (k,) microseconds, arm (k,), counts (k, cells)."""

    at: Ints
    width: Ints
    arm: npt.NDArray[np.str_]
    counts: Ints


@dataclass(frozen=True)
class Counts:
    """What a folder of counts holds now; made by `read_counts`."""

    folder: Path
    book: Book

    @property
    def releases(self) -> tuple[str, ...]:
        return tuple(self.book.plans)

    def buckets(self, release: str) -> Buckets:
        """All counts of a release, oldest first. A row's cells are those of the plan, column by column, then the score.

        Raises StoreError when a part cannot be read.
        """
        rows = [(at, WIDTH[entry.spot.level], arm, counts) for entry in self.book.parts
                if entry.spot.release == release for (arm, at), counts in read_part(self.folder, entry.file).items()]
        rows.sort(key=lambda row: row[:3])
        return Buckets(np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.int64),
                       np.array([row[2] for row in rows], np.str_), np.array([row[3] for row in rows], np.int64))

    def grid(self, release: str, plan: Plan, *, arm: str = "", since: int = -_FULL, until: int = _FULL) -> Grid:
        """The counts of the buckets that begin from since on and before until, of one arm or all.

        Raises Misuse for another plan than they were counted by.
        """
        if self.book.plans.get(release, plan.digest) != plan.digest:
            raise _other_plan(release)
        found = self.buckets(release)
        meant = (found.at >= since) & (found.at < until) & ((found.arm == arm) if arm else True)
        total = found.counts[meant].sum(axis=0) if meant.any() else np.zeros(width_of(plan), np.int64)
        return as_grid(total, plan)


@dataclass
class Change:
    """Counts that are to be added at once. places, tables: as in `Book`."""

    places: dict[str, int] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    plans: dict[str, str] = field(default_factory=dict)
    counts: dict[str, Part] = field(default_factory=dict)
    rows: int = 0

    def add(self, release: str, part: Part) -> None:
        """Counts by the minute of a release."""
        into = self.counts.setdefault(release, {})
        for bucket, counts in part.items():
            into[bucket] = _sum(into.get(bucket), counts)


def read_counts(folder: Path) -> Counts:
    """What was counted into a folder; nothing in a new one. Raises StoreError when it cannot be read."""
    path = Path(folder) / BOOK
    try:
        book = msgspec.json.decode(path.read_bytes(), type=Book)
    except FileNotFoundError:
        book = Book()
    except (OSError, msgspec.MsgspecError) as error:
        raise _unread(path, error) from error
    if book.format != FORMAT:
        raise _unread(path, f"it has format {book.format}, not {FORMAT}")
    return Counts(Path(folder), book)


def write_change(folder: Path, book: Book, change: Change, now: int) -> Book:
    """The book after a change, all of it on disk, or nothing. now: microseconds since 1970, for rolling up.

    For one writer at a time. Raises StoreError; Misuse for counts of another plan.
    """
    for release, plan in change.plans.items():
        if book.plans.get(release, plan) != plan:
            raise _other_plan(release)
    files = {entry.spot: entry.file for entry in book.parts}
    touched: dict[Spot, Part] = {}
    for release, part in change.counts.items():
        _into(touched, release, "minute", part)
    _add_known(folder, files, touched)
    for level in ("minute", "hour"):
        for spot in sorted(set(files) | set(touched)):
            if spot.level == level and (spot.period + 1) * SPAN[level] <= now - KEPT[level]:
                _roll(folder, files, touched, spot)
    for spot, part in touched.items():
        files[spot] = f"{spot.release[:16]}-{spot.level}-{spot.period}-{secrets.token_hex(4)}.npz"
        write_bytes(folder / files[spot], _packed(part))
    made = Book({**book.places, **change.places}, {**book.tables, **change.tables}, {**book.plans, **change.plans},
                tuple(Entry(spot, files[spot]) for spot in sorted(files)))
    write_bytes(folder / BOOK, canonical(made))
    for path in set(folder.glob("*.npz")) - {folder / name for name in files.values()}:
        path.unlink(missing_ok=True)
    return made


def read_part(folder: Path, name: str) -> Part:
    """The counts of a file by arm and time. Raises StoreError when it cannot be read."""
    try:
        with np.load(folder / name, allow_pickle=False) as packed:
            arms, at, counts = packed["arm"], packed["at"], np.asarray(packed["counts"], np.int64)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise _unread(folder / name, error) from error
    return {(str(arm), int(when)): row for arm, when, row in zip(arms, at, counts, strict=True)}


def width_of(plan: Plan) -> int:
    """How many cells a plan has, score included."""
    return sum(cells.size for cells in plan.columns) + plan.score_cells


def as_grid(counts: Ints, plan: Plan) -> Grid:
    """One row of counts as a grid."""
    ends = np.cumsum([cells.size for cells in plan.columns])
    *columns, score = np.split(counts, ends)
    return Grid(plan.digest, dict(zip(plan.names, columns, strict=True)), score, int(score.sum()))


def _into(parts: dict[Spot, Part], release: str, level: Level, part: Part) -> None:
    """Add buckets to the parts of a level in which they lie."""
    for (arm, at), counts in part.items():
        bucket = arm, at // WIDTH[level] * WIDTH[level]
        into = parts.setdefault(Spot(release, level, at // SPAN[level]), {})
        into[bucket] = _sum(into.get(bucket), counts)


def _add_known(folder: Path, files: Mapping[Spot, str], touched: dict[Spot, Part]) -> None:
    for spot, part in touched.items():
        if spot in files:
            for bucket, counts in read_part(folder, files[spot]).items():
                part[bucket] = _sum(part.get(bucket), counts)


def _roll(folder: Path, files: dict[Spot, str], touched: dict[Spot, Part], spot: Spot) -> None:
    """Move a part to the next level."""
    part = touched.pop(spot) if spot in touched else read_part(folder, files[spot])
    files.pop(spot, None)
    made: dict[Spot, Part] = {}
    _into(made, spot.release, NEXT[spot.level], part)
    for target, more in made.items():
        if target not in touched:
            touched[target] = read_part(folder, files[target]) if target in files else {}
        for bucket, counts in more.items():
            touched[target][bucket] = _sum(touched[target].get(bucket), counts)


def _sum(left: Ints | None, right: Ints) -> Ints:
    if left is None:
        return right
    if max(int(left.max(initial=0)), int(right.max(initial=0))) >= _FULL:
        raise Misuse("the counts are too large to add", where="tally", hint="start a new folder of counts")
    return np.asarray(left + right, np.int64)


def _packed(part: Part) -> bytes:
    buckets = sorted(part)
    made = io.BytesIO()
    np.savez_compressed(made, allow_pickle=False, arm=np.array([arm for arm, _ in buckets], np.str_),
                        at=np.array([at for _, at in buckets], np.int64),
                        counts=np.array([part[bucket] for bucket in buckets], np.int64))
    return made.getvalue()


def _other_plan(release: str) -> Misuse:
    return Misuse("counts of different plans cannot be added", where=f"release {release[:12]}",
                  hint="count with the grid that the release carries")


def _unread(path: Path, error: object) -> StoreError:
    return StoreError(f"the counts cannot be read: {error}", where=str(path),
                      hint="delete that folder: everything is counted again from the log")
