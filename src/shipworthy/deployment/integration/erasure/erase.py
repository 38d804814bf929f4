"""Erasing people from a project: every place it keeps, in an order in which a kill can only leave work to be repeated.

What cannot be done now is told and waits for the next call: a champion that learnt from them, a log that a server
holds.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.absence import search
from shipworthy.core.canon import digest
from shipworthy.core.ledger import pointers
from shipworthy.core.release import Manifest
from shipworthy.deployment.integration.backups.backup import back_up, restore
from shipworthy.deployment.integration.erasure.subjects import PLAIN, SHORTEST, columns_of, remember
from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log.counts import COUNTS, forget
from shipworthy.deployment.integration.log.drain import drain
from shipworthy.deployment.integration.log.labels import LABELS
from shipworthy.deployment.integration.log.log import PREDICTIONS, SHADOWS
from shipworthy.deployment.integration.log.tables import ENTITY_TABLE
from shipworthy.deployment.integration.releases.book import can_sign, held, ledger, put
from shipworthy.deployment.integration.releases.collect import collect_tables
from shipworthy.deployment.integration.releases.release import read_manifest
from shipworthy.deployment.integration.releases.shelf import placed, remove
from shipworthy.deployment.integration.releases.use import unused
from shipworthy.errors import BadRelease, Misuse, StoreError
from shipworthy.store.erasing import Gone, matches, read_words
from shipworthy.store.erasing import erase as erase_rows
from shipworthy.store.files import lock, told
from shipworthy.store.workspace import Workspace, open_workspace

OWN = ("prediction_id", "entity_id")
ROWS = ("learn.parquet", "tune.parquet", "holdout.parquet", "arrived.parquet")


class Erasure(msgspec.Struct, frozen=True):
    """What an erasure did. request: salted hash of who was asked for. rows: deleted, by table. caches: folders cleared.

    removed: releases taken away, for they learnt from the people or carried their rows. retrain: releases that answer
    and did so: they must be replaced. backups: written again. waiting: what must be done before nothing is left.
    left: files in which an id was still found.
    """

    request: str
    subjects: int
    rows: dict[str, int] = {}
    caches: int = 0
    removed: tuple[str, ...] = ()
    retrain: tuple[str, ...] = ()
    backups: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """Whether nothing is left of them here."""
        return not (self.retrain or self.waiting or self.left)


def erase(
    place: Workspace, ids: Collection[str], *, by: str, why: str, columns: Collection[str] = (),
    backups: Sequence[Path] = (), copy: bool = False,
) -> Erasure:
    """What was erased of people, and what still waits. Safe to repeat and to kill.

    ids: of people, or of predictions made for them. columns: where ids stand, beside identifiers and group. backups:
    files to be written again without them. copy: this is a backup taken apart: its champion goes too, and nothing is
    said of it. Raises Misuse, StoreError.
    """
    if not by.strip() or not why.strip():
        raise Misuse("this is done only with a name and a reason", where="erase", hint="say --by and --why")
    names = columns_of(place.project, columns)
    known = remember(place.store.home, ids)
    request = digest([known.known(word) for word in sorted(ids)])[:32]
    with lock(place.store.home / "locks" / "collect.lock"):
        drain(place.log, place.store.tables)
        collect_tables(place.store, place.releases)  # pins what other releases were made from
        affected = dict(_learnt_from(place, ids, names))
        standing = set() if copy else _pointed(place)
        going = {folder: name for folder, name in affected.items() if name not in standing}
        busy = [name for folder, name in going.items() if not _removed(place, folder, name, by=by, request=request)]
        rows = _tables(place, ids, names, [f"release {folder.name}" for folder, name in going.items()
                                           if name not in busy])
        caches = _clear(place.store.home / "kept")
    waiting = [*(f"a server has release {name[:16]} in use" for name in busy), *_held(place, ids)]
    waiting += [f"a pinned version of table {name} still holds them: {reason}"
                for name, gone in rows.items() for reason in gone.kept if reason not in
                {f"release {folder.name}" for folder, of in affected.items() if of in standing}]
    again = [str(backup) for backup in backups if _rewritten(backup, ids, by=by, why=why, columns=columns)]
    found = Erasure(
        request, len(ids), {name: gone.rows for name, gone in rows.items() if gone.rows}, caches,
        tuple(name for name in going.values() if name not in busy),
        tuple(name for name in affected.values() if name in standing), tuple(again), tuple(waiting))
    found = msgspec.structs.replace(found, left=() if copy else _left(place, ids, affected, standing))
    _record(place, found, by=by, why=why)
    return found


def _tables(place: Workspace, ids: Collection[str], names: Sequence[str], unpin: Collection[str]) -> dict[str, Gone]:
    """What was deleted by table; labels, also those that wait, and sampled rows go with the predictions they are of."""
    tables = place.store.tables
    every = tables.names()
    asked = tuple(dict.fromkeys((*names, *OWN)))
    found, more = {}, set(ids)
    for name in sorted(every, key=lambda one: one.startswith(("labels", ENTITY_TABLE))):
        words = more | _entities(place, name, ids, names)
        found[name] = erase_rows(tables, name, words, asked, also="prediction_id", unpin=unpin)
        more |= (set(found[name].others) | words) - {""}  # labels by entity name no prediction
    forget(place.store.home / COUNTS, more)
    return found


def _entities(place: Workspace, name: str, ids: Collection[str], names: Sequence[str]) -> set[str]:
    """The ids that the table of labels by entity gives to these people."""
    if name != ENTITY_TABLE:
        return set()
    data = place.store.tables.read(name, columns=["entity", "entity_id"])
    return {row["entity_id"] for row in data.to_pylist()
            if set(msgspec.json.decode(row["entity"], type=dict[str, str]).values()) & set(ids)}


def _learnt_from(place: Workspace, ids: Collection[str], names: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Every release, with its id, that carries rows of these people or was made from them."""
    for folder in placed(place.releases):
        try:
            manifest = read_manifest(folder)
        except BadRelease:
            continue
        if _carries(folder, ids, names) or _made_from(place, folder, manifest, (ids, names)):
            yield folder, manifest.id


