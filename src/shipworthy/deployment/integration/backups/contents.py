"""What a backup holds, in an order in which nothing that was acknowledged can be missed while servers go on.

Files of the log come before the tables into which they are drained: a row that moves meanwhile is in both, and is read
once; one that moved before is in the tables. A table's log comes before its data, which no commit names before it is
there. What changes in place is copied under the lock of whoever changes it.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from shipworthy.deployment.integration.access.budgets import FOLDER as BUDGETS
from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.releases.sign import TRUSTED
from shipworthy.errors import StoreError
from shipworthy.store.files import lock
from shipworthy.store.workspace import Workspace

HOME = ".shipworthy"
WAIT_SECONDS = 600.0
INDEX = "index.db"
HISTORY = ("ledger.jsonl", "ledger.seal.json", "serving.json")
APART = {"locks", "tables", "records", "counts", BUDGETS, INDEX, *HISTORY}
"""What is no part of a backup (locks, budgets of the minute, counts that are made again from the log), or has a
place of its own in it."""

Piece = tuple[str, Path | bytes]


def contents(place: Workspace, *, keys: bool) -> Iterator[Piece]:
    """Every file of a backup: its name, and its bytes or where they are. keys: the private ones too.

    A file stays as it is until the next is asked for. Raises StoreError.
    """
    home = place.store.home
    with lock(home / "locks" / "collect.lock", WAIT_SECONDS):  # so that no release is cleared away meanwhile
        yield from _segments(place.log)
        yield from _tables(home)
        yield from _history(home)
        yield from _records(home)
        yield from _rest(home, keys=keys)
        yield from _project(place)


def private(name: str) -> bool:
    """Whether a file of a backup is a private key."""
    public = name.endswith(".pub") or name.startswith(f"{HOME}/keys/{TRUSTED}/")
    return name.startswith(f"{HOME}/keys/") and not public


def _segments(log: Path) -> Iterator[Piece]:
    """Whole blocks only: what a server is writing just now was not acknowledged yet. A damaged file goes as it is."""
    for path in sorted(log.glob("*.log")):
        try:
            raw = path.read_bytes()
        except FileNotFoundError:  # drained since it was listed: its rows are in the tables, which come next
            continue
        left, half = segments.rest(raw)
        kept = raw if left and not half else raw[: segments.whole(raw)]
        if kept:
            yield f"{HOME}/log/{path.name}", kept


def _tables(home: Path) -> Iterator[Piece]:
    for folder in _folders(home / "tables"):
        with lock(home / "locks" / f"table-{folder.name}.lock", WAIT_SECONDS, shared=True):  # nobody vacuums
            commits = sorted((folder / "_delta_log").glob("*"))
            data = [path for path in sorted(folder.rglob("*")) if path.parent.name != "_delta_log"]
            yield from _named(home.parent, [*commits, *data])


def _history(home: Path) -> Iterator[Piece]:
    with lock(home / "locks" / "ledger.lock", WAIT_SECONDS):
        yield from [(f"{HOME}/{name}", (home / name).read_bytes()) for name in HISTORY if (home / name).exists()]


def _records(home: Path) -> Iterator[Piece]:
    """The records and the index of them, at one moment."""
    with tempfile.TemporaryDirectory(prefix="shipworthy-") as place, \
            lock(home / "locks" / "records.lock", WAIT_SECONDS):
        if (home / INDEX).exists():
            yield f"{HOME}/{INDEX}", _copied(home / INDEX, Path(place) / INDEX)
        yield from _named(home.parent, sorted((home / "records").rglob("*")))


def _copied(index: Path, copy: Path) -> Path:
    """The copy of an index, whatever was under way in it. Raises StoreError."""
    try:
        with closing(sqlite3.connect(index)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        raise StoreError(f"the index cannot be copied: {error}", where=str(index),
                         hint="free some space for temporary files, or mend the index: shipworthy doctor") from error
    return copy


def _rest(home: Path, *, keys: bool) -> Iterator[Piece]:
    log = home / "log"
    found = [path for path in sorted(home.rglob("*")) if path.relative_to(home).parts[0] not in APART
             and not path.name.startswith(INDEX)]
    known = [path for path in found if path.parent != log or path.suffix != ".log"]
    yield from (piece for piece in _named(home.parent, known) if keys or not private(piece[0]))


def _project(place: Workspace) -> Iterator[Piece]:
    """The project file, its plugins, what was attested, and every release that is whole."""
    plugins = [Path(plugin) for plugin in place.plugins()]
    own = [place.folder / "shipworthy.toml", *(path for path in plugins if path.is_relative_to(place.folder))]
    yield from _named(place.folder, own)
    for folder in (place.attestations, *_folders(place.releases)):
        yield from _named(place.folder, sorted(folder.rglob("*")))


def _named(root: Path, paths: list[Path]) -> Iterator[Piece]:
    """Regular files by their names from the root, without what writers have not finished."""
    for path in paths:
        name = path.relative_to(root)
        if path.is_file() and not path.is_symlink() and not any(part.endswith(".part") for part in name.parts):
            yield name.as_posix(), path


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("[!.]*") if path.is_dir()) if folder.exists() else []
