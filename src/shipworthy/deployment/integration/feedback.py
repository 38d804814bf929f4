"""Does feedback reach anybody? What is posted to a real server must become a ticket and enter the training manifest."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from shipworthy.core.evidence import Finding, say
from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.core.tickets import Ticket, read_tickets
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.errors import StoreError
from shipworthy.marks import check

WORDS = "A drill: is anybody there?"


@check("feedback-kept", row="trust.involvement")
def feedback_kept(project: Project, release: Release, tickets: tuple[Ticket, ...]) -> Finding:
    """Whether what somebody posts to a real server becomes a ticket, and a release names those that it was made with.

    A server process of its own on this machine; its ticket is thrown away with it. tickets: of the project's own server
    when the release was made, each of which must be in its manifest.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        try:
            with Server(release, log, project) as server, Connection(server.address) as connection:
                status, _ = connection.post("/v1/feedback", msgspec.json.encode({"words": WORDS, "by": "drill"}))
        except StoreError as error:
            return say("unknown", f"The server did not answer: {error.problem}. {error.hint}", remedy=error.hint)
        kept = [ticket for ticket in read_tickets(log) if ticket.words == WORDS]
    if status != 200 or len(kept) != 1:
        return say("fail", f"Feedback goes nowhere: a server answered {status} to it and kept {len(kept)} tickets.",
                   value=float(len(kept)), limit=1.0, n=1, remedy="[serve] feedback = true")
    path = release.folder / "tickets.json"
    named = msgspec.json.decode(path.read_bytes(), type=tuple[Ticket, ...]) if path.exists() else ()
    lost = {ticket.id for ticket in tickets} - {ticket.id for ticket in named}
    if lost:
        return say("fail", f"{len(lost)} of {len(tickets)} tickets are not in the release that was made after them.",
                   value=float(len(lost)), limit=0.0, n=len(tickets), counterexample={"tickets": sorted(lost)[:10]},
                   remedy="shipworthy run makes the release again, with every ticket")
    return say("pass", "A server kept what was posted to it as a ticket, and the release names all "
               f"{len(tickets)} tickets that it was made with.", value=0.0, limit=0.0, n=1 + len(tickets))
