"""Prediction ids: UUIDv7, unique and in order within a process whatever its clock does.

Source: RFC 9562 (2024), section 5.7 and section 6.2, method 2: the random part is also a counter.
"""

from __future__ import annotations

import os
import sys
import threading
from array import array
from collections.abc import Iterator

POOL_BYTES = 4096


class Ids:
    """Gives out ids, each above the one before: within a millisecond by a random step of up to 32 bits."""

    def __init__(self, millisecond: int = 0) -> None:
        self._lock = threading.Lock()
        self._low = 0
        self._steps: Iterator[int] = iter(())
        self._turn(millisecond)

    def one(self, at: int) -> str:
        """The next id. at: microseconds since 1970 UTC.

        It carries the millisecond of `at`, or the last that was given out where the clock has gone back since.
        """
        with self._lock:
            millisecond = at // 1_000
            if millisecond > self._millisecond:
                self._turn(millisecond)
            self._low += next(self._steps, 0) or self._more()
            if self._low >> 48:
                self._turn(self._millisecond + 1)
            return "%s%012x" % (self._front, self._low)  # noqa: UP031 - twice as fast as format here

    def several(self, count: int, at: int) -> list[str]:
        """The next ids, in equal steps of one random width."""
        if not count:
            return []
        first = self.one(at)
        with self._lock:
            step = next(self._steps, 0) or self._more()
            if self._low + step * count >> 48:
                self._turn(self._millisecond + 1)
            lows = range(self._low + step, self._low + step * count, step)
            self._low = lows[-1] if lows else self._low
            digits = array("Q", lows)
            if sys.byteorder == "little":
                digits.byteswap()
            text, front = digits.tobytes().hex(), self._front
        return [first, *(front + text[place + 4 : place + 16] for place in range(0, len(text), 16))]

    def forked(self) -> Ids:
        """The same for a child process, which draws steps of its own."""
        return Ids(self._millisecond)

    def _turn(self, millisecond: int) -> None:
        """Begin a millisecond at 64 random bits, the highest of the counter unset so that it does not run over soon."""
        drawn = (next(self._steps, 0) or self._more()) << 32 | (next(self._steps, 0) or self._more())
        self._millisecond = millisecond
        high, variant = millisecond >> 16, drawn >> 12 & 0x3FFF | 0x8000
        self._front = f"{high:08x}-{millisecond & 0xFFFF:04x}-7{drawn & 0xFFF:03x}-{variant:04x}-"
        self._low = drawn >> 26 << 9

    def _more(self) -> int:
        """The first of a fresh pool of random steps, none of them nought."""
        self._steps = iter(array("I", os.urandom(POOL_BYTES)))
        return next(self._steps) or 1


def new_id(at: int) -> str:
    """A prediction id, above every earlier one of this process. at: microseconds since 1970 UTC."""
    return _ids.one(at)


def new_ids(count: int, at: int) -> list[str]:
    """Prediction ids of one request, as of `new_id`."""
    return _ids.several(count, at)


def _forked() -> None:
    global _ids
    _ids = _ids.forked()


_ids = Ids()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
