"""What counting costs: microseconds a value, bytes a column, memory that does not grow, processes that add up."""

from __future__ import annotations

import json
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, reduce
from multiprocessing import get_context
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.frame import ROOT, Bar, Broken, peer, python, run
from benchmarks.peers.watch_world import counted_rows
from benchmarks.watch._pairs import HERE, PEERS, QUIET
from benchmarks.watch._quiet import reference
from shipworthy.core.clock import HOUR
from shipworthy.core.grid import FIXED, cells_of
from shipworthy.core.table import Table
from shipworthy.core.tallies import Tallies, add
from shipworthy.deployment.monitoring.counting import Counting, counting, tally
from shipworthy.deployment.monitoring.forest import depth, grow

COLUMNS, CHUNK, ROWS, PART, PROCESSES, PEER_ROWS = 40, 100_000, 10_000_000, 10_000, 8, 100_000
SECOND = 1_000_000
FASTER = tuple(name for name in PEERS if name != "alibi-detect")

BARS = (
    Bar("counting, CPU µs a value, 40 columns with scores and the sample", None, 0.15, "lower"),
    Bar("MB that ten million rows need more than a million", None, 100.0, "lower"),
    Bar("eight processes merged equal one, bit for bit: 1 is yes", None, 1.0, "higher"),
    Bar("bytes a column and bucket, before compression", None, 700.0, "lower"),
    *(Bar(f"CPU time of {name} at its defaults, in multiples of ours", None, 1.0, "higher") for name in FASTER),
)


def measured() -> list[tuple[float | None, str]]:
    """A (value, note) for every bar, in order."""
    (cost, peak, cells), (_, small, _) = (_apart(rows) for rows in (ROWS, ROWS // 10))
    return [(cost, f"{ROWS:,} rows of 30 numbers and 10 words in chunks of {CHUNK:,}, one process"),
            (peak - small, f"peak {peak:.0f} MB after {ROWS:,} rows, {small:.0f} MB after {ROWS // 10:,}"),
            _merged(), (8 * cells / COLUMNS, f"{cells:.0f} integers for {COLUMNS} columns"),
            *(_peer(name, cost) for name in FASTER)]


@cache
def how() -> Counting:
    """Counting over a reference of 20,000 rows, with all that a release has: the isolation forest too."""
    strange = np.sort(np.random.default_rng(0).integers(0, 40 * FIXED, 20_000))
    edges, sample = (Table.of(counted_rows(side, 20_000)) for side in (0, 1))
    found = reference(edges, sample, strange=strange)
    forest = grow(found.plan, found.planned, cells_of(edges, found.plan))
    isolated = np.sort(depth(forest, found.plan, found.planned, cells_of(sample, found.plan)))
    return counting(replace(found, forest=forest, isolated=isolated), width=HOUR)


def chunk(first: int, rows: int) -> Table:
    """A part of the traffic: the columns, ids, scores, decisions, a row every hundredth of a second."""
    at = np.arange(first, first + rows)
    made: dict[str, Any] = dict(counted_rows(2 + first % 7, rows))
    made |= {"prediction_id": np.char.add("p", at.astype(str)), "score": (at * 7_919 % 1_009) / 1_009,
             "decision": np.array(["no", "yes"])[at % 2],
             "at": pa.array(1_720_000_000 * SECOND + at * (SECOND // 100), pa.timestamp("us", "UTC"))}
    return Table.of(made)


def counted(rows: int) -> tuple[float, float, float]:
    """CPU µs a value, peak MB, and integers of all columns, of so many rows in chunks."""
    counts, found, seconds = how(), tally(how(), chunk(0, 100)), 0.0
    for first in range(0, rows, CHUNK):
        part = chunk(first, min(CHUNK, rows - first))
        began = time.process_time()
        found = add(found, tally(counts, part))
        seconds += time.process_time() - began
    cells = sum(width for name, width in found.rows.layout if name.startswith("column"))
    return seconds / rows / COLUMNS * 1e6, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, float(cells)


def _apart(rows: int) -> tuple[float, float, float]:
    """The same in a process of its own, whose peak is that of nothing else."""
    code = f"import json; from benchmarks.watch.speed import counted; print(json.dumps(counted({rows})))"
    cost, peak, cells = json.loads(run(python("-c", code), folder=ROOT).fine().out.splitlines()[-1])
    return cost, peak, cells


def part(number: int) -> Tallies:
    """What one of eight processes counts: every eighth row."""
    whole = chunk(0, PART * PROCESSES)
    return tally(how(), whole.take(np.arange(number, whole.rows, PROCESSES)))


def _merged() -> tuple[float, str]:
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(part, range(PROCESSES)))
    whole = tally(how(), chunk(0, PART * PROCESSES))
    same = all(_equal(reduce(add, order), whole) for order in (parts, parts[::-1]))
    return float(same), (f"{PROCESSES} processes, every {PROCESSES}th of {PART * PROCESSES:,} rows each, added up "
                         "in two orders: counts, Fourier sums and sample")


def _equal(left: Tallies, right: Tallies) -> bool:
    return bool(np.array_equal(left.rows.cells, right.rows.cells) and np.array_equal(left.rows.at, right.rows.at)
                and np.array_equal(left.sample.ids, right.sample.ids)
                and np.array_equal(left.sample.cells, right.sample.cells))


def _peer(name: str, ours: float) -> tuple[float | None, str]:
    environment, script = PEERS[name]
    interpreter = peer(environment)
    try:
        ran = interpreter and run([str(interpreter), str(HERE / script), "speed", str(PEER_ROWS)], environment=QUIET,
                                  at_most_seconds=300.0).fine()
    except Broken as error:
        return None, f"not measured: {error}"
    if not ran:
        return None, f"not measured: SHIPWORTHY_PEERS holds no environment {environment}"
    told = json.loads(ran.out.splitlines()[-1])
    return told["cpu"] / ours, (f"{told['cpu']:.2f} µs a value, {told['bytes'] or 'no'} bytes a column to merge, peak "
                                f"{told['peak']:.0f} MB, {PEER_ROWS:,} rows")
