"""Which release is the champion, who made it so, when, why and on what evidence; nothing is ever forgotten.

The ledger (`ledger.jsonl`) is the one history: hash-chained lines, appended and synced under a lock. Its signed head
(`ledger.seal.json`) and the heads that releases carry show a tail that was cut off.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from shipworthy.core.canon import canonical
from shipworthy.core.evidence import Waiver
from shipworthy.core.ledger import Line, Seal, broken, line, moves, same, seal, trainers, trainings, unsealed, waivers
from shipworthy.core.release import Release
from shipworthy.deployment.integration.releases.release import open_release, own_evidence
from shipworthy.deployment.integration.releases.sign import trusted
from shipworthy.errors import BadRelease, Misuse, NotFit, StoreError

ALIAS = "champion"
LEDGER, SEAL, CARRIED = "ledger.jsonl", "ledger.seal.json", "history.json"


class Home(Protocol):
    """What is needed of a store: its folder, and the project's."""

    @property
    def home(self) -> Path: ...
    @property
    def folder(self) -> Path: ...


def promote(store: Home, release: Release, *, by: str, why: str, role: str = "approver") -> Line:
    """The ledger's line of making a release the champion.

    release: as it lies there, with the waivers and the gate of today in its evidence. Raises NotFit while a required
    row is neither proved nor waived, or when `by` trained it; BadRelease when another key signed it, its evidence is
    of something else, or no line says that it was made here; StoreError when the ledger does not hold; Misuse without
    a name or reason, or when the release is the champion already.
    """
    may_promote(store, release, by=by, why=why)
    return _move(store, release, "promote", by=by, why=why, role=role)


def may_promote(store: Home, release: Release, *, by: str, why: str) -> None:
    """Nothing, when `by` may make the release the champion for this reason; raises what `promote` raises."""
    _named(by, why, "promote")
    if release.evidence.refusals:
        raise NotFit(f"release {release.short} is not fit: {', '.join(release.evidence.refusals)}",
                     where=str(release.folder), hint="shipworthy checklist shows what each row needs")
    signed = open_release(release.folder, key=trusted(signing_key(store)))
    own_evidence(signed)
    _may_approve(store, signed, by)


def rollback(store: Home, *, by: str, why: str, role: str = "operator") -> Release:
    """The release that was champion before the present one, made champion again once its digests and key hold.

    Anyone may, for what comes back was approved before.
    A release that was rolled back is never gone back to: whoever rolls back twice goes back twice.
    """
    _named(by, why, "rollback")
    stood = _stood(ledger(store))
    if len(stood) < 2:
        raise Misuse("there is no earlier champion to go back to", where="the history of promotions",
                     hint="promote a release first")
    earlier = _promoted(store, stood[-2])
    _move(store, earlier, "rollback", by=by, why=why, role=role)
    return earlier


def waived(store: Home, *, release: str = "", trainer: str = "") -> tuple[Waiver, ...]:
    """The waivers on record that count for a release, by id, or for one that a trainer is making: not their own."""
    lines = ledger(store)
    return waivers(lines, but=[trainer, *(trainers(lines, release) if release else ())])


def not_by_trainer(store: Home, by: str, *, trainer: str, act: str) -> None:
    """Raise NotFit when `by` trained the newest release on record, or is declared to train the next.

    act: what they may not do, such as "accept a row of it".
    """
    if any(same(by, who) for who in (trainer, *trainers(ledger(store)))):
        raise NotFit(f"{by} trained this model and may not {act}", where="the ledger",
                     hint="someone else does: --by NAME")


def champion(store: Home) -> Release | None:
    """The release in production now, opened and verified; None before the first promotion. Raises BadRelease."""
    past = moves(ledger(store), ALIAS)
    return _promoted(store, past[-1]["subject"]) if past else None


def signing_key(store: Home) -> Path:
    """Where the key lies that signs the releases of a project."""
    return store.home / "keys" / "signing.pem"


def unbroken(store: Home, release: Release | None = None) -> list[Line]:
    """Every line of a ledger that holds: whole, unaltered, and with every line that was signed. Raises StoreError.

    release: one that carries a signed head too.
    """
    lines = ledger(store)
    wrong = broken(lines) + unsealed(lines, seals(store, release))
    if wrong:
        raise StoreError(f"the ledger does not hold: {wrong[0]}", where=str(store.home / LEDGER),
                         hint="restore it and ledger.seal.json from a copy, and find out who wrote to it")
    return lines


def record(
    store: Home, *, actor: str, action: str, role: str = "", subject: dict[str, str] | None = None, evidence: str = "",
    why: str = "",
) -> Line:
    """The line just appended to the ledger: an act that moves no pointer, such as trained, approved or waived."""
    about = subject or {}
    return _written(store, lambda lines: about, actor=actor, action=action, role=role, evidence=evidence, why=why)


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


