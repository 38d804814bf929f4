"""The audit ledger as a file, and its seal: a signed head, kept elsewhere, shows what the chain of hashes cannot.

The lines are `core.ledger`'s: who did what to which release, each with the hash of the one before. A signature of the
head covers every line before it; without one, a tail that was cut off leaves no trace.
Source: Haber and Stornetta (1991), linked time-stamping; RFC 8032, Ed25519.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from shipworthy.core.canon import canonical
from shipworthy.core.ledger import MOVES, START, Line, broken, line, moves
from shipworthy.core.signed import public_of, sign, verifies
from shipworthy.errors import BadData, Misuse, StoreError
from shipworthy.store.files import lock, told

ALIAS = "champion"


def append(
    path: Path | str, *, actor: str, role: str, action: str, subject: Mapping[str, str] | str = "", evidence: str = "",
    why: str = "",
) -> Line:
    """The line that was added: linked to the last one, and on the disk when this returns.

    subject: what the act was about, name → digest; a plain id is taken to be a release. A half-written last line, left
    by a killed process, was never acknowledged and is cut off first. Raises StoreError when a line cannot be read, the
    ledger does not hold (nothing is then added), or the disk refuses.
    """
    path = Path(path)
    with lock(path.with_name(path.name + ".lock")), told(path):
        lines = list(read(path))
        wrong = broken(lines)
        if wrong:
            raise StoreError(f"the ledger does not hold: {wrong[0]}", where=str(path),
                             hint="nothing was added; compare it with its copy")
        named = dict(subject) if isinstance(subject, Mapping) else _about(lines, action, subject)
        made = line(lines, actor=actor, role=role, action=action, subject=named, evidence=evidence, why=why)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        with os.fdopen(handle, "rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
            file.seek(0, os.SEEK_END)
            file.write(canonical(made) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    return made


def read(path: Path | str) -> tuple[Line, ...]:
    """Every whole line of a ledger, oldest first; none without a file. Raises StoreError for an unreadable line."""
    path = Path(path)
    if not path.is_file():
        return ()
    found = []
    for place, raw in enumerate(path.read_bytes().split(b"\n")[:-1]):
        try:
            found.append(msgspec.json.decode(raw, type=dict[str, Any]))
        except msgspec.MsgspecError as error:
            raise StoreError(f"line {place} of the ledger cannot be read: {error}", where=str(path),
                             hint="restore it from a backup") from error
    return tuple(found)


def _about(lines: Sequence[Line], action: str, subject: str) -> dict[str, str]:
    """What an act was about, from a plain id; a move of the pointer also says where it stood."""
    if action not in MOVES:
        return {"release": subject} if subject else {}
    past = moves(lines, ALIAS)
    before = str(past[-1]["subject"]["release"]) if past else ""
    return {"alias": ALIAS, "release": subject, "before": before}


class Seal(msgspec.Struct, frozen=True):
    """The head of a ledger at a time: how many lines, the hash of the last, who sealed it, and their signature."""

    lines: int
    head: str
    at: str
    by: str
    public: str = ""
    signature: str = ""


def seal(lines: Sequence[Line], *, by: str, key: bytes) -> Seal:
    """The signed head of a ledger. by: who seals it. key: 32 bytes, see core.signed.new_key.

    Raises Misuse when the ledger does not hold: a broken one is not to be vouched for.
    """
    wrong = broken(lines)
    if wrong:
        raise Misuse(f"a ledger that does not hold is not sealed: {wrong[0]}", where="the ledger",
                     hint="restore it from a copy: a line was changed after it was written")
    head = str(lines[-1]["hash"]) if lines else START
    bare = Seal(len(lines), head, datetime.now(UTC).isoformat(timespec="seconds"), by, public_of(key))
    return msgspec.structs.replace(bare, signature=sign(bare, key))


def verify(lines: Sequence[Line], sealed: Seal | None = None, *, public: str = "") -> list[str]:
    """What is wrong with a ledger, one sentence each; empty if it holds, and is no shorter than its seal says.

    public: the sealer's public key in hex, if it is known from elsewhere.
    """
    found = list(broken(lines))
    if sealed is None:
        return found
    if not verifies(msgspec.structs.replace(sealed, signature=""), sealed.signature, sealed.public):
        found.append("the seal's signature does not fit")
    elif public and sealed.public != public:
        found.append("the seal was made with another key")
    elif len(lines) < sealed.lines:
        found.append(f"{sealed.lines - len(lines)} of the {sealed.lines} sealed lines are gone from the end")
    elif sealed.lines and str(lines[sealed.lines - 1].get("hash")) != sealed.head:
        found.append(f"line {sealed.lines - 1} is not the one that was sealed")
    return found


def write_seal(sealed: Seal, path: Path | str) -> None:
    """The seal as JSON in a file; put it where the writer of the ledger cannot change it."""
    Path(path).write_bytes(canonical(sealed) + b"\n")


def read_seal(path: Path | str) -> Seal:
    """A seal from its file. Raises BadData when it is none."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Seal)
    except (OSError, msgspec.MsgspecError) as error:
        raise BadData(f"this is not a seal: {error}", where=str(path),
                      hint="name the file that sealing wrote") from error
