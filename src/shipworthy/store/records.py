"""What is remembered about work: one frozen struct a kind, each kept as a small JSON file.

Digests are SHA-256 in lower hex. Times are UTC with a zone. A new field needs a default: old files must open.
"""

from __future__ import annotations

import re
import secrets
import time
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from shipworthy.errors import Misuse

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,159}")


def now() -> datetime:
    """This moment, in UTC with a zone."""
    return datetime.now(UTC)


def new_id() -> str:
    """An id nobody has; later ids sort after earlier ones."""
    return f"{time.time_ns():016x}-{secrets.token_hex(5)}"


def check_id(text: str, what: str = "id") -> str:
    """The text itself if it can name a file on every system; else `Misuse`."""
    if not _ID.fullmatch(text):
        raise Misuse(f"{text!r} cannot be used as {what}", where=what,
                     hint="use lower-case letters, digits, '.', '_' and '-', at most 160, a letter or digit first")
    return text


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One remembered fact; `id` names it within its kind."""

    id: str = msgspec.field(default_factory=new_id)


class Run(Record, frozen=True, kw_only=True):
    """One use of the product: which verb, on which code and settings, and how it ended.

    status: running, done, failed or killed.
    """

    verb: str
    status: str = "running"
    started: datetime = msgspec.field(default_factory=now)
    ended: datetime | None = None
    code: str = ""
    settings: str = ""
    by: str = ""
    note: str = ""


class Step(Record, frozen=True, kw_only=True):
    """One step of a run. key: digest of step, code, settings and inputs; equal keys have equal outputs.

    inputs: one digest over all of them; each is an `Edge`. outputs: name → digest.
    status: running, done, reused, failed or killed. cpu_seconds: of this process and its children.
    """

    step: str
    key: str
    run: str = ""
    code: str = ""
    settings: str = ""
    inputs: str = ""
    outputs: dict[str, str] = {}
    started: datetime = msgspec.field(default_factory=now)
    ended: datetime | None = None
    cpu_seconds: float = 0.0
    status: str = "running"


class Artefact(Record, frozen=True, kw_only=True):
    """One output of a step. kind: table or bytes. path: relative to the store. size: bytes."""

    name: str
    digest: str
    key: str
    kind: str
    path: str
    size: int
    at: datetime = msgspec.field(default_factory=now)


class Edge(Record, frozen=True, kw_only=True):
    """One arrow of lineage: the digest `source`, read as the input `role`, went into the digest `target`."""

    source: str
    target: str
    role: str
    step: str
    key: str
    at: datetime = msgspec.field(default_factory=now)


class Pin(Record, frozen=True, kw_only=True):
    """A version of a table that must stay readable, and why, until `ended`."""

    table: str
    version: int
    reason: str
    at: datetime = msgspec.field(default_factory=now)
    ended: datetime | None = None


class Release(Record, frozen=True, kw_only=True):
    """A release folder that was made. path: relative to the project."""

    name: str
    digest: str
    run: str = ""
    path: str = ""
    evidence: str = ""
    at: datetime = msgspec.field(default_factory=now)


class Move(Record, frozen=True, kw_only=True):
    """One move of a pointer, as earlier versions kept it; today the ledger of people says what is live."""

    alias: str
    number: int
    release: str
    at: datetime
    who: str
    why: str
    evidence: str = ""


class HoldoutRead(Record, frozen=True, kw_only=True):
    """One reading of a holdout. subject: the model that it judged."""

    holdout: str
    subject: str
    reader: str
    at: datetime = msgspec.field(default_factory=now)


class FindingRecord(Record, frozen=True, kw_only=True):
    """What one check said in one run; `body` is the whole finding as plain JSON."""

    run: str
    check: str
    row: str
    verdict: str
    sentence: str = ""
    release: str = ""
    code: str = ""
    model: str = ""
    data: str = ""
    body: dict[str, Any] = {}
    at: datetime = msgspec.field(default_factory=now)


R = TypeVar("R", bound=Record)

KINDS: dict[str, type[Record]] = {
    "runs": Run,
    "steps": Step,
    "artefacts": Artefact,
    "edges": Edge,
    "pins": Pin,
    "releases": Release,
    "pointers": Move,
    "holdout_reads": HoldoutRead,
    "findings": FindingRecord,
}
KIND_OF = {struct: kind for kind, struct in KINDS.items()}


def encode(record: Record) -> bytes:
    """The record as readable JSON. Raises `Misuse` if a time has no zone."""
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, datetime) and value.tzinfo is None:
            raise Misuse(f"{type(record).__name__}.{name} is a time without a zone",
                         where=f"{type(record).__name__} {record.id}",
                         hint="use shipworthy.store.now(), or datetime.now(UTC)")
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