def seals(store: Home, release: Release | None = None) -> tuple[Seal, ...]:
    """The signed heads of the ledger: the newest, and the one that a release carries. Raises StoreError."""
    found = [store.home / SEAL]
    if release is not None and CARRIED in release.manifest.files:
        found.append(release.folder / CARRIED)
    return tuple(_read_seal(path) for path in found if path.exists())


def carried(heads: Sequence[Seal]) -> dict[str, bytes]:
    """The file by which a release carries the newest signed head, out of reach of whoever cuts the ledger later."""
    return {CARRIED: canonical(heads[0])} if heads else {}


def _named(by: str, why: str, action: str) -> None:
    if not by.strip() or not why.strip():
        raise Misuse("a champion changes only with a name and a reason", where=action, hint="say --by and --why")


def _may_approve(store: Home, release: Release, by: str) -> None:
    """By what is on record, not by what the project file says today."""
    made = [entry for entry in trainings(unbroken(store, release), release.id)
            if entry.get("evidence") == release.evidence.digest]
    if not made:
        raise BadRelease("the ledger does not say that this project made the release", where=str(release.folder),
                         hint="promote what was made here: shipworthy run")
    names = [str(entry.get("actor", "")) for entry in made]
    if any(same(by, name) for name in names):
        raise NotFit(f"{by} trained this model and may not approve it", where="the ledger",
                     hint="someone else promotes: --by NAME")
    if not all(name.strip() for name in names):
        raise NotFit("nobody is named as the trainer, so nobody can be shown to be somebody else", where="the ledger",
                     hint='say who trains: [project] trainer = "…" in shipworthy.toml, then: shipworthy run')


def _promoted(store: Home, subject: dict[str, str]) -> Release:
    """The release that a pointer move names, from its folder, signed by this project's key. Raises BadRelease."""
    release = open_release(store.folder / subject["folder"], key=trusted(signing_key(store)))
    if release.id != subject["release"]:
        raise BadRelease("another release lies where the champion was", where=str(release.folder),
                         hint=f"restore release {subject['release'][:16]} from a copy, or promote another")
    return release


def _move(store: Home, release: Release, action: str, *, by: str, why: str, role: str) -> Line:
    def subject(lines: list[Line]) -> dict[str, str]:
        past = moves(lines, ALIAS)
        before = past[-1]["subject"]["release"] if past else ""
        if before == release.id:
            raise Misuse(f"release {release.short} is the champion already", where=str(release.folder),
                         hint="promote another release, or leave it as it is")
        return {"alias": ALIAS, "release": release.id, "before": before, "folder": relative(store, release.folder)}

    return _written(store, subject, actor=by, role=role, action=action, why=why, evidence=release.evidence.digest)


def _written(store: Home, subject: Callable[[list[Line]], dict[str, str]], **facts: str) -> Line:
    """The line is what counts and comes first; a head that a kill left behind is signed with the next line."""
    from shipworthy.store.files import lock  # here: a server reads no ledger and needs none of the store's libraries

    with lock(store.home / "locks" / "ledger.lock"):
        lines = ledger(store)
        made = line(lines, subject=subject(lines), **facts)
        _append(store.home / LEDGER, made)
        _sign_head(store, [*lines, made])
    return made


def _sign_head(store: Home, lines: list[Line]) -> None:
    """Not where the last signed head speaks against the ledger: signing anew would hide what happened to it."""
    from shipworthy.core.signed import new_key
    from shipworthy.store.files import write_bytes

    if unsealed(lines, seals(store)):
        return
    path = store.home / "keys" / "ledger.key"
    if not path.exists():
        write_bytes(path, new_key())
        path.chmod(0o600)
    write_bytes(store.home / SEAL, canonical(seal(lines, key=path.read_bytes())))


def _read_seal(path: Path) -> Seal:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Seal)
    except msgspec.MsgspecError as error:
        raise StoreError(f"the signed head of the ledger cannot be read: {error}", where=str(path),
                         hint="restore it from a backup; every release carries one") from error


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


def _stood(lines: list[Line]) -> list[dict[str, str]]:
    """The champions that nobody took back, oldest first, the present one last: each as its move names it."""
    found: list[dict[str, str]] = []
    for entry in moves(lines, ALIAS):
        subject = entry["subject"]
        at = [place for place, one in enumerate(found) if one["release"] == subject["release"]]
        found = found[: at[-1]] if entry["action"] == "rollback" and at else found
        found.append(subject)
    return found


def relative(store: Home, folder: Path) -> str:
    """Relative to the project, so that a moved project keeps its champion; absolute if it lies elsewhere."""
    own = Path(os.path.abspath(folder))
    root = Path(os.path.abspath(store.folder))
    return own.relative_to(root).as_posix() if own.is_relative_to(root) else str(own)
