"""The log of what was served and of what came true: how it is written, and how it is read as tables.

A prediction is in the log before its answer leaves, so an acknowledged answer is never lost to a killed process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.table import Table
from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log import tables as log_tables
from shipworthy.deployment.integration.log.ids import now_us
from shipworthy.deployment.integration.log.writer import Mode, Writer
from shipworthy.deployment.integration.serving.record import Field

if TYPE_CHECKING:
    from shipworthy.store.tables import Tables  # a server writes no table and needs none of the store's libraries

Block = TypeVar("Block")
PREDICTIONS, SHADOWS, LABELS = "predictions", "shadows", "labels"
REMEMBERED = 1_000_000


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


class ServedRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One block: the prediction of a request of one row, written in a third of the time of a `Served` of one.

    Read as the `Served` that it stands for. values: of the fields, in their order.
    """

    id: str
    at: int
    arm: str
    propensity: float
    score: float
    decision: Any
    abstain: bool
    values: Sequence[Any]


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


class Arm:
    """What one release answers, or would have answered, in files of its own. Made by `Log`; not for several threads.

    A server keeps an answer and then waits before it sends it, which costs nothing but in mode "durable":

    >>> arm.served(ServedRow(...)); await arm.durable()  # doctest: +SKIP
    """

    def __init__(self, folder: Path, name: str, heading: Heading, mode: Mode) -> None:
        self._writer = Writer(folder, name, msgspec.msgpack.encode(heading), mode=mode)
        self._pack = msgspec.msgpack.Encoder().encode
        self.begin, self.durable, self.close = self._writer.begin, self._writer.durable, self._writer.close

    def served(self, block: Served | ServedRow) -> None:
        """Keep one request's predictions. Raises StoreError when the disk refuses: then do not answer."""
        self._writer.append(self._pack(block))


class Log:
    """The open log of one server process. cut: bytes of half-written blocks that an earlier process left.

    heading: of the release that answers, whose place is `champion`. Further releases write beside it: see `arm`.
    """

    def __init__(self, folder: Path, heading: Heading, *, mode: Mode = "kept") -> None:
        self.folder, self.mode = Path(folder), mode
        self.cut = sum(segments.recover(self.folder, name) for name in (PREDICTIONS, SHADOWS, LABELS))
        self._known = {(e.prediction_id, e.source): e for _, e in _labels(self.folder)}
        self.champion = self.arm(heading)
        self.champion.begin()
        self.served = self.champion.served
        self._labels = Writer(self.folder, LABELS, b"", mode=mode)
        self._pack = msgspec.msgpack.Encoder().encode

    def arm(self, heading: Heading, *, shadow: bool = False) -> Arm:
        """A place for the answers of another release; whoever asks for it closes it.

        shadow: answers that nobody was sent, under the prediction ids of those that were: `predictions` leaves them
        out, and `shadows` reads them.
        """
        return Arm(self.folder, SHADOWS if shadow else PREDICTIONS, heading, self.mode)

    async def durable(self) -> None:
        """Wait until the disk has all that `served` and `labelled` were given; at once unless the mode is "durable".

        Everybody who waits shares one wait of the disk. Raises StoreError when it failed: then do not answer.
        """
        await self.champion.durable()
        await self._labels.durable()

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
        self.champion.close()
        self._labels.close()

    def _remember(self, labels: Iterable[Label]) -> None:
        """Bounded: beyond a million a repeat is kept again, and reading drops it."""
        for label in labels:
            self._known[label.prediction_id, label.source] = label
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]


def read_log(folder: Path, tables: Tables | None, *, time: str = "") -> tuple[Table, Table]:
    """Every prediction, and the label that counts of every prediction that has one; safe while servers write.

    tables: of the store into which the log is drained, or None where it never is.
    time: a logged timestamp column that says when a row happened, used for `at` where it is known: for replays of
    history, whose rows are older than their answers; their labels then arrived when they were observed.
    """
    found = labels(folder, tables)
    if time and found.rows:
        found = found.with_column("received_at", found.column("observed_at"))
    return predictions(folder, tables, time=time), found


