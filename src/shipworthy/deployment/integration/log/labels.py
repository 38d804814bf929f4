"""What came true, as the log keeps it: once however often it is told, and with every correction as history.

A label is of one prediction, by its id, or of the last answer for an entity up to a time. Which answer that is, is
decided whenever the log is read (see `entities`), so labels may come before their prediction, late and in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from shipworthy.core.clock import now_us
from shipworthy.core.table import word
from shipworthy.deployment.integration.log.tail import Tail
from shipworthy.deployment.integration.log.writer import Mode, Writer

LABELS = "labels"
REMEMBERED = 1_000_000
Entity = tuple[tuple[str, str], ...]
Key = tuple[str, Entity, int, int, str]


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What came true of one answer. observed_at: when it became known, not when it was sent.

    prediction_id: empty where entity says whose answer it is, as (column, word) in the order of the columns: the last
    one from since up to until, both included, in microseconds since 1970 UTC.
    """

    prediction_id: str
    label: str | float | bool
    observed_at: datetime
    source: str = ""
    weight: float = 1.0
    entity: Entity = ()
    since: int = 0
    until: int = 0

    @property
    def key(self) -> Key:
        """What another label must have in common to be a repeat or a correction of this one."""
        return self.prediction_id, self.entity, self.since, self.until, self.source


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """One block of labels. at: microseconds since 1970 UTC when they arrived."""

    at: int
    labels: list[Label]


class Counted(NamedTuple):
    """new: told for the first time. corrected: differ from what their source said before. known: repeats, not kept."""

    new: int
    corrected: int
    known: int


class LabelLog:
    """The labels of a log, open for writing; several processes may share the folder. Not for several threads.

    A repeat is known by what all of them have written and nobody has drained yet; one that is kept twice all the same
    counts once when it is read. known: labels that were drained, for a writer that can read them.
    """

    def __init__(self, folder: Path, *, mode: Mode = "kept", known: Iterable[Label] = ()) -> None:
        self._writer = Writer(Path(folder), LABELS, b"", mode=mode)
        self._tail = Tail(folder, LABELS)
        self._said: dict[Key, frozenset[int]] = {}
        self.durable, self.close = self._writer.durable, self._writer.close
        self._pack = msgspec.msgpack.Encoder().encode
        self._unpack = msgspec.msgpack.Decoder(Kept).decode
        self._remember(known)
        self._heard()

    def keep(self, labels: Sequence[Label]) -> Counted:
        """Keep what is not known yet, all of it or nothing. Raises StoreError when the disk refuses."""
        self._heard()
        fresh: list[Label] = []
        said: dict[Key, frozenset[int]] = {}
        corrected = 0
        for label in labels:
            before = said.get(label.key) or self._said.get(label.key, frozenset())
            told = _statement(label)
            if told not in before:
                corrected += bool(before)
                said[label.key] = before | {told}
                fresh.append(label)
        if fresh:
            self._writer.append(self._pack(Kept(now_us(), fresh)))
            self._remember(fresh)
        return Counted(len(fresh) - corrected, corrected, len(labels) - len(fresh))

    def _heard(self) -> None:
        """What this and other processes have written since the last time."""
        for _, blocks in self._tail.new():
            for _, block in blocks:
                self._remember(self._unpack(block).labels)

    def _remember(self, labels: Iterable[Label]) -> None:
        """Bounded: beyond a million a repeat is kept again, and reading drops it."""
        for label in labels:
            self._said[label.key] = self._said.get(label.key, frozenset()) | {_statement(label)}
        while len(self._said) > REMEMBERED:
            del self._said[next(iter(self._said))]


def _statement(label: Label) -> int:
    """What a label says of its answer, as a number of this process; 1 and "1" say the same."""
    return hash((word(label.label), label.observed_at, label.weight))
