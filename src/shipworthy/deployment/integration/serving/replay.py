"""Replaying a table to a server as real requests, and its labels when they would have come true."""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from shipworthy.core.table import Floats, Ints, Table
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.errors import BadData, Misuse, StoreError

LABELS_AT_ONCE = 5_000
ROUNDS = 50


@dataclass(frozen=True)
class ReplayResult:
    """What a replay did. ids: prediction id per row of the table, empty where it was refused.

    seconds: wall clock of the requests, without the labels. latency: (requests,) seconds. refusals: the first few, in
    the server's words.
    """

    rows: int
    requests: int
    seconds: float
    latency: Floats
    ids: tuple[str, ...]
    labels: int = 0
    refusals: tuple[str, ...] = ()

    @property
    def refused(self) -> int:
        """Rows without an answer."""
        return sum(not place for place in self.ids)

    def quantile(self, share: float) -> float:
        """Seconds within which this share of requests was answered; NaN if there was none."""
        return float(np.quantile(self.latency, share)) if len(self.latency) else float("nan")

    def __str__(self) -> str:
        rate = self.rows / self.seconds if self.seconds else float("nan")
        return (f"{self.rows:,} rows in {self.requests:,} requests and {self.seconds:.2f} s ({rate:,.0f} rows/s), "
                f"p50 {self.quantile(0.5) * 1e3:.2f} ms, p99 {self.quantile(0.99) * 1e3:.2f} ms, "
                f"{self.refused:,} refused, {self.labels:,} labels")


def replay(
    table: Table, address: str, *, label: str = "", delay: timedelta = timedelta(0), batch: int = 1,
    connections: int = 2, time: str = "",
) -> ReplayResult:
    """What came of sending every row, in order, to the server at an address of this machine, as fast as it answers.

    batch: rows per request; 1 sends single records. label: the column of what came true, sent `delay` after its row:
    with `time`, a timestamp column, once rows of that moment have been sent; else after all rows. Columns that the
    server does not know are left out. Rows without a label send none. connections: requests under way at once.
    Raises BadData for a column that the server needs and the table lacks, StoreError when the server goes away.
    """
    if batch < 1 or connections < 1:
        raise Misuse("batch and connections are at least 1", where=f"batch = {batch}, connections = {connections}",
                     hint="give 1 or more")
    records = _records(table, address)
    due = _due(table, label, time, delay)
    ids: list[str] = [""] * table.rows
    latencies: list[float] = []
    refusals: list[str] = []
    seconds, sent = 0.0, 0
    for chunk, ready in _rounds(table.rows, batch, due):
        started = clock.perf_counter()
        _ask_all(records, (chunk, batch), address, connections, (ids, latencies, refusals))
        seconds += clock.perf_counter() - started
        sent += _tell(_lines(ready, ids, table, label, due), address) if label else 0
    return ReplayResult(table.rows, len(latencies), seconds, np.array(latencies), tuple(ids), sent, tuple(refusals[:5]))


def _records(table: Table, address: str) -> list[bytes]:
    """Every row as the JSON of a record with the fields that the server reads."""
    with Connection(address) as connection:
        name = connection.json("/ready")["model"]
        inputs = connection.json(f"/v2/models/{name}")["inputs"]
    for entry in inputs:
        if entry["parameters"]["required"]:
            table.column(entry["name"])
    known = [entry["name"] for entry in inputs if entry["name"] in table.schema]
    encode = msgspec.json.Encoder().encode
    return [encode({key: _plain(value) for key, value in row.items()}) for row in table.select(known).records()]


def _plain(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return None if isinstance(value, float) and value != value else value


def _due(table: Table, label: str, time: str, delay: timedelta) -> tuple[Floats, Floats] | None:
    """When every row happened and when its label is known, in seconds since 1970; None without a time column."""
    if not label:
        return None
    table.column(label)
    if not time:
        return None
    happened = table.numbers(time)
    if not np.isfinite(happened).all() or (np.diff(happened) < 0).any():
        raise BadData(f'column "{time}" does not put the rows in order', where=table.origin or table.name,
                      hint="sort the table by it, without nulls")
    return happened, happened + delay.total_seconds()


def _rounds(rows: int, batch: int, due: tuple[Floats, Floats] | None) -> Iterator[tuple[range, Ints]]:
    """Stretches of rows, each with the rows whose labels are known at its end; everything by the last."""
    size = max(batch, -(-rows // (ROUNDS if due else 1)))
    size = -(-size // batch) * batch
    told = 0
    for start in range(0, rows, size):
        end = min(start + size, rows)
        until = end if end == rows else 0
        if due and end < rows:
            until = min(end, int(np.searchsorted(due[1], due[0][end - 1], side="right")))
        yield range(start, end), np.arange(told, max(told, until))
        told = max(told, until)


def _ask_all(
    records: Sequence[bytes], plan: tuple[range, int], address: str, connections: int,
    kept: tuple[list[str], list[float], list[str]],
) -> None:
    chunk, batch = plan
    starts = iter(range(chunk.start, chunk.stop, batch))
    lock, failures = threading.Lock(), list[BaseException]()

    def work() -> None:
        try:
            with Connection(address) as connection:
                while True:
                    with lock:
                        start = next(starts, None)
                    if start is None or failures:
                        return
                    _ask(connection, records, range(start, min(start + batch, chunk.stop)), batch == 1, kept)
        except (OSError, ValueError, BadData, Misuse, StoreError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _ask(
    connection: Connection, records: Sequence[bytes], rows: range, single: bool,
    kept: tuple[list[str], list[float], list[str]],
) -> None:
    ids, latencies, refusals = kept
    body = records[rows.start] if single else b"[" + b",".join(records[rows.start : rows.stop]) + b"]"
    started = clock.perf_counter()
    status, raw = connection.post("/v1/predict", body)
    latencies.append(clock.perf_counter() - started)
    answer = msgspec.json.decode(raw, type=_Id | list[_Id]) if status == 200 else None
    if answer is None:
        refusals.append(raw.decode(errors="replace")[:300])
        return
    for row, found in zip(rows, answer if isinstance(answer, list) else [answer], strict=True):
        ids[row] = found.prediction_id


class _Id(msgspec.Struct):
    prediction_id: str


def _lines(
    rows: Ints, ids: Sequence[str], table: Table, label: str, due: tuple[Floats, Floats] | None
) -> list[dict[str, Any]]:
    """The labels of these rows that were answered and have one."""
    values, words = table.column(label).to_pylist(), table.words(label)
    now, lines = datetime.now(UTC), []
    for row in rows.tolist():
        value = values[row] if isinstance(values[row], float) else words[row]
        if ids[row] and value is not None and value == value:
            seen = datetime.fromtimestamp(float(due[1][row]), UTC) if due else now
            lines.append({"prediction_id": ids[row], "label": value, "observed_at": seen, "source": "replay"})
    return lines


def _tell(lines: list[dict[str, Any]], address: str) -> int:
    """Send labels; how many there were. Raises BadData when the server refuses one."""
    with Connection(address) as connection:
        for start in range(0, len(lines), LABELS_AT_ONCE):
            status, raw = connection.post("/v1/labels", msgspec.json.encode(lines[start : start + LABELS_AT_ONCE]))
            if status != 200:
                raise BadData("the server refused the labels", where=address, hint=raw.decode(errors="replace")[:300])
    return len(lines)
