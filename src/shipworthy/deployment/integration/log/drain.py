"""Draining the log: sealed files become rows of the store's tables, once, and are then removed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from shipworthy.core.canon import canonical
from shipworthy.core.table import Mask, Table
from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log.answers import Heading, answers
from shipworthy.deployment.integration.log.labels import LABELS, Kept
from shipworthy.deployment.integration.log.log import PREDICTIONS, SHADOWS, decoded
from shipworthy.deployment.integration.log.read import read_log
from shipworthy.deployment.integration.log.tables import (
    ENTITY_TABLE,
    HELD,
    LABEL_TABLE,
    Layout,
    entity_rows,
    label_rows,
    served_rows,
)
from shipworthy.store.files import lock, write_bytes
from shipworthy.store.tables import Tables

WAIT_SECONDS = 600.0


class Drained(msgspec.Struct, frozen=True):
    """What a drain did. predictions, shadows, labels: rows moved.

    cut: bytes of half-written blocks, never acknowledged.
    damaged: files set aside with the ending `.damaged`: what could be read of them was moved, the rest is for people.
    """

    files: int = 0
    predictions: int = 0
    shadows: int = 0
    labels: int = 0
    cut: int = 0
    damaged: tuple[str, ...] = ()


def drain(folder: Path, tables: Tables) -> Drained:
    """Move every sealed file of a log into the store's tables; files that a server still writes are left.

    A row is known by its file and its block's place there, and a file's rows are written in one transaction of that
    name: a drain that is killed, or done twice, adds nothing twice. A file is removed once the disk has its rows.
    Raises StoreError.
    """
    found = Drained()
    with lock(tables.folder / "locks" / "drain.lock", WAIT_SECONDS):
        for name in (PREDICTIONS, SHADOWS, LABELS):
            for path in segments.segments(Path(folder), name):
                with segments.claimed(path) as sealed:
                    if sealed:
                        found = _moved(path, name, tables, found)
    return found


def drained_log(folder: Path, tables: Tables, *, release: str = "", since: int = 0) -> tuple[Table, Table]:
    """Every prediction, or those of one release, and the labels that count, after all that can be was drained.

    With those of a release come the rows that were held back from it. since: microseconds since 1970; what was answered
    before is not read. Raises StoreError.
    """
    drain(folder, tables)
    served, labels = read_log(folder, tables, since=since)
    return served.take(_of(served, release)) if release else served, labels


def _of(served: Table, release: str) -> Mask:
    own = served.words("release") == release
    at = served.numbers("at")
    beside = (served.words("arm") == HELD) & (at >= at[own].min(initial=np.inf))
    return np.asarray(own | beside, np.bool_)


def _moved(path: Path, name: str, tables: Tables, before: Drained) -> Drained:
    raw = path.read_bytes()
    placed = segments.placed(raw)
    left, half = segments.rest(raw)
    blocks = [(at, block) for at, block in placed[1:] if block]
    rows = 0
    if blocks:
        places = [at for at, _ in blocks]
        payloads = [block for _, block in blocks]
        rows = (_labels(path, payloads, (places, tables)) if name == LABELS else
                _answers(path, name, [placed[0][1], *payloads], (places, tables)))
    damaged = bool(left) and not half
    if damaged:
        path.rename(path.with_suffix(".damaged"))
    else:
        path.unlink()
    moved = {name: getattr(before, name) + rows}
    return msgspec.structs.replace(
        before, files=before.files + 1, cut=before.cut + (left if half else 0),
        damaged=(*before.damaged, path.with_suffix(".damaged").name) if damaged else before.damaged, **moved)


def _answers(path: Path, name: str, blocks: list[bytes], where: tuple[list[int], Tables]) -> int:
    places, tables = where
    heading = msgspec.msgpack.decode(blocks[0], type=Heading)
    layout = Layout.of(heading)
    told = path.parent / f"{layout.name}.json"
    if not told.exists():  # before the rows: without it they could not be read
        write_bytes(told, canonical(layout))
    served = answers(blocks[1:])
    data = served_rows(heading, served)
    names = layout.stored
    data = data.rename_columns([names.get(name, name) for name in data.column_names])
    _write(tables, layout.table(name), _with_place(data, path.stem, places, served.sizes), places)
    return len(data)


def _labels(path: Path, blocks: list[bytes], where: tuple[list[int], Tables]) -> int:
    places, tables = where
    kept = decoded(blocks, Kept)
    sizes = {LABEL_TABLE: [sum(not label.entity for label in one.labels) for one in kept],
             ENTITY_TABLE: [sum(bool(label.entity) for label in one.labels) for one in kept]}
    told = [(one.at, label) for one in kept for label in one.labels]
    data = {LABEL_TABLE: label_rows([one for one in told if not one[1].entity]),
            ENTITY_TABLE: entity_rows([one for one in told if one[1].entity])}
    for name, rows in data.items():
        _write(tables, name, _with_place(rows, path.stem, places, sizes[name]), places)
    return len(told)


def _with_place(data: pa.Table, segment: str, places: list[int], sizes: list[int]) -> pa.Table:
    data = data.append_column("segment", pa.array([segment] * len(data), pa.string()))
    return data.append_column("offset", pa.array(np.repeat(np.array(places, np.int64), sizes)))


def _write(tables: Tables, name: str, data: pa.Table, places: list[int]) -> None:
    segment = str(data["segment"][0]) if len(data) else ""
    if segment:
        tables.write(name, data, transaction=(segment, places[-1]))
