"""How many rows each token asked for, counted by all server processes together in one memory-mapped file.

Every process writes cells of its own and reads those of all, so that nothing is locked while a request waits. It adds
what is asked, then looks at the sum, and takes it back where that is too much: two at once may both be sent away, never
both let in. A cell is one aligned word, its time and its rows together, so that nobody sees it half-written.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shipworthy.errors import StoreError

FOLDER, FILE = "budgets", "spent.bin"
SLOTS, RING, COUNTED, SECONDS, DAY = 64, 7, 6, 12, 86_400
SPANS = DAY // SECONDS
CELLS = RING + 1  # of one process for one token, a cache line: spans of twelve seconds in a ring, and the day
BITS = 34  # of a cell for its rows; the number of its span or day stands above them
MOST = (1 << BITS) - 1
HEADER, PLACE_BYTES = 64, SLOTS * CELLS * 8


class Limits(NamedTuple):
    """Rows a minute, in any sixty seconds, and rows a day, from midnight to midnight UTC; 0 is without limit."""

    minute: int = 0
    day: int = 0


UNLIMITED = Limits()


class Short(NamedTuple):
    """A budget that does not hold what is asked: its unit, its rows, and in how many seconds to ask again."""

    unit: str
    limit: int
    seconds: int


class Clock:
    """Seconds since 1970 that never go back, nor stand still: where the machine's clock goes back, they go on."""

    def __init__(
        self, start: float = 0.0, *, wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._steady = wall, steady
        self._latest, self._at = start, steady()

    def now(self) -> float:
        """The time, at least that of every call before."""
        wall, steady = self._wall(), self._steady()
        latest = self._latest + (steady - self._at)
        self._latest = latest = wall if wall > latest else latest
        self._at = steady
        return latest

    def at_least(self, other: float) -> None:
        """Go on from a later time, which another process has seen."""
        self._latest = max(self._latest, other)


class _Room:
    """What a budget still held when it was last added up, while no other process counted. left: rows."""

    __slots__ = ("left", "limits", "span")

    def __init__(self, span: int, limits: Limits, left: int) -> None:
        self.span, self.limits, self.left = span, limits, left


class Budgets:
    """The counts of one server process, among those of all. Safe for several threads, but not across a fork.

    home: the `.shipworthy` folder of a project. Counts outlive the process: whoever takes its slot goes on with them.
    Raises StoreError when the disk refuses, or when 64 processes count already.
    """

    def __init__(
        self, home: Path, *, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder = home / FOLDER
        self._lock = threading.Lock()
        self._rooms: dict[int, _Room] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._slot, self._held = _slot(self.folder)
            self._handle = os.open(self.folder / FILE, os.O_RDWR | os.O_CREAT, 0o600)
            self._map = self._mapped(1)
        except OSError as error:
            raise _refused(error, self.folder) from error
        self._words = memoryview(self._map).cast("q")
        newest = int(np.frombuffer(self._map, np.int64, offset=HEADER).max()) >> BITS
        self.clock = Clock(float(newest * SECONDS), wall=wall, steady=steady)

    def reach(self, place: int) -> None:
        """Have room for a token's place. Raises StoreError when the disk refuses."""
        with self._lock:
            if _start(place + 1) <= len(self._map):
                return
            try:
                larger = self._mapped(place + 1)
            except OSError as error:
                raise _refused(error, self.folder) from error
            self._words.release()
            self._map.close()
            self._map, self._words = larger, memoryview(larger).cast("q")

    def spend(self, place: int, rows: int, limits: Limits) -> Short | None:
        """None once the rows are counted; or, with nothing counted, the budget that does not hold them.

        place: of a token, within `reach`. rows: at least 0.
        """
        with self._lock:
            while True:
                at, words, first = self.clock.now(), self._words, HEADER + place * PLACE_BYTES
                span, own = int(at) // SECONDS, first // 8 + self._slot * CELLS
                ring, daily = own + span % RING, own + RING
                before, today = words[ring], words[daily]
                room = self._rooms.get(place)
                if room is not None and room.span == span and room.limits is limits and rows <= room.left:
                    words[ring], words[daily] = before + rows, today + rows
                    if words[0] == 1:  # looked at after counting: whoever comes later sees what was counted
                        room.left -= rows
                        return None
                    del self._rooms[place]
                    words[ring], words[daily] = before, today
                words[ring] = _plus(before, span, rows)
                words[daily] = _plus(today, span // SPANS, rows)
                if limits == UNLIMITED:
                    return None
                cells = struct.unpack_from(f"{words[0] * CELLS}q", self._map, first)
                newest = max(cells) >> BITS  # spans have greater numbers than days
                short = None if newest > span else _short(cells, limits, at)
                if short is None and newest <= span:
                    if words[0] == 1:
                        self._rooms[place] = _Room(span, limits, _left(cells, limits, span))
                    return None
                words[ring], words[daily] = before, today
                if short:
                    return short
                self.clock.at_least(float(newest * SECONDS))

    def close(self) -> None:
        """Leave the slot to the next process."""
        with self._lock:
            self._words.release()
            self._map.close()
            os.close(self._handle)
            os.close(self._held)

    def _mapped(self, places: int) -> mmap.mmap:
        """The file, with room for so many places and the number of slots in use in its first word.

        The room is written, not only claimed: a full disk is told here, and ends no process later.
        """
        _claimed(self._handle, wait=True)
        try:
            size, wanted = os.fstat(self._handle).st_size, _start(places)
            if size < wanted:
                os.pwrite(self._handle, bytes(wanted - size), size)
            found = mmap.mmap(self._handle, max(size, wanted))
            with memoryview(found).cast("q") as words:
                words[0] = max(words[0], self._slot + 1)
            return found
        finally:
            _freed(self._handle)


def spent(home: Path, place: int, at: float) -> tuple[int, int]:
    """Rows that a token asked for by a time, in seconds since 1970: in the last minute or a little more, and that day.

    For whoever only looks: takes no slot, and counts nothing where no server ever counted.
    """
    path = home / FOLDER / FILE
    raw = path.read_bytes()[_start(place):_start(place + 1)] if path.exists() else b""
    cells = struct.unpack(f"{len(raw) // 8}q", raw)
    span = max(int(at) // SECONDS, max(cells, default=0) >> BITS)
    return _minute(cells, span), _today(cells, span // SPANS)


def _short(cells: Sequence[int], limits: Limits, at: float) -> Short | None:
    """The budget that the cells, these rows among them, go beyond; None if none is."""
    span, day = int(at) // SECONDS, int(at) // DAY
    if limits.day and _today(cells, day) > limits.day:
        return Short("day", limits.day, (day + 1) * DAY - int(at))
    over = _minute(cells, span) - limits.minute
    if not limits.minute or over <= 0:
        return None
    for old in range(span - COUNTED + 1, span):
        over -= sum(cell & MOST for cell in cells if cell >> BITS == old)
        if over <= 0:
            return Short("minute", limits.minute, (old + COUNTED) * SECONDS - int(at))
    return Short("minute", limits.minute, (span + COUNTED) * SECONDS - int(at))


def _left(cells: Sequence[int], limits: Limits, span: int) -> int:
    """How many more rows both budgets hold, as long as the span lasts."""
    both = ((limits.minute, _minute(cells, span)), (limits.day, _today(cells, span // SPANS)))
    return min([limit - used for limit, used in both if limit] + [MOST - max(cell & MOST for cell in cells)])


def _minute(cells: Sequence[int], span: int) -> int:
    """Rows of the spans that reach into the last sixty seconds. A day's cell has too small a number to count."""
    first = (span - COUNTED + 1) << BITS
    return sum(cell & MOST for cell in cells if cell >= first)


def _today(cells: Sequence[int], day: int) -> int:
    return sum(cell & MOST for cell in cells[RING::CELLS] if cell >> BITS == day)


def _plus(cell: int, number: int, rows: int) -> int:
    """A cell with rows added; one of an earlier span or day begins anew."""
    had = cell & MOST if cell >> BITS == number else 0
    return number << BITS | min(had + rows, MOST)


def _start(place: int) -> int:
    return HEADER + place * PLACE_BYTES


def _slot(folder: Path) -> tuple[int, int]:
    """The first slot that no living process has, and the handle that holds it."""
    for number in range(SLOTS):
        handle = os.open(folder / f"slot-{number:02}", os.O_RDWR | os.O_CREAT, 0o600)
        if _claimed(handle):
            return number, handle
        os.close(handle)
    raise StoreError(f"{SLOTS} processes count budgets already", where=str(folder),
                     hint="stop servers that are not used")


def _claimed(handle: int, *, wait: bool = False) -> bool:
    """Hold a file until it is freed or closed; False if another holds it. Where there are no such locks: True."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _freed(handle: int) -> None:
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(handle, fcntl.LOCK_UN)


def _refused(error: OSError, folder: Path) -> StoreError:
    return StoreError(f"budgets cannot be counted: {error.strerror}", where=str(folder),
                      hint="free some space, or mend the permissions of the folder")
