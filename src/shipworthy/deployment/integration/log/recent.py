"""Whether a server can see the answer that a label means: by the files of its log, without reading any table."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from shipworthy.core.table import Ints, word
from shipworthy.deployment.integration.log.answers import Heading, answers
from shipworthy.deployment.integration.log.labels import Label
from shipworthy.deployment.integration.log.log import PREDICTIONS
from shipworthy.deployment.integration.log.tail import Placed, Tail, header

ROWS = 1_000_000
NOBODY = 0


class Recent:
    """The newest answers by whose they are: a number for each part of an entity, 8 bytes, and the time.

    Nothing is read before the first question. entity: the columns of one. rows: remembered at most.
    """

    def __init__(self, folder: Path, entity: Sequence[str], *, rows: int = ROWS) -> None:
        self.entity, self.rows = tuple(entity), rows
        self._tail = Tail(folder, PREDICTIONS)
        self._headings: dict[str, Heading] = {}
        self._known = np.zeros((0, 1 + len(self.entity)), np.int64)
        self._one = threading.Lock()

    def waiting(self, labels: Sequence[Label]) -> int:
        """How many labels given by entity and time mean no answer that is known here, or more than one.

        They wait: every reading of the log looks again, in all of it. May be called by several threads.
        """
        named: dict[tuple[str, ...], list[Label]] = {}
        for label in labels:
            if label.entity:
                named.setdefault(tuple(name for name, _ in label.entity), []).append(label)
        if not named:
            return 0
        with self._one:
            self._heard()
            known = self._known
        return sum(_waiting([1 + self.entity.index(name) for name in names], asked, known)
                   for names, asked in named.items())

    def _heard(self) -> None:
        found = [self._known]
        for path, blocks in self._tail.new():
            if path.name not in self._headings:
                first = header(path)
                if first is None:
                    continue
                self._headings[path.name] = msgspec.msgpack.decode(first, type=Heading)
            found.append(self._read(blocks, self._headings[path.name]))
        self._headings = {name: one for name, one in self._headings.items() if name in self._tail.places}
        if len(found) > 1:
            self._known = np.concatenate(found)[-self.rows :]

    def _read(self, blocks: Placed, heading: Heading) -> Ints:
        places = {field.name: place for place, field in enumerate(heading.fields)}
        rows = answers(block for _, block in blocks)
        columns = [np.array(rows.at, np.int64)]
        for name in self.entity:
            place = places.get(name)
            values = [NOBODY] * len(rows.at) if place is None else [_number(word(row[place])) for row in rows.values]
            columns.append(np.array(values, np.int64))
        return np.stack(columns, axis=1)


def _waiting(columns: list[int], asked: Sequence[Label], known: Ints) -> int:
    parts = known[:, columns]
    known = known[(parts != NOBODY).all(axis=1)]
    whose, at = _mixed(known[:, columns]), known[:, 0]
    order = np.lexsort((at, whose))
    whose, at = whose[order], at[order]
    wanted = _mixed(np.array([[_number(value) for _, value in label.entity] for label in asked], np.int64))
    start, end = np.searchsorted(whose, wanted, "left"), np.searchsorted(whose, wanted, "right")
    count = 0
    for label, low, high in zip(asked, start.tolist(), end.tolist(), strict=True):
        last = low + int(np.searchsorted(at[low:high], label.until, "right")) - 1
        count += last < low or at[last] < label.since or (last > low and at[last - 1] == at[last])
    return count


def _number(text: str | None) -> int:
    return NOBODY if not text else hash(text) or 1


def _mixed(parts: Ints) -> Ints:
    """One number for every row of several, (n, k) → (n,); int64 wraps around."""
    found = np.zeros(len(parts), np.int64)
    for place in range(parts.shape[1]):
        found = found * np.int64(1_000_003) + parts[:, place]
    return found
