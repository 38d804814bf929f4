"""Sealing the audit ledger: a signed head, kept elsewhere, shows what its chain of hashes cannot: a tail cut off.

The lines themselves are `core.ledger`'s. A signature of the head covers every line before it.
Source: Haber and Stornetta (1991), linked time-stamping; RFC 8032, Ed25519.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shipworthy.core.canon import canonical
from shipworthy.core.ledger import START, Line, broken
from shipworthy.core.signed import public_of, sign, verifies
from shipworthy.errors import BadData, Misuse


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
        raise Misuse(f"a ledger that does not hold is not sealed: {wrong[0]}")
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
        raise BadData(f"this is not a seal: {error}", where=str(path)) from error
