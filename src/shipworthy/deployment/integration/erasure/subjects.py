"""Whom to erase, and whom not to let in again: known afterwards only by salted hashes."""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from shipworthy.core.project import Project
from shipworthy.core.table import Table
from shipworthy.errors import Misuse, StoreError
from shipworthy.store.files import read_bytes, write_private

FILE = "erased.json"
SHORTEST = 4
PLAIN = re.compile(r"\d{1,6}")


class Erased(msgspec.Struct, frozen=True):
    """Who was erased, as a project may remember it. salt: hex. hashes: of each id, in hex."""

    salt: str
    hashes: tuple[str, ...] = ()

    def known(self, word: str) -> str:
        """The keyed hash of an id. Whoever holds the salt can try out names, so the file is private."""
        return hmac.digest(bytes.fromhex(self.salt), word.encode(), "sha256")[:16].hex()


def wanted(ids: Iterable[str], file: Path | None = None) -> tuple[str, ...]:
    """The ids given and those of a file, one a line, each once and in order. Raises Misuse where there is none."""
    try:
        told = [*ids, *(read_bytes(file).decode("utf-8-sig").splitlines() if file else ())]
    except UnicodeDecodeError as error:
        raise Misuse("the file is not text in UTF-8", where=str(file), hint="write one id a line") from error
    found = tuple(dict.fromkeys(word.strip() for word in told if word.strip()))
    if not found:
        raise Misuse("nobody is named", where="shipworthy erase", hint="give ids, or --from FILE with one a line")
    return found


def columns_of(project: Project, more: Collection[str] = ()) -> tuple[str, ...]:
    """The columns in which an id of a person may stand. Raises Misuse where the project names none."""
    found = tuple(dict.fromkeys([*project.data.identifiers, *([project.data.group] if project.data.group else []),
                                 *more]))
    if not found:
        raise Misuse("no column says whom a row is about", where="[data] identifiers",
                     hint='name it: identifiers = ["customer_id"], or --column NAME')
    return found


def remembered(home: Path) -> Erased:
    """Who was erased from a project. home: its `.shipworthy`."""
    path = home / FILE
    if not path.exists():
        return Erased(os.urandom(32).hex())
    try:
        return msgspec.json.decode(read_bytes(path), type=Erased)
    except msgspec.MsgspecError as error:
        raise StoreError(f"who was erased cannot be read: {error}", where=str(path),
                         hint="restore the file from a backup; without it the people would come back") from error


def remember(home: Path, ids: Iterable[str]) -> Erased:
    """Keep these out from now on: only their salted hashes are written."""
    before = remembered(home)
    after = msgspec.structs.replace(before, hashes=tuple(sorted({*before.hashes, *map(before.known, ids)})))
    if after != before:
        write_private(home / FILE, msgspec.json.encode(after))
    return after


def admitted(home: Path, project: Project, tables: Mapping[str, Table]) -> dict[str, Table]:
    """The tables without rows of people who were erased, and without those that have expired by [data] retention_days.

    Whatever their sources still hold, nothing is learnt from them.
    """
    if (home / FILE).exists():
        gone = remembered(home)
        tables = {name: _without(table, gone, project) for name, table in tables.items()}
    return {name: _young(table, project) for name, table in tables.items()}


def _without(table: Table, gone: Erased, project: Project) -> Table:
    names = [name for name in (*project.data.identifiers, project.data.group) if name in table.schema]
    stay = np.ones(table.rows, np.bool_)
    hashes = set(gone.hashes)
    for name in names:
        words = table.words(name)
        bad = [word for word in dict.fromkeys(words.tolist()) if word is not None and gone.known(str(word)) in hashes]
        stay &= ~np.isin(words.astype(str), bad) if bad else True
    return table if stay.all() else table.take(stay)


def _young(table: Table, project: Project) -> Table:
    days, time = project.data.retention_days, project.data.time
    if not days or time not in table.schema or not pa.types.is_timestamp(table.column(time).type):
        return table
    edge = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    old = table.numbers(time) < edge
    return table.take(~old) if old.any() else table
