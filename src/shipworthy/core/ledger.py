"""The ledger: append-only lines about who did what; each carries the hash of the one before, and the head is signed.

The chain shows a line that was changed, removed or inserted. A tail that was cut off leaves no trace in it; the signed
head does, as long as a copy of it is out of reach of whoever cuts: every release carries one.
Source: Haber and Stornetta (1991), linked time-stamping; RFC 8032, Ed25519.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from shipworthy.core.canon import canonical, digest
from shipworthy.core.evidence import Waiver
from shipworthy.core.people import same as same
from shipworthy.core.project import Project
from shipworthy.core.signed import public_of, sign, verifies

Line = dict[str, Any]
START = "0" * 64
MOVES = ("promote", "rollback", "point", "drop")
IMPORT = "import"
CHOOSE, MEASURE, OVERRIDE = "choose criterion", "measure groups", "override"
TRAINS = frozenset({"train", "trained", "build", "built", "run", "release", "released"})


class Seal(msgspec.Struct, frozen=True):
    """The head of a ledger: how many lines, the hash of the last, who wrote it, and an Ed25519 signature, in hex."""

    lines: int
    head: str
    at: str
    by: str
    public: str = ""
    signature: str = ""


def line(
    lines: Sequence[Line],
    *,
    actor: str,
    action: str,
    role: str = "",
    subject: Mapping[str, str] | None = None,
    evidence: str = "",
    why: str = "",
    at: str = "",
) -> Line:
    """The next line after these: n, prev, at (UTC), actor, role, action, subject, evidence, why, hash.

    subject: what the act was about, name → digest or id. A move of a pointer has the subjects alias, release (empty
    for an alias that is dropped) and before (the release it pointed to, empty for none). hash: SHA-256 of prev and the
    canonical JSON of the rest.
    """
    body: Line = {
        "n": len(lines), "prev": lines[-1]["hash"] if lines else START,
        "at": at or datetime.now(UTC).isoformat(timespec="microseconds"),
        "actor": actor, "role": role, "action": action, "subject": dict(subject or {}), "evidence": evidence,
        "why": why,
    }
    return {**body, "hash": line_hash(body)}


def line_hash(body: Mapping[str, Any]) -> str:
    """SHA-256 in lower hex over the previous hash and a line's canonical JSON without its own hash."""
    plain = {key: value for key, value in body.items() if key != "hash"}
    return digest(str(plain["prev"]).encode() + canonical(plain))


def broken(lines: Sequence[Line]) -> list[str]:
    """What is wrong with a ledger, one sentence each; empty if every line follows from the one before.

    Sees a changed, removed, swapped or inserted line, and a pointer move whose `before` is not where the pointer was.
    A cut tail shows only by `unsealed`.
    """
    found, before = [], START
    for place, entry in enumerate(lines):
        if entry.get("n") != place:
            found.append(f"line {place} has the number {entry.get('n')}")
        if entry.get("prev") != before:
            found.append(f"line {place} does not follow from the line before it")
        before = str(entry.get("hash"))
        if "prev" not in entry or line_hash(entry) != before:
            found.append(f"line {place} was changed after it was written")
    return found + _jumps(lines)


def seal(lines: Sequence[Line], *, key: bytes) -> Seal:
    """The signed head of a ledger that has lines. key: 32 bytes, see core.signed.new_key."""
    last = lines[-1]
    bare = Seal(len(lines), str(last["hash"]), str(last["at"]), str(last["actor"]), public_of(key))
    return msgspec.structs.replace(bare, signature=sign(bare, key))


def unsealed(lines: Sequence[Line], seals: Sequence[Seal]) -> list[str]:
    """What a ledger's signed heads say against it, one sentence each; empty if it holds every line they cover."""
    found = []
    for one in seals:
        if not verifies(msgspec.structs.replace(one, signature=""), one.signature, one.public):
            found.append(f"the signature of the head of {one.lines} lines does not fit")
        elif one.public != seals[0].public:
            found.append(f"the head of {one.lines} lines was signed with another key")
        elif len(lines) < one.lines:
            found.append(f"{one.lines - len(lines)} of {one.lines} signed lines are gone from the end")
        elif one.lines < 1 or str(lines[one.lines - 1].get("hash")) != one.head:
            found.append(f"line {one.lines - 1} is not the one that was signed")
    return found