def predictions(folder: Path, tables: Tables | None = None, *, time: str = "") -> Table:
    """What was served: prediction_id, at, release, arm, propensity, score, decision, abstain, and the fields asked.

    Sorted by prediction id, each once. score: value, probability of the second class, or of the class decided on.
    A release without a field that another has gives null there. tables, time: as for `read_log`.
    """
    return _answers(Path(folder), PREDICTIONS, tables, time)


def shadows(folder: Path, tables: Tables | None = None, *, time: str = "") -> Table:
    """What a challenger would have served, under the prediction ids of what was: the columns of `predictions`."""
    return _answers(Path(folder), SHADOWS, tables, time)


def _answers(folder: Path, name: str, tables: Tables | None, time: str) -> Table:
    waiting = [(log_tables.Layout(heading.fields, bool(heading.classes)), log_tables.served_rows(heading, found))
               for heading, found in _served(folder, name)]  # before the table: what moves meanwhile is read twice
    pieces = [*waiting, *(log_tables.read_answers(folder, tables, name) if tables else ())]
    data = log_tables.in_order(pieces)
    if time and time in data.column_names:
        at = data.column_names.index("at")
        data = data.set_column(at, "at", pc.coalesce(data[time], data["at"]))
    return Table(data, log_tables.schema(data, [layout for layout, _ in pieces]), "log", str(folder))


def labels(folder: Path, tables: Tables | None = None) -> Table:
    """The label that counts of every labelled prediction: the last to arrive; prediction_id, label, observed_at,
    received_at, source, weight. Its label is text, or a number where all are.
    """
    return log_tables.label_table(log_tables.last_labels(_label_rows(folder, tables)), str(folder))


def label_history(folder: Path, tables: Tables | None = None) -> Table:
    """Every label that ever arrived, in order, corrections and all; what only repeats its source is left out."""
    return log_tables.label_table(_label_rows(folder, tables), str(folder))


def _label_rows(folder: Path, tables: Tables | None) -> pa.Table:
    waiting = log_tables.label_rows(list(_labels(Path(folder))))
    return log_tables.without_repeats([waiting, *(log_tables.read_labels(tables) if tables else ())])


def _served(folder: Path, name: str) -> Iterator[tuple[Heading, list[Served]]]:
    for path in segments.segments(folder, name):
        found = list(segments.blocks(path))
        if len(found) > 1:
            yield msgspec.msgpack.decode(found[0], type=Heading), decoded_answers(found[1:])


def _labels(folder: Path) -> Iterator[tuple[int, Label]]:
    for path in segments.segments(folder, LABELS):
        for kept in decoded(list(segments.blocks(path))[1:], Kept):
            yield from ((kept.at, label) for label in kept.labels)


def decoded(found: Sequence[bytes], kind: type[Block]) -> list[Block]:
    """Blocks of a kind; an empty one, as a power cut leaves behind, holds nothing."""
    decoder = msgspec.msgpack.Decoder(kind)
    return [decoder.decode(block) for block in found if block]


def decoded_answers(found: Sequence[bytes]) -> list[Served]:
    """Blocks of answers: of many rows, whose first entry is an array, or of one, whose first is its id."""
    many, one = msgspec.msgpack.Decoder(Served).decode, msgspec.msgpack.Decoder(ServedRow).decode
    return [many(block) if _is_array(block[1]) else _as_served(one(block)) for block in found if block]


def _is_array(code: int) -> bool:
    """Whether a value of this first byte is an array (MessagePack specification, formats)."""
    return 0x90 <= code <= 0x9F or code in (0xDC, 0xDD)


def _as_served(row: ServedRow) -> Served:
    return Served([row.id], row.at, row.arm, row.propensity, [row.score], [row.decision], [row.abstain],
                  [[value] for value in row.values])
