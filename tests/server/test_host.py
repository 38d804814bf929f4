"""Connections that keep the control API waiting: they are closed, and those that ask are answered meanwhile."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from shipworthy.errors import StoreError
from shipworthy.server import patience, web
from shipworthy.server.app import MOST_REQUESTS, App
from shipworthy.server.host import serve

from .conftest import ANN, TOM, Ask, Client

RUNS = "/v1/projects/tiny/runs"
HEAD = f"POST {RUNS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOM}\r\n"


def rest(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    connection.settimeout(30)
    found = b""
    while piece := connection.recv(65_536):
        found += piece
    return found


def until(connection: socket.socket, end: bytes) -> bytes:
    """What comes up to these last bytes: one answer may come in several pieces."""
    connection.settimeout(30)
    found = b""
    while not found.endswith(end) and (piece := connection.recv(65_536)):
        found += piece
    return found


def begun(client: Client, words: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", client.port))
    connection.sendall(words)
    return connection


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits for a head or a body for an instant only."""
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.05)
    monkeypatch.setattr(web, "BODY_SECONDS", 0.05)


def test_silent_connections_keep_nobody_out(client: Client) -> None:
    with ExitStack() as stack:
        for _ in range(260):
            stack.enter_context(begun(client))
        assert client.json("GET", RUNS) == (200, {"runs": []})


def test_beyond_the_most_connections_the_one_that_waited_longest_makes_room(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "MOST_CONNECTIONS", 1)
    with begun(client) as first, begun(client) as second:
        assert rest(first) == b""
        second.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert rest(second).endswith(b'{"live":true}')


@pytest.mark.usefixtures("hasty")
def test_a_connection_that_says_nothing_is_closed(client: Client) -> None:
    with begun(client) as silent:
        assert rest(silent) == b""


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("before", [False, True])
def test_a_head_that_does_not_come_whole_is_told_and_closed(client: Client, before: bool) -> None:
    with begun(client) as slow:
        if before:
            slow.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert until(slow, b'{"live":true}').startswith(b"HTTP/1.1 200 ")
        slow.sendall(b"GET /health HTTP/1.1\r\nhost:")
        told = rest(slow)
        assert told.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"the head of the request did not come within" in told


@pytest.mark.usefixtures("hasty")
def test_a_body_that_goes_on_after_its_refusal_does_not_keep_the_connection(client: Client) -> None:
    words = f"POST {RUNS} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999\r\n\r\n".encode()
    with begun(client, words) as slow:
        assert slow.recv(65_536).startswith(b"HTTP/1.1 401 ")
        slow.sendall(b"x")
        assert b"408" not in rest(slow)


def test_a_head_that_is_too_large_is_refused_whether_or_not_it_ends(client: Client, ask: Ask) -> None:
    words = b"GET /health HTTP/1.1\r\nhost: x\r\nx: "
    with begun(client, words.ljust(patience.HEAD_BYTES + 1, b"y")) as large:
        assert rest(large).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert ask("GET", "/health", x="y" * patience.HEAD_BYTES)[0] == 431


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", ["application/json", "text/csv"])
def test_a_body_that_does_not_come_is_refused(client: Client, kind: str) -> None:
    words = f"{HEAD}content-type: {kind}\r\ncontent-length: 99\r\nconnection: close\r\n\r\nx".encode()
    with begun(client, words) as slow:
        told = rest(slow)
        assert told.startswith(b"HTTP/1.1 408 ")
        assert msgspec.json.decode(told.partition(b"\r\n\r\n")[2])["error"]["field"] == "body"


def test_beyond_the_most_requests_one_is_told_to_come_back_and_health_is_answered(served: App, ask: Ask) -> None:
    served._under_way = MOST_REQUESTS
    assert ask("GET", RUNS, token=ANN)[0] == 503
    assert ask("GET", "/health", token="")[0] == 200
    served._under_way = 0
    assert ask("GET", RUNS, token=ANN)[0] == 200


def test_an_address_of_another_machine_is_refused(served: App, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing can listen there"):
        serve(served, "192.0.2.1", 0)
