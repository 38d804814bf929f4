"""The control server as a person starts it: closed, told where it listens, and ended by a signal."""

from __future__ import annotations

import http.client
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")


def ask(address: str, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, msgspec.json.decode(answer.read())


def test_it_is_closed_to_whoever_has_no_token_and_ends_when_told(
    start: Callable[..., Any], project: Callable[..., Path]
) -> None:
    server = start("control", "-p", project(), "--port", "0")
    lines = [server.stderr.readline() for _ in range(2)]
    assert lines[0] == "control of tiny; the runs it queues are done by: shipworthy worker\n"
    address = lines[1].removeprefix("listening on ").strip()
    assert ask(address, "/health") == (200, {"live": True})
    status, body = ask(address, "/v1/projects")
    assert (status, body["error"]["field"]) == (401, "authorization")
    server.send_signal(signal.SIGTERM)
    _, err = server.communicate()
    assert "Traceback" not in err


def test_an_address_that_is_taken_is_told_before_anything_starts(call: Any, project: Callable[..., Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = call("control", "-p", project(), "--port", port)
    assert told.code == 2
    assert told.problem.startswith(f"error: nothing can listen there: Address already in use\n  at: 127.0.0.1:{port}")


def test_a_worker_without_runs_ends_at_once_when_it_is_to_drain(
    start: Callable[..., Any], project: Callable[..., Path]
) -> None:
    worker = start("worker", "-p", project(), "--drain")
    out, err = worker.communicate()
    assert (worker.returncode, out) == (0, "")
    assert err.startswith("worker ") and err.endswith(" waits for runs\n")


def test_a_worker_of_a_folder_that_is_no_project_is_told(call: Any, tmp_path: Path) -> None:
    told = call("worker", "-p", tmp_path)
    assert (told.code, told.problem.splitlines()[0]) == (2, "error: there is no project file")
