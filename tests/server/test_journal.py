"""What the control API writes of its requests: names of routes, ids of tokens, and nothing that anybody sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.server.app import app
from shipworthy.store.workspace import open_workspace

from .conftest import TOM, Client, Tokens

RUNS = "/v1/projects/tiny/runs"


@pytest.fixture
def asked(folder: Path, tokens: Tokens, capfd: pytest.CaptureFixture[str]) -> Any:
    """Sends requests to a server whose project asks for a journal, and returns its lines."""
    from ..deployment.integration.conftest import ask

    file = folder / "shipworthy.toml"
    file.write_text(file.read_text() + '\n[serve]\nrequests = "json"\n')
    served = app([open_workspace(folder)], lambda one: tokens)

    def send(*requests: tuple[str, str, Any]) -> list[dict[str, Any]]:
        capfd.readouterr()
        for method, path, body in requests:
            ask(served, method, path, body, ((b"authorization", f"Bearer {TOM}".encode()),))
        return [msgspec.json.decode(line) for line in capfd.readouterr().err.splitlines()]

    return send


def test_a_request_is_a_line_with_its_route_status_and_token(asked: Any) -> None:
    made, listed, health = asked(("POST", RUNS, {}), ("GET", f"{RUNS}?limit=3", b""), ("GET", "/health", b""))
    assert (made["route"], made["status"], made["token"]) == ("POST /v1/projects/{name}/runs", 202, "0a1b2c3d")
    assert (listed["route"], listed["status"]) == ("GET /v1/projects/{name}/runs", 200)
    assert (health["route"], health["token"]) == ("GET /health", "")
    assert made["ms"] >= 0
    assert len({line["request"] for line in (made, listed, health)}) == 3


def test_nothing_that_was_sent_is_in_a_line(asked: Any) -> None:
    lines = asked(("GET", "/ada-lovelace", b""), ("GET", "/v1/projects/ada-lovelace/runs", b""),
                  ("ADA-LOVELACE", "/health", b""), ("POST", RUNS, {"source": "ada-lovelace"}),
                  ("GET", f"{RUNS}/ada-lovelace", b""))
    assert [line["status"] for line in lines] == [404, 404, 405, 422, 404]
    assert "ada" not in str(lines)
    assert lines[0]["route"] == "other"


def test_the_id_of_a_request_is_told_again_and_only_if_it_is_a_sane_one(client: Client) -> None:
    with client.open("GET", RUNS, x_request_id="b2f1c0de-0001") as answer:
        assert answer.getheader("x-request-id") == "b2f1c0de-0001"
    with client.open("GET", RUNS, x_request_id="030 123456") as answer:
        assert answer.getheader("x-request-id") not in (None, "030 123456")
    with client.open("GET", RUNS) as answer:
        assert answer.getheader("x-request-id") is None
