"""Requests by minute and arm: how many, how many failed (5xx), how long they took. Sums that merge by addition.

A server counts in memory and adds what it counted to a file of its own; a look reads the files of all servers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

MINUTE = 60_000_000  # microseconds
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


class Counter:
    """What one server process counts; `count` is for the request path."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, str], tuple[list[int], dict[int, int]]] = {}

    def count(self, arm: str, at: int, status: int, seconds: float) -> None:
        """One request that ended. at: microseconds since 1970 UTC."""
        key = (at - at % MINUTE, arm)
        sums, cells = self._open.setdefault(key, ([0, 0], {}))
        sums[0] += 1
        sums[1] += status >= 500
        cell = bisect_left(EDGES, seconds)
        cells[cell] = cells.get(cell, 0) + 1

    def taken(self, before: int) -> list[Calls]:
        """The minutes that were over at a time, each told once: they are forgotten here."""
        over = sorted(key for key in self._open if key[0] + MINUTE <= before)
        taken = [(key, *self._open.pop(key)) for key in over]
        return [Calls(at, arm, sums[0], sums[1], cells) for (at, arm), sums, cells in taken]


class Sampler:
    """Calls from running totals, such as those of the server's counters, read once a minute. edges: of its histogram,
    ascending seconds.
    """

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges = tuple(edges)
        self._last: dict[str, tuple[int, ...]] = {}

    def taken(self, arm: str, at: int, errors: int, buckets: Sequence[int]) -> Calls | None:
        """What was added since the last reading of this arm; None at the first, and after totals that fell: a restart.

        at: microseconds since 1970 UTC, now. buckets: (edges + 1,) requests by time taken, failures included.
        """
        now, before = (errors, *buckets), self._last.get(arm)
        self._last[arm] = now
        if before is None or any(new < old for new, old in zip(now, before, strict=True)):
            return None
        failed, *more = (new - old for new, old in zip(now, before, strict=True))
        minute = at - at % MINUTE - MINUTE
        return Calls(minute, arm, sum(more), failed, cells_of(self.edges, more)) if sum(more) else None


def cells_of(edges: Sequence[float], counts: Sequence[int]) -> dict[int, int]:
    """The cells of a coarser histogram: each of its buckets, (edges + 1,), in the cell of its upper edge."""
    placed = [*(bisect_left(EDGES, edge) for edge in edges), len(EDGES)]
    return {cell: count for cell, count in zip(placed, counts, strict=True) if count}


def add_calls(path: Path, calls: Sequence[Calls]) -> None:
    """Append to the file of one server process, `calls-NAME.jsonl` in the log's folder."""
    if calls:
        with path.open("ab") as file:
            file.write(b"".join(msgspec.json.encode(each) + b"\n" for each in calls))


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
