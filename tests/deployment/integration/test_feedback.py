"""Feedback that is posted becomes a ticket, and a release names those that it was made with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.core.tickets import read_tickets
from shipworthy.deployment.integration.feedback import feedback_kept
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.sabotage.guidelines import deaf, forgotten


def test_feedback_that_is_posted_is_a_ticket_that_names_the_release(
    release: Release, project: Project, tmp_path: Path
) -> None:
    with Server(release, tmp_path / "log", project) as server, Connection(server.address) as connection:
        status, body = connection.post("/v1/feedback", b'{"words": "It refuses everybody.", "by": "ann"}')
        refused = [connection.post("/v1/feedback", wrong) for wrong in (b"{}", b"no", b'{"words": ""}')]
        documented = connection.json("/openapi.json")["paths"]
    [ticket] = read_tickets(tmp_path / "log")
    assert (status, json.loads(body)) == (200, {"ticket": ticket.id})
    assert (ticket.words, ticket.by, ticket.release, ticket.caller) == (
        "It refuses everybody.", "ann", release.id[:16], "anonymous")
    assert [one for one, _ in refused] == [422, 400, 422]
    assert "this is no feedback" in refused[0][1].decode()
    assert "/v1/feedback" in documented


def test_a_door_that_is_shut_is_not_there(release: Release, project: Project, tmp_path: Path) -> None:
    shut = msgspec.structs.replace(project, serve=msgspec.structs.replace(project.serve, feedback=False))
    with Server(release, tmp_path / "log", shut) as server, Connection(server.address) as connection:
        assert connection.post("/v1/feedback", b'{"words": "a"}')[0] == 404
        assert "/v1/feedback" not in connection.json("/openapi.json")["paths"]


def test_the_check_passes_where_feedback_is_kept_and_fails_where_it_goes_nowhere(
    release: Release, project: Project
) -> None:
    case: dict[str, Any] = {"project": project, "release": release, "tickets": ()}
    assert feedback_kept(**case).verdict == "pass"
    assert feedback_kept(**deaf(case)).sentence.startswith("Feedback goes nowhere: a server answered 404")
    lost = feedback_kept(**forgotten(case))
    assert (lost.verdict, lost.counterexample) == ("fail", {"tickets": ["0123456789abcdef"]})
