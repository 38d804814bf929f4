"""The ledger as a file (`ledger.jsonl`): hash-chained lines, appended and synced under a lock; nothing is forgotten.

Its signed head (`ledger.seal.json`) and the heads that releases carry show a tail that was cut off.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from shipworthy.core.canon import canonical
from shipworthy.core.ledger import Line, Seal, broken, line, seal, unsealed
from shipworthy.core.release import Release
from shipworthy.errors import StoreError

LEDGER, SEAL, CARRIED, KEY = "ledger.jsonl", "ledger.seal.json", "history.json", "keys/ledger.key"
BRING = "bring it from where it was made: shipworthy backup --with-keys there, or restore .shipworthy/keys"


class Home(Protocol):
    """What is needed of a store: its folder, and the project's."""

    @property
    def home(self) -> Path: ...
    @property
    def folder(self) -> Path: ...


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
    with held(store) as lines:
        return put(store, lines, actor=actor, action=action, role=role, subject=subject or {}, evidence=evidence,
                   why=why)


@contextmanager
def held(store: Home) -> Iterator[list[Line]]:
    """Every line, while nobody else may add one or take a release away. Not re-entrant. Raises StoreError."""
    from shipworthy.store.files import lock  # here: a server reads no ledger and needs none of the store's libraries

    with lock(store.home / "locks" / "ledger.lock"):
        yield ledger(store)


def put(store: Home, lines: list[Line], *, subject: Mapping[str, str], **facts: str) -> Line:
    """The line just appended to the file and to `lines`, which are held. Raises StoreError, as `must_sign` too.

    The line is what counts and comes before its signature; a head that a kill left behind is signed with the next line.
    """
    key = _key(store)
    made = line(lines, subject=subject, **facts)
    _append(store.home / LEDGER, made)
    lines.append(made)
    _sign_head(store, lines, key)
    return made


def can_sign(store: Home) -> bool:
    """False in a copy without its keys: a ledger is there, and the key that signs it is not."""
    return (store.home / KEY).exists() or not any((store.home / name).exists() for name in (LEDGER, SEAL))


def must_sign(store: Home) -> None:
    """Nothing, where a line can be signed. Raises StoreError: signed with a new key, the ledger would count as broken.
    """
    if not can_sign(store):
        raise StoreError("this copy has no key to sign the ledger", where=str(store.home / KEY), hint=BRING)


def seals(store: Home, release: Release | None = None) -> tuple[Seal, ...]:
    """The signed heads of the ledger: the newest, and the one that a release carries. Raises StoreError."""
    found = [store.home / SEAL]
    if release is not None and CARRIED in release.manifest.files:
        found.append(release.folder / CARRIED)
    return tuple(_read_seal(path) for path in found if path.exists())


def carried(heads: Sequence[Seal]) -> dict[str, bytes]:
    """The file by which a release carries the newest signed head, out of reach of whoever cuts the ledger later."""
    return {CARRIED: canonical(heads[0])} if heads else {}


def signing_key(store: Home) -> Path:
    """Where the key lies that signs the releases of a project."""
    return store.home / "keys" / "signing.pem"


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


def _key(store: Home) -> bytes:
    """What signs the ledger, made before its first line and never again. Raises StoreError."""
    from shipworthy.core.signed import new_key
    from shipworthy.store.files import write_bytes

    must_sign(store)
    path = store.home / KEY
    if not path.exists():
        write_bytes(path, new_key())
        path.chmod(0o600)
    return path.read_bytes()


def _sign_head(store: Home, lines: list[Line], key: bytes) -> None:
    """Not where the last signed head speaks against the ledger: signing anew would hide what happened to it."""
    from shipworthy.store.files import write_bytes

    if not unsealed(lines, seals(store)):
        write_bytes(store.home / SEAL, canonical(seal(lines, key=key)))


def _read_seal(path: Path) -> Seal:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Seal)
    except msgspec.MsgspecError as error:
        raise StoreError(f"the signed head of the ledger cannot be read: {error}", where=str(path),
                         hint="restore it from a backup; every release carries one") from error