def _carries(folder: Path, ids: Collection[str], names: Sequence[str]) -> bool:
    wanted = pa.array(sorted(ids), pa.string())
    for path in (folder / name for name in ROWS if (folder / name).exists()):
        for column in names:
            words = read_words(path, column)
            if words is not None and pc.any(pc.is_in(words, value_set=wanted)).as_py():
                return True
    return False


def _made_from(
    place: Workspace, folder: Path, manifest: Manifest, asked: tuple[Collection[str], Sequence[str]]
) -> bool:
    """By the version of the training table that it names, where that is still there."""
    if "training.json" not in manifest.files:
        return False
    about = msgspec.json.decode((folder / "training.json").read_bytes(), type=dict[str, object])
    tables, ids, names = place.store.tables, *asked
    try:
        data = tables.read(str(about["table"]), int(str(about["version"])))
    except StoreError:
        return False
    return bool(pc.any(matches(data, ids, names)).as_py())


def _pointed(place: Workspace) -> set[str]:
    """The releases that a name points to: they answer."""
    return {subject["release"] for subject in pointers(ledger(place.store)).values()}


def _removed(place: Workspace, folder: Path, name: str, *, by: str, request: str) -> bool:
    with told(folder), unused(folder) as free:
        if not free:
            return False
        if can_sign(place.store):
            with held(place.store) as lines:
                put(place.store, lines, actor=by, role="operator", action="remove", subject={"release": name},
                    why=f"erasure {request}: it learnt from who was erased")
        remove(folder)
    return True


def _clear(kept: Path) -> int:
    """How many outputs of kept steps were cleared: they are made again when they are next needed."""
    found = [path for path in kept.glob("*") if path.is_dir()] if kept.exists() else []
    for path in found:
        with told(path):
            shutil.rmtree(path)
    return len(found)


def _held(place: Workspace, ids: Collection[str]) -> list[str]:
    """Files of the log that a server still writes, or that are damaged, in which one of the ids stands."""
    found = [path for kind in (PREDICTIONS, SHADOWS, LABELS) for path in segments.segments(place.log, kind)]
    found += sorted(place.log.glob("*.damaged")) if place.log.exists() else []
    words = [word.encode() for word in ids]
    return [f"{path.name} of the log holds them: stop the server, or wait until it begins another file"
            for path in found if path.exists() and any(word in path.read_bytes() for word in words)]


def _rewritten(backup: Path, ids: Collection[str], *, by: str, why: str, columns: Collection[str]) -> bool:
    """Whether a backup held them and was written anew without them, whole or not at all."""
    if not backup.is_file():
        raise Misuse("there is no such file", where=str(backup), hint="name one that shipworthy backup wrote")
    with tempfile.TemporaryDirectory(dir=backup.resolve().parent) as home:
        folder = Path(home) / "project"
        manifest = restore(backup, folder).manifest
        if not search(folder, ids).hits:
            return False
        place = open_workspace(folder)
        erase(place, ids, by=by, why=why, columns=columns, copy=True)
        fresh = Path(home) / backup.name
        back_up(place, fresh, keys=manifest.keys)
        with told(backup):
            fresh.replace(backup)
        for path in placed(place.releases):
            remove(path)
    return True


def _left(place: Workspace, ids: Collection[str], affected: dict[Path, str], standing: set[str]) -> tuple[str, ...]:
    """Files of the project in which an id is still found; those of a release that must be replaced are told apart.

    Ids that any file may hold by chance, such as 17, are not searched for.
    """
    words = [word for word in ids if len(word) >= SHORTEST and not PLAIN.fullmatch(word)]
    waits = [folder.relative_to(place.folder).as_posix() + "/" for folder, name in affected.items() if name in standing]
    pinned = ".shipworthy/tables/" if waits else "\0"
    hits = search(place.folder, words).hits if words else ()
    return tuple(sorted({hit.file for hit in hits if not hit.file.startswith((*waits, pinned))}))


def _record(place: Workspace, found: Erasure, *, by: str, why: str) -> None:
    """The ledger knows the request by its salted hash, what it did, and no identity."""
    if can_sign(place.store):
        state = "done" if found.done else "waiting"
        with held(place.store) as lines:
            put(place.store, lines, actor=by, role="operator", action="erase", why=why,
                subject={"request": found.request, "state": state, "retrain": ",".join(found.retrain)})
