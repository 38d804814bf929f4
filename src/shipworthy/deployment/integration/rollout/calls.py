"""Requests by minute and arm: how many, how many failed (5xx), how long they took. Sums that merge by addition.

A server counts in memory and adds what it counted to a file of its own; a look reads the files of all servers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from shipworthy.core.clock import MINUTE

STEP = 2 ** (1 / 8)
EDGES = tuple(50e-6 * STEP**k for k in range(164))  # 50 µs to a little over a minute, 9 % apart


class Calls(msgspec.Struct, frozen=True, omit_defaults=True):
    """The requests of one arm that ended in one minute. at: its first microsecond since 1970 UTC.

    errors: answered with 5xx. cells: cell of `EDGES` → requests that took so long, the last cell beyond them all.
    """

    at: int
    arm: str
    requests: int = 0
    errors: int = 0
    cells: dict[int, int] = {}


class Sampler:
    """Calls from running totals, such as those of the server's counters, read once a minute."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, ...]] = {}

    def taken(self, arm: str, at: int, errors: int, buckets: Sequence[int]) -> Calls | None:
        """What was added since the last reading of this arm; None at the first, and after totals that fell: a restart.

        at: microseconds since 1970 UTC, now. buckets: (`EDGES` + 1,) requests by time taken, failures included.
        """
        now, before = (errors, *buckets), self._last.get(arm)
        self._last[arm] = now
        if before is None or any(new < old for new, old in zip(now, before, strict=True)):
            return None
        failed, *more = (new - old for new, old in zip(now, before, strict=True))
        cells = {cell: count for cell, count in enumerate(more) if count}
        return Calls(at - at % MINUTE - MINUTE, arm, sum(more), failed, cells) if cells else None


def add_calls(path: Path, calls: Sequence[Calls]) -> None:
    """Append to the file of one server process, `calls-NAME.jsonl` in the log's folder."""
    if calls:
        with path.open("ab") as file:
            file.write(b"".join(msgspec.json.encode(each) + b"\n" for each in calls))


def forget_calls(folder: Path, before: int) -> int:
    """Delete the files to which nothing was added since a time, microseconds; how many."""
    old = [path for path in Path(folder).glob("calls-*.jsonl") if path.stat().st_mtime_ns // 1_000 < before]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def read_calls(folder: Path, *, since: int = 0) -> tuple[Calls, ...]:
    """What all servers counted from a time on, each minute and arm once, in order. A line cut short is not counted."""
    found = []
    for path in sorted(Path(folder).glob("calls-*.jsonl")):
        for raw in path.read_bytes().split(b"\n")[:-1]:
            try:
                found.append(msgspec.json.decode(raw, type=Calls))
            except msgspec.MsgspecError:
                continue  # half a line of a killed process, and the next one's line behind it
    return merged(each for each in found if each.at >= since)


def merged(calls: Iterable[Calls]) -> tuple[Calls, ...]:
    """The same requests, each minute and arm once, in order."""
    found: dict[tuple[int, str], Calls] = {}
    for each in calls:
        known = found.get((each.at, each.arm), Calls(each.at, each.arm))
        cells = {cell: known.cells.get(cell, 0) + each.cells.get(cell, 0) for cell in {*known.cells, *each.cells}}
        found[each.at, each.arm] = Calls(each.at, each.arm, known.requests + each.requests,
                                         known.errors + each.errors, cells)
    return tuple(found[key] for key in sorted(found))
