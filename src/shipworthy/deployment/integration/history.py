"""Which release is the champion, who made it so, when, why and on what evidence; nothing is ever forgotten.

The ledger (`ledger.jsonl`) is the truth: hash-chained lines, appended and synced under a lock. `champion.json` is the
same moves written whole, for readers that only want the pointer; it is made again from the ledger if they differ.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import msgspec

from shipworthy.core.ledger import Line, broken, line, moves
from shipworthy.core.release import Release
from shipworthy.deployment.integration.release import open_release
from shipworthy.errors import Misuse, NotFit, StoreError

ALIAS = "champion"
LEDGER, POINTER = "ledger.jsonl", "champion.json"


class Home(Protocol):
    """What is needed of a store: its folder, and the records that index releases and moves."""

    @property
    def home(self) -> Path: ...
    @property
    def folder(self) -> Path: ...
    @property
    def metadata(self) -> Any: ...


def promote(store: Home, release: Release, *, by: str, why: str, role: str = "approver") -> Line:
    """The ledger's line of making a release the champion.

    Raises NotFit while a required row is neither proved nor waived, Misuse without a name or reason, or when the
    release is the champion already.
    """
    if release.evidence.refusals:
        raise NotFit(f"release {release.short} is not fit: {', '.join(release.evidence.refusals)}",
                     where=str(release.folder), hint="shipworthy checklist shows what each row needs")
    open_release(release.folder)
    return _move(store, release, "promote", by=by, why=why, role=role)


def rollback(store: Home, *, by: str, why: str, role: str = "operator") -> Release:
    """The release that was champion before the present one, made champion again after its digests were verified."""
    past = [entry["subject"] for entry in moves(ledger(store), ALIAS)]
    if not past or not past[-1]["before"]:
        raise Misuse("there is no earlier champion to go back to", where="the history of promotions",
                     hint="promote a release first")
    earlier = open_release(_folder(store, _before(past)))
    _move(store, earlier, "rollback", by=by, why=why, role=role)
    return earlier


def champion(store: Home) -> Release | None:
    """The release in production now, opened and verified; None before the first promotion."""
    past = moves(ledger(store), ALIAS)
    return open_release(_folder(store, past[-1]["subject"])) if past else None


def record(
    store: Home, *, actor: str, action: str, role: str = "", subject: dict[str, str] | None = None, evidence: str = "",
    why: str = "",
) -> Line:
    """The line just appended to the ledger: an act that moves no pointer, such as trained, approved or waived."""
    from shipworthy.store.files import lock  # here: a server reads no ledger and needs none of the store's libraries

    with lock(store.home / "locks" / "ledger.lock"):
        lines = ledger(store)
        made = line(lines, actor=actor, action=action, role=role, subject=subject, evidence=evidence, why=why)
        _append(store.home / LEDGER, made)
    return made


def ledger(store: Home) -> list[Line]:
    """Every line, oldest first. A half-written last line, left by a killed process, is not a line.

    Raises StoreError when a line in the middle cannot be read.
    """
    path = store.home / LEDGER
    if not path.exists():
        return []
    whole = path.read_bytes().split(b"\n")
    found = []
    for place, raw in enumerate(whole[:-1]):
        try:
            found.append(msgspec.json.decode(raw, type=dict[str, Any]))
        except msgspec.MsgspecError as error:
            raise StoreError(f"line {place} of the ledger cannot be read: {error}", where=str(path),
                             hint="restore it from a backup") from error
    return found


def audit(store: Home) -> list[str]:
    """What does not agree between ledger, pointer file and records, one sentence each; empty if all agree."""
    lines = ledger(store)
    told = [(entry["subject"]["release"], entry["action"]) for entry in moves(lines, ALIAS)]
    found = broken(lines)
    path = store.home / POINTER
    pointer = msgspec.json.decode(path.read_bytes())["moves"] if path.exists() else []
    if [(entry["subject"]["release"], entry["action"]) for entry in pointer] != told:
        found.append("champion.json and the ledger tell different moves")
    kept = [move.release for move in reversed(store.metadata.moves(ALIAS))]
    if kept != [release[:16] for release, _ in told]:
        found.append(f"the records hold {len(kept)} moves of the champion, the ledger {len(told)}")
    return found


def _move(store: Home, release: Release, action: str, *, by: str, why: str, role: str) -> Line:
    """Ledger first: it is what counts. A kill before the other two is mended by the next move."""
    from shipworthy.store import Release as Kept
    from shipworthy.store.files import lock, write_bytes

    if not by.strip() or not why.strip():
        raise Misuse("a champion changes only with a name and a reason", where=action, hint="say --by and --why")
    with lock(store.home / "locks" / "ledger.lock"):
        lines = ledger(store)
        past = moves(lines, ALIAS)
        before = past[-1]["subject"]["release"] if past else ""
        if before == release.id:
            raise Misuse(f"release {release.short} is the champion already", where=str(release.folder),
                         hint="promote another release, or leave it as it is")
        subject = {"alias": ALIAS, "release": release.id, "before": before, "folder": _relative(store, release.folder)}
        made = line(lines, actor=by, role=role, action=action, why=why, subject=subject,
                    evidence=release.evidence.digest)
        _append(store.home / LEDGER, made)
        path = _relative(store, release.folder)
        store.metadata.add(Kept(id=release.id[:16], name=release.manifest.name, digest=release.id, path=path,
                                evidence=release.evidence.digest))
        _catch_up(store, [*past, made])
        write_bytes(store.home / POINTER, msgspec.json.format(msgspec.json.encode({"moves": [*past, made]}), indent=1))
    return made


def _catch_up(store: Home, told: list[Line]) -> None:
    for entry in told[len(store.metadata.moves(ALIAS)):]:
        store.metadata.move(ALIAS, entry["subject"]["release"][:16], who=entry["actor"], why=entry["why"],
                            evidence=entry["evidence"])


def _append(path: Path, made: Line) -> None:
    """A half line left by a killed process is cut first, so that lines never run together."""
    from shipworthy.store.files import told  # here: a server reads no ledger and needs none of the store's libraries

    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    with told(path), os.fdopen(handle, "rb+") as file:
        whole = file.read()
        file.seek(whole.rfind(b"\n") + 1)
        file.truncate()
        file.write(msgspec.json.encode(made) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _before(past: list[dict[str, str]]) -> dict[str, str]:
    """The latest move to the release that stood before the last move."""
    return next(subject for subject in reversed(past) if subject["release"] == past[-1]["before"])


def _folder(store: Home, subject: dict[str, str]) -> Path:
    return store.folder / subject["folder"]


def _relative(store: Home, folder: Path) -> str:
    """Relative to the project, so that a moved project keeps its champion; absolute if it lies elsewhere."""
    own = Path(os.path.abspath(folder))
    root = Path(os.path.abspath(store.folder))
    return own.relative_to(root).as_posix() if own.is_relative_to(root) else str(own)
