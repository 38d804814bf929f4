"""A tiny project, a gate in memory, a control server on loopback, and workers that can be killed."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.deployment.integration.serving.refusals import Refused
from shipworthy.server.app import App, app
from shipworthy.server.host import Listener
from shipworthy.store.jobs import Job, Jobs
from shipworthy.store.workspace import Workspace, open_workspace

from ..cli.conftest import fill
from ..deployment.integration.conftest import ask as plainly

TOM, ANN, ROOT, READER = "tom-secret", "ann-secret", "root-secret", "reader-secret"
HOLDERS = {TOM: ("tom@example.org", {"train"}), ANN: ("ann@example.org", {"approve"}),
           ROOT: ("root@example.org", {"train", "admin"}), READER: ("server", {"predict", "label"})}
WAITS = '''"""A check that ends when the pipe beside it does."""
from __future__ import annotations
from pathlib import Path
from shipworthy.core.evidence import Finding, say
from shipworthy.core.model import Model
from shipworthy.marks import check


@check("a-first-one", row="deployment.operations")
def a_first_one(model: Model) -> Finding:
    """Whether the pipe ended."""
    (Path(__file__).parent / "pipe").read_text()
    print("the pipe has ended")
    return say("pass", "It ended.")
'''


@dataclass(frozen=True)
class Caller:
    name: str
    token: str = "0a1b2c3d"


@dataclass
class Tokens:
    """A gate that knows four tokens. spent: holders whose budget is."""

    spent: set[str] = field(default_factory=set)

    def allows(self, authorization: bytes | None, scope: str) -> Caller:
        kind, _, secret = (authorization or b"").decode("latin-1").partition(" ")
        holder, scopes = HOLDERS.get(secret, ("", set()))
        if kind != "Bearer" or not holder:
            raise Refused(401, "this token is not known", field="authorization")
        if scope not in scopes:
            raise Refused(403, f"this token may not {scope}", field="authorization")
        if holder in self.spent:
            raise Refused(429, "the budget is spent", field="authorization")
        return Caller(holder)


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny project."""
    return fill(tmp_path / "project")


@pytest.fixture
def place(folder: Path) -> Workspace:
    return open_workspace(folder)


@pytest.fixture
def jobs(place: Workspace) -> Jobs:
    return Jobs(place.store.metadata.engine)


@pytest.fixture
def served(place: Workspace, tokens: Tokens) -> App:
    return app([place], lambda one: tokens, most_bytes=100_000)


Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def ask(served: App) -> Ask:
    """Status and body of a request in this process, with a token and headers."""

    def asked(method: str, path: str, body: Any = b"", *, token: str = TOM, **headers: str) -> tuple[int, Any]:
        sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        sent += [(b"authorization", f"Bearer {token}".encode())] if token else []
        return plainly(served, method, path, body, tuple(sent))

    return asked


class Client:
    """One request a connection; a stream of events as an iterator."""

    def __init__(self, port: int) -> None:
        self.port = port

    def open(self, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"authorization": f"Bearer {TOM}", **{key.replace("_", "-"): value for key, value in headers.items()}}
        connection.request(method, path, body, sent)
        return connection.getresponse()

    def json(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        with self.open(method, path, body, **headers) as answer:
            return answer.status, msgspec.json.decode(answer.read() or b"null")

    def events(self, path: str, **headers: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """(number, kind, body) as they come, until the stream ends."""
        with self.open("GET", path, **headers) as answer:
            assert answer.getheader("content-type") == "text/event-stream"
            told: dict[str, str] = {}
            for raw in answer:
                line = raw.decode().rstrip("\n")
                if line:
                    key, _, value = line.partition(": ")
                    told[key] = value
                elif "id" in told:
                    yield int(told["id"]), told["event"], msgspec.json.decode(told["data"])
                    told = {}


@pytest.fixture
def client(served: App) -> Iterator[Client]:
    """A client of the control server, which runs in a thread on a free port."""
    up = threading.Event()
    listener = Listener(served, up.set)
    listener.config.port = 0
    thread = threading.Thread(target=listener.run)
    thread.start()
    assert up.wait(30)
    yield Client(listener.servers[0].sockets[0].getsockname()[1])
    served.draining = listener.should_exit = True
    thread.join()


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts `shipworthy worker` for the project; what still runs at the end is killed."""
    began: list[subprocess.Popen[str]] = []

    def begin(*more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from shipworthy.cli import main; main()", "worker", "-p", str(folder), *more]
        began.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return began[-1]

    yield begin
    for worker in began:
        if worker.poll() is None:
            worker.send_signal(signal.SIGKILL)
        worker.communicate()


@pytest.fixture
def pipe(folder: Path) -> Path:
    """A pipe at which every run of the project waits while it judges, after all that is kept."""
    (folder / "waits.py").write_text(WAITS)
    file = folder / "shipworthy.toml"
    file.write_text(file.read_text().replace('trainer = "tom"', 'trainer = "tom"\nplugins = ["waits.py"]'))
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def ended(jobs: Jobs, id: str) -> Job:
    found = jobs.get(id)
    assert found and not found.open
    return found
