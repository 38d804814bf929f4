"""A chain of lines: each carries the hash of the one before it and a signature, so that no line can be lost in silence.

Cutting off the tail is the one change that the chain alone cannot show: keep its head somewhere else as well.
Source: Haber and Stornetta (1991), linked time-stamping.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shipworthy.core.canon import canonical, digest
from shipworthy.core.signed import public_of, sign, verifies

START = "0" * 64


class Line(msgspec.Struct, frozen=True):
    """One act. n: from 0. prev: hash of the line before. at: UTC. subject, evidence: digests of what it is about.

    hash: SHA-256 of prev and the body. public, signature: of the hash, in hex.
    """

    n: int
    prev: str
    at: str
    actor: str
    role: str
    action: str
    subject: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    pack_as_of: str = ""
    hash: str = ""
    public: str = ""
    signature: str = ""


def link(lines: Sequence[Line], body: Line, key: bytes) -> Line:
    """The body as the next line after these, hashed and signed."""
    placed = msgspec.structs.replace(body, n=len(lines), prev=lines[-1].hash if lines else START)
    hashed = msgspec.structs.replace(placed, hash=line_hash(placed))
    return msgspec.structs.replace(hashed, public=public_of(key), signature=sign(hashed.hash, key))


def line_hash(line: Line) -> str:
    """SHA-256 in hex of the previous hash and the line's body without hash, key and signature."""
    return digest(line.prev.encode() + canonical(msgspec.structs.replace(line, hash="", public="", signature="")))


def problems(lines: Sequence[Line], *, head: str = "") -> list[str]:
    """What is wrong with a chain, in words; empty if it verifies. head: the hash of the last line, kept elsewhere."""
    found, before = [], START
    for place, line in enumerate(lines):
        if line.n != place:
            found.append(f"line {place} says that it is line {line.n}")
        if line.prev != before:
            found.append(f"line {place} does not follow the one before it")
        if line_hash(line) != line.hash:
            found.append(f"line {place} was changed after it was written")
        elif not verifies(line.hash, line.signature, line.public):
            found.append(f"line {place} is not signed by its key")
        before = line.hash
    if head and before != head:
        found.append("the last line is not the head that was kept elsewhere")
    return found


def read_line(raw: Any) -> Line:
    """A line from JSON text, bytes, a mapping, or a line itself. Raises msgspec.ValidationError."""
    if isinstance(raw, Line):
        return raw
    if isinstance(raw, str | bytes):
        return msgspec.json.decode(raw, type=Line)
    return msgspec.convert(raw, Line)