def moves(lines: Sequence[Line], alias: str = "") -> list[Line]:
    """The lines that moved a pointer, oldest first; of one alias if it is given."""
    return [entry for entry in lines
            if entry.get("action") in MOVES and (not alias or entry["subject"].get("alias") == alias)]


def pointers(lines: Sequence[Line]) -> dict[str, dict[str, str]]:
    """Alias → the subject of the move that points it to a release now; a dropped alias is none."""
    found = {str(entry["subject"].get("alias", "")): entry["subject"] for entry in moves(lines)}
    return {alias: subject for alias, subject in found.items() if subject.get("release")}


def trainings(lines: Sequence[Mapping[str, Any]], release: str) -> list[Mapping[str, Any]]:
    """The lines that say that somebody trained a release, here or where it was imported from, oldest first."""
    return [entry for entry in lines
            if release and entry.get("action") in (*TRAINS, IMPORT) and released(entry) == release]


def trained_by(entry: Mapping[str, Any]) -> str:
    """Who trained, by a line of `trainings`; empty where nobody is named."""
    return str(entry["subject"].get("trainer", "") if entry.get("action") == IMPORT else entry.get("actor", ""))


def trained_here(lines: Sequence[Mapping[str, Any]], release: str) -> bool:
    """Whether a release was made by this project, not imported."""
    return any(entry.get("action") in TRAINS for entry in trainings(lines, release))


def released(entry: Mapping[str, Any]) -> str:
    """The id of the release that a line is about; empty if it is about none."""
    subject = entry.get("subject")
    return str(subject.get("release", "")) if isinstance(subject, Mapping) else ""


def trainers(lines: Sequence[Mapping[str, Any]], release: str = "") -> list[str]:
    """Who trained a release, by name; the newest on record if none is given. Empty where the ledger does not say."""
    made = [entry for entry in lines if entry.get("action") in TRAINS and released(entry)]
    release = release or (released(made[-1]) if made else "")
    return [trained_by(entry) for entry in trainings(lines, release)]


def criterion_of(project: Project) -> dict[str, str]:
    """What the record of a fairness criterion says; empty where none is chosen or nothing is protected."""
    chosen = project.fairness
    if chosen.criterion == "none" or not project.data.protected:
        return {}
    return {"criterion": chosen.criterion, "limit": f"{chosen.limit:g}", "favourable": chosen.favourable,
            "protected": ", ".join(project.data.protected)}


def waivers(lines: Sequence[Line], *, but: Sequence[str] = ()) -> tuple[Waiver, ...]:
    """The newest waiver of every row, in the order they were given; a line that is no waiver is none.

    but: whose waivers count for nothing, such as the trainers of the release that is judged.
    """
    found: dict[str, Waiver] = {}
    for entry in lines:
        subject = entry.get("subject")
        if entry.get("action") != "waive" or not isinstance(subject, Mapping):
            continue
        if any(same(str(entry.get("actor", "")), name) for name in but):
            continue
        try:
            given, until = (datetime.fromisoformat(str(entry.get("at"))).astimezone(UTC).date(),
                            date.fromisoformat(str(subject.get("until"))))
        except ValueError:
            continue
        row = str(subject.get("row", ""))
        found.pop(row, None)
        found[row] = Waiver(row, str(entry.get("actor", "")), str(entry.get("why", "")), given, until)
    return tuple(found.values())


def _jumps(lines: Sequence[Line]) -> list[str]:
    found: list[str] = []
    at: dict[str, str] = {}
    for entry in moves(lines):
        subject = entry["subject"]
        alias, stood = str(subject.get("alias", "")), at.get(str(subject.get("alias", "")), "")
        if subject.get("before", "") != stood:
            found.append(f"line {entry.get('n')} moves {alias} from {str(subject.get('before'))[:12] or 'nothing'}, "
                         f"but it stood at {stood[:12] or 'nothing'}")
        at[alias] = str(subject.get("release", ""))
    return found
