"""Feedback: what somebody said about an answer, kept as a ticket until a review answers it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from shipworthy.core.canon import canonical, digest
from shipworthy.errors import BadData, StoreError

FOLDER = "feedback"
MOST = 10_000


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is posted: words, of whom if they say so, and about which answer."""

    words: Annotated[str, msgspec.Meta(min_length=1, max_length=4_000)]
    by: Annotated[str, msgspec.Meta(max_length=200)] = ""
    prediction_id: Annotated[str, msgspec.Meta(max_length=80)] = ""


class Ticket(msgspec.Struct, frozen=True):
    """One piece of feedback. id: of its content. at: UTC. release: that answered then. caller: who the server says."""

    id: str
    at: str
    words: str
    by: str = ""
    prediction_id: str = ""
    release: str = ""
    caller: str = ""


def read_said(body: bytes) -> Said:
    """The feedback of a request. Raises BadData, and msgspec's DecodeError for what is no JSON."""
    try:
        return msgspec.json.decode(body, type=Said)
    except msgspec.ValidationError as error:
        raise BadData(f"this is no feedback: {error}", where="body",
                      hint='send {"words": "…"}, and if you like by and prediction_id') from error


def heard(folder: Path, body: bytes, *, release: str, caller: str) -> dict[str, str]:
    """What is answered to the feedback of a request, which is a ticket by then. Raises as `read_said` and `keep` do."""
    return {"ticket": keep(folder, read_said(body), release=release, caller=caller).id}


def keep(folder: Path, said: Said, *, release: str = "", caller: str = "") -> Ticket:
    """The ticket that now lies under `folder`/feedback, whole. Raises StoreError, also where 10,000 lie there."""
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    ticket = Ticket(digest([at, said])[:16], at, said.words, said.by, said.prediction_id, release, caller)
    home = folder / FOLDER
    path = home / f"{ticket.id}.json"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if len(os.listdir(home)) >= MOST:
            raise StoreError(f"{MOST:,} pieces of feedback wait already", where=str(home),
                             hint="read them, and move them away: shipworthy review tickets")
        part = path.with_suffix(".part")
        part.write_bytes(canonical(ticket))
        part.replace(path)
    except OSError as error:
        raise StoreError(f"the feedback was not kept: {error.strerror}", where=str(path),
                         hint="check the disk and the permissions of its folder") from error
    return ticket


def read_tickets(folder: Path) -> tuple[Ticket, ...]:
    """Every ticket under `folder`/feedback, oldest first. Raises BadData naming a file that is none."""
    found = []
    for path in (folder / FOLDER).glob("*.json"):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Ticket))
        except msgspec.MsgspecError as error:
            raise BadData(f"this is no ticket: {error}", where=str(path), hint="move it away") from error
    return tuple(sorted(found, key=lambda ticket: ticket.at))
