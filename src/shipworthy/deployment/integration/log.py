"""The log of what was served and of what came true, and the tables made from it.

A prediction is in the log before its answer leaves, so an acknowledged answer is never lost to a killed process.
Prediction ids are UUIDv7 (RFC 9562): sorted by time, so that late labels join without a scan.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.schema import Column, Schema
from shipworthy.core.table import Table
from shipworthy.deployment.integration import segments
from shipworthy.deployment.integration.record import Field, word

PREDICTIONS, LABELS = "predictions", "labels"
UTC_US = pa.timestamp("us", "UTC")
REMEMBERED = 1_000_000
ARROW = {"number": pa.float64(), "boolean": pa.bool_(), "timestamp": UTC_US, "category": pa.string(),
         "text": pa.string()}


class Heading(msgspec.Struct, frozen=True):
    """The first block of a file of predictions: what every block in it shares."""

    release: str
    classes: tuple[str, ...]
    fields: tuple[Field, ...]


class Served(msgspec.Struct, frozen=True, array_like=True):
    """One block: the predictions of one request, by column. at: microseconds since 1970 UTC."""

    ids: list[str]
    at: int
    arm: str
    propensity: float
    score: list[float]
    decision: list[Any]
    abstain: list[bool]
    columns: list[list[Any]]


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came true of one prediction. observed_at: when it became known, not when it was sent."""

    prediction_id: str
    label: str | float | bool
    observed_at: datetime
    source: str = ""
    weight: float = 1.0


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """One block of labels. at: microseconds since 1970 UTC when they arrived."""

    at: int
    labels: list[Label]


class Log:
    """The open log of one server process. cut: bytes of half-written blocks that an earlier process left."""

    def __init__(self, folder: Path, heading: Heading, *, mode: segments.Mode = "kept") -> None:
        self.folder = Path(folder)
        self.cut = segments.recover(self.folder, PREDICTIONS) + segments.recover(self.folder, LABELS)
        self._known = {(e.prediction_id, e.source): e for _, e in _labels(self.folder)}
        self._predictions = segments.Writer(self.folder, PREDICTIONS, msgspec.msgpack.encode(heading), mode=mode)
        self._labels = segments.Writer(self.folder, LABELS, b"", mode=mode)
        self._pack = msgspec.msgpack.Encoder().encode

    def served(self, block: Served) -> None:
        """Keep one request's predictions. Raises StoreError when the disk refuses: then do not answer."""
        self._predictions.append(self._pack(block))

    def labelled(self, labels: Sequence[Label]) -> tuple[int, int, int]:
        """How many labels were new, how many correct an earlier one, how many were known already (not kept twice)."""
        fresh, corrected = [], 0
        for label in labels:
            before = self._known.get((label.prediction_id, label.source))
            if before == label:
                continue
            corrected += before is not None
            fresh.append(label)
        if fresh:
            self._labels.append(self._pack(Kept(now_us(), fresh)))
            self._remember(fresh)
        return len(fresh) - corrected, corrected, len(labels) - len(fresh)

    def close(self) -> None:
        self._predictions.close()
        self._labels.close()

    def _remember(self, labels: Iterable[Label]) -> None:
        """Bounded: beyond a million a repeat is kept again, and reading drops it."""
        for label in labels:
            self._known[label.prediction_id, label.source] = label
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]


