"""Servers of this machine that take what is sent: HTTP, and mail."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.deployment.monitoring.incident import Alarm, Cause, Incident, opened

from ..monitoring.conftest import case as case
from ..monitoring.conftest import serve as serve


class Taken:
    """What arrived. answer: the status that HTTP answers with."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.mails: list[tuple[str, tuple[str, ...], str]] = []
        self.answer, self.location, self.port = 200, "", 0


@contextmanager
def serving(server: Any) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def web() -> Iterator[Taken]:
    taken = Taken()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.posts.append((self.path, dict(self.headers), body))
            self.send_response(taken.answer)
            if taken.location:
                self.send_header("Location", taken.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        taken.port = port
        yield taken


@pytest.fixture
def mail() -> Iterator[Taken]:
    taken = Taken()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            sender, to = "", []
            self.say("220 here")
            while line := self.rfile.readline().decode().strip():
                verb = line[:4].upper()
                if verb == "MAIL":
                    sender = line.partition("<")[2].partition(">")[0]
                if verb == "RCPT":
                    to.append(line.partition("<")[2].partition(">")[0])
                if verb == "DATA":
                    self.say("354 go on")
                    taken.mails.append((sender, tuple(to), self.text()))
                self.say("221 bye" if verb == "QUIT" else "250 fine")
                if verb == "QUIT":
                    return

        def text(self) -> str:
            lines = []
            while (line := self.rfile.readline().decode()) not in (".\r\n", ""):
                lines.append(line.rstrip("\r\n"))
            return "\n".join(lines)

        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        taken.port = port
        yield taken


@pytest.fixture
def incident() -> Incident:
    made = opened((Alarm("harm", "day", 1_700_000_000_000_000, 1e6, ("age",)),), "yes", "r" * 64,
                  "the labels prove it", (12.5, "EUR"))
    return msgspec.structs.replace(made, effects={"age": 0.4}, causes=(Cause("data", "other rows arrive", 1.0),))


@pytest.fixture(scope="session")
def shared_guide() -> str:
    return (Path(__file__).resolve().parents[3] / "docs" / "guides" / "runbooks.md").read_text("utf-8")
