"""Taking away the releases that nothing needs any more, with the reason why each other one stays.

The ledger is held from looking to taking away, and every move of a pointer holds it too: nobody can point at a release
that is going.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from shipworthy.core.ledger import Line, pointers, released, trained_here
from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log.answers import Heading
from shipworthy.deployment.integration.log.counts import COUNTS
from shipworthy.deployment.integration.log.tally import KINDS, uncounted
from shipworthy.deployment.integration.releases.book import held, put, unbroken
from shipworthy.deployment.integration.releases.history import reach
from shipworthy.deployment.integration.releases.release import read_manifest
from shipworthy.deployment.integration.releases.shelf import placed, remove, size
from shipworthy.deployment.integration.releases.use import unused
from shipworthy.deployment.integration.serving.standing import read_standing
from shipworthy.errors import BadRelease, Misuse, StoreError
from shipworthy.store.files import lock, told
from shipworthy.store.opening import Store
from shipworthy.store.records import Pin

KEEP = 3
GONE = ".gone"
USED = "a server has it in use"


class Fate(msgspec.Struct, frozen=True):
    """One release's: its id (empty where it cannot be read), folder, bytes, and why it stays; without a reason it goes.
    """

    release: str
    folder: str
    bytes: int
    stays: tuple[str, ...]


class _Training(msgspec.Struct, frozen=True):
    table: str
    version: int


def collect(store: Store, releases: Path, log: Path, *, keep: int = KEEP, by: str, dry_run: bool = False) -> list[Fate]:
    """What became of every release, newest first; those without a reason to stay are taken away and on record.

    It stays while it is among the `keep` newest, a name points to it, a rollback can reach it, the servers were told of
    it, one has it in use, answers of it lie in a log that is not drained or were not counted where answers are counted,
    or a waiver that holds names it. What cannot be read as a release is left alone. log: the folder of the log.
    dry_run: nothing is taken away. Raises StoreError when the ledger does not hold, for then nobody knows what it
    points to.
    """
    if keep < 1:
        raise Misuse("at least one release is kept", where=f"--keep {keep}", hint="give 1 or more")
    with lock(store.home / "locks" / "collect.lock"):
        if not dry_run:
            _sweep(releases)  # what a killed collection left would stand in the way
        with held(store) as lines:
            unbroken(store)
            found = _fates(store, lines, releases, log, keep)
            for place, fate in enumerate([] if dry_run else found):
                if not fate.stays:
                    with told(releases / fate.folder), unused(releases / fate.folder) as free:
                        if not free:  # a server has begun to use it since
                            found[place] = msgspec.structs.replace(fate, stays=(USED,))
                            continue
                        put(store, lines, actor=by, role="operator", action="remove",
                            subject={"release": fate.release},
                            why=f"nothing needs it, and the newest {keep} are kept")
                        (releases / fate.folder).rename(releases / f".{fate.folder}{GONE}")
        if not dry_run:
            _sweep(releases)
    return found


def collect_tables(store: Store, releases: Path) -> dict[str, int]:
    """Files deleted, by table: those older than a week that neither its newest version nor a release's rows need.

    The rows that a release was made from are pinned as long as the release is there. Raises StoreError.
    """
    with held(store) as lines:
        needed = {f"release {path.name}": about for path in placed(releases) if (about := _training(path, lines))}
        before = {(pin.reason, pin.table, pin.version): pin for pin in store.metadata.find(Pin, ended=None)}
        for reason, about in needed.items():
            if (reason, about.table, about.version) not in before:
                with suppress(StoreError):  # the version is gone already
                    store.tables.pin(about.table, about.version, reason)
        for reason, table, version in before:
            if reason.startswith("release ") and reason not in needed:
                store.tables.unpin(table, version, reason)
    return {name: len(store.tables.gc(name)) for name in store.tables.names()}


def _sweep(releases: Path) -> None:
    for path in list(releases.glob(f".*{GONE}")):
        with told(path):
            remove(path)


def _fates(store: Store, lines: Sequence[Line], releases: Path, log: Path, keep: int) -> list[Fate]:
    reasons, logged, found = _references(store, lines), _logged(log), []
    drained = uncounted(log, store.home / COUNTS, store.tables)
    for place, folder in enumerate(placed(releases)):
        try:
            manifest = read_manifest(folder)
            release = manifest.id
            with told(folder), unused(folder) as free:
                why = [*reasons[release], *([] if free else [USED])]
        except BadRelease as error:
            found.append(Fate("", folder.name, size(folder), (f"it cannot be read: {error.problem}",)))
            continue
        why += [f"answers of it are not drained: {logged[release]}"] if release in logged else []
        if release in drained and "grid.json" in manifest.files:
            why += [f"answers of it are not counted yet: {drained[release]}"]
        why += [f"a file of the log cannot be read: {logged['']}"] if "" in logged else []
        why += [f"it is among the {keep} newest"] if place < keep else []
        found.append(Fate(release, folder.name, size(folder), tuple(why)))
    return found


def _references(store: Store, lines: Sequence[Line]) -> dict[str, list[str]]:
    """Release → why it is needed, by the ledger and by what the servers were told."""
    found: dict[str, list[str]] = defaultdict(list)
    for alias, subject in pointers(lines).items():
        found[subject["release"]].append(f"it is {alias}")
    for subject in reach(lines)[:-1]:
        found[subject["release"]].append("a rollback can reach it")
    standing = read_standing(store.home)
    for stand in (standing.champion, standing.challenger, standing.previous) if standing else ():
        if stand and not found[stand.release]:
            found[stand.release].append("the servers were told to ask it")
    for entry in lines:
        if entry.get("action") == "waive" and released(entry) and _holds(entry):
            found[released(entry)].append(f"a waiver of {entry['subject'].get('row', 'a row')} names it")
    return found


def _holds(waiver: Line) -> bool:
    try:
        return date.fromisoformat(str(waiver["subject"].get("until"))) >= datetime.now(UTC).date()
    except ValueError:
        return False


def _logged(log: Path) -> dict[str, str]:
    """Release → a file of the log with answers of it; the empty release for a file that cannot be read."""
    found = {}
    for path in _parts(log):
        with suppress(FileNotFoundError):  # drained meanwhile
            first = next(segments.blocks(path), None)
            if first is None:  # a server is about to write its first block, or nothing of it can be read
                if path.suffix == ".damaged":
                    found[""] = path.name
                continue
            try:
                found[msgspec.msgpack.decode(first, type=Heading).release] = path.name
            except (msgspec.MsgspecError, UnicodeDecodeError):
                found[""] = path.name
    return found


def _parts(log: Path) -> Iterator[Path]:
    for kind in KINDS:
        yield from segments.segments(log, kind)
        yield from log.glob(f"{kind}-*.damaged")


def _training(folder: Path, lines: Sequence[Line]) -> _Training | None:
    """The rows that a release was made from here; None of one that was imported."""
    try:
        known = trained_here(lines, read_manifest(folder).id)
        return msgspec.json.decode((folder / "training.json").read_bytes(), type=_Training) if known else None
    except (BadRelease, OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