def new_ids(count: int, at: int) -> list[str]:
    """Prediction ids of one request. at: microseconds since 1970 UTC; its fraction of a millisecond is kept too."""
    milliseconds, rest = divmod(at, 1_000)
    start = (milliseconds << 16 | 0x7000 | rest * 4096 // 1000) << 64
    raw = os.urandom(8 * count)
    found = []
    for place in range(count):
        low = int.from_bytes(raw[8 * place : 8 * place + 8], "big") & 0x3FFFFFFFFFFFFFFF | 0x8000000000000000
        text = f"{start | low:032x}"
        found.append(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")
    return found


def now_us() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1_000


def read_log(folder: Path, *, time: str = "") -> tuple[Table, Table]:
    """Every prediction, and the label that counts of every prediction that has one; safe while servers write.

    time: a logged timestamp column that says when a row happened, used for `at` where it is known: for replays of
    history, whose rows are older than their answers.
    """
    return drain(folder, time=time), labels(folder)


def drain(folder: Path, *, time: str = "") -> Table:
    """What was served: prediction_id, at, release, arm, propensity, score, decision, abstain, and the fields asked.

    Sorted by prediction id, each once; draining twice gives the same table. score: value, probability of the second
    class, or of the class decided on. A release without a field that another has gives null there.
    """
    pieces = [_table(heading, found) for heading, found in _predictions(Path(folder))]
    data = pa.concat_tables(pieces, promote_options="permissive") if pieces else _nothing()
    order = np.argsort(data["prediction_id"].to_numpy(), kind="stable") if len(data) else np.array([], np.int64)
    data = data.take(pa.array(order))
    ids = data["prediction_id"].to_numpy()
    data = data.filter(pa.array(np.append(True, ids[1:] != ids[:-1]))) if len(data) else data
    if time and time in data.column_names:
        at = data.column_names.index("at")
        data = data.set_column(at, "at", pc.coalesce(data[time], data["at"]))
    return Table(data, _schema(data, _fields(Path(folder))), "log", str(folder))


def labels(folder: Path) -> Table:
    """The label that counts of every labelled prediction: the last to arrive; prediction_id, label, observed_at,
    received_at, source, weight. Its label is text, or a number where all are.
    """
    arrived = sorted(_labels(Path(folder)), key=lambda kept: kept[0])
    last = {entry.prediction_id: (at, entry) for at, entry in arrived}
    return _label_table(list(last.values()), str(folder))


def label_history(folder: Path) -> Table:
    """Every label that ever arrived, in order, corrections and all."""
    return _label_table(sorted(_labels(Path(folder)), key=lambda kept: kept[0]), str(folder))


def _predictions(folder: Path) -> Iterator[tuple[Heading, list[Served]]]:
    decoder = msgspec.msgpack.Decoder(Served)
    for path in segments.segments(folder, PREDICTIONS):
        found = segments.blocks(path)
        first = next(found, None)
        if first is not None:
            served = [decoder.decode(block) for block in found]
            if served:
                yield msgspec.msgpack.decode(first, type=Heading), served


def _labels(folder: Path) -> Iterator[tuple[int, Label]]:
    decoder = msgspec.msgpack.Decoder(Kept)
    for path in segments.segments(folder, LABELS):
        found = segments.blocks(path)
        next(found, None)
        for block in found:
            kept = decoder.decode(block)
            yield from ((kept.at, label) for label in kept.labels)


def _table(heading: Heading, found: list[Served]) -> pa.Table:
    sizes = [len(block.ids) for block in found]
    each = np.repeat(np.arange(len(found)), sizes)
    decision = [value for block in found for value in block.decision]
    columns: dict[str, Any] = {
        "prediction_id": pa.array([value for block in found for value in block.ids], pa.string()),
        "at": pa.array(np.array([block.at for block in found])[each], pa.int64()).cast(UTC_US),
        "release": pa.array([heading.release] * len(each), pa.string()),
        "arm": pa.array([block.arm for block in found], pa.string()).take(pa.array(each)),
        "propensity": pa.array(np.array([block.propensity for block in found])[each]),
        "score": pa.array([value for block in found for value in block.score], pa.float64()),
        "decision": pa.array(decision, pa.string() if heading.classes else pa.float64()),
        "abstain": pa.array([value for block in found for value in block.abstain], pa.bool_()),
    }
    for place, field in enumerate(heading.fields):
        values = [value for block in found for value in block.columns[place]]
        if field.name not in columns:
            columns[field.name] = pa.array(_typed(field, values), ARROW[field.kind])
    return pa.table(columns)


def _typed(field: Field, values: list[Any]) -> list[Any]:
    if field.words:
        return [word(value) for value in values]
    if field.kind == "timestamp":
        return [datetime.fromisoformat(value) if isinstance(value, str) else value for value in values]
    return values


def _fields(folder: Path) -> Mapping[str, Field]:
    return {field.name: field for heading, _ in _predictions(folder) for field in heading.fields}


def _schema(data: pa.Table, fields: Mapping[str, Field]) -> Schema:
    decided = "category" if pa.types.is_string(data.schema.field("decision").type) else "number"
    roles: dict[str, Column] = {
        "prediction_id": Column("prediction_id", "text", "identifier"), "at": Column("at", "timestamp", "time"),
        "release": Column("release", "category", "ignored"), "arm": Column("arm", "category", "ignored"),
        "propensity": Column("propensity", "number", "ignored"), "score": Column("score", "number", "ignored"),
        "decision": Column("decision", decided, "ignored"),  # type: ignore[arg-type]
        "abstain": Column("abstain", "boolean", "ignored"),
    }
    asked = {name: Column(name, field.kind, "feature" if field.required else "ignored")  # type: ignore[arg-type]
             for name, field in fields.items()}
    return Schema(tuple(roles.get(name) or asked[name] for name in data.column_names))


def _nothing() -> pa.Table:
    return _table(Heading("", ("",), ()), [])


def _label_table(found: list[tuple[int, Label]], origin: str) -> Table:
    values = [entry.label for _, entry in found]
    numbers = bool(values) and all(isinstance(value, float) for value in values)
    data = pa.table({
        "prediction_id": pa.array([entry.prediction_id for _, entry in found], pa.string()),
        "label": pa.array(values if numbers else [word(value) for value in values],
                          pa.float64() if numbers else pa.string()),
        "observed_at": pa.array([entry.observed_at.astimezone(UTC) for _, entry in found], UTC_US),
        "received_at": pa.array([at for at, _ in found], pa.int64()).cast(UTC_US),
        "source": pa.array([entry.source for _, entry in found], pa.string()),
        "weight": pa.array([entry.weight for _, entry in found], pa.float64()),
    })
    return Table.of(data, name=LABELS, origin=origin)
