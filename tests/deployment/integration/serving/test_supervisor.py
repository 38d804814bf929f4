"""A whole server as a container runs it: told to stop under load, its worker killed, its release spoilt."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.core.release import Release
from shipworthy.deployment.integration.log.read import read_log
from shipworthy.deployment.integration.releases.history import promote
from shipworthy.deployment.integration.releases.shelf import unlock
from shipworthy.deployment.integration.releases.use import unused
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.probe import probe
from shipworthy.deployment.integration.serving.standing import Stand, Standing, write_standing
from shipworthy.deployment.integration.serving.start import job, main
from shipworthy.errors import Misuse, StoreError
from shipworthy.store import Store

from ..conftest import record

ROW = msgspec.json.encode(record())
PROJECT = '[project]\nname = "ward"\n[data]\ntarget = "ill"\n'
CLIENTS = 4


@pytest.fixture
def release(trained: Callable[..., Release]) -> Release:
    return trained()


@pytest.fixture
def folder(store: Store, release: Release) -> Path:
    """A project whose champion is the release, as a volume of a container holds it."""
    (store.folder / "shipworthy.toml").write_text(PROJECT)
    promote(store, release, by="ann@example.org", why="the first")
    return store.folder


class Running:
    """A server started as a container starts it; what it says is read line by line."""

    def __init__(self, folder: Path, workers: int = 1) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = folder / ".shipworthy" / "log"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "shipworthy.deployment.integration.serving.start", str(folder), "--host",
             "127.0.0.1", "--port", str(self.port), "--workers", str(workers)], stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4] / "src")})
        self.said = self.line()

    def line(self) -> str:
        assert self.process.stderr
        return self.process.stderr.readline().strip()

    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def end(self) -> tuple[int, str]:
        """Exit code and what was said last."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@contextmanager
def running(folder: Path, workers: int = 1) -> Iterator[Running]:
    made = Running(folder, workers)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


def half_sent(port: int, path: bytes) -> socket.socket:
    """A connection that has sent all of a request but the last byte of its body."""
    made = socket.create_connection(("127.0.0.1", port), 30)
    made.sendall(b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (path, len(ROW)) + ROW[:-1])
    return made


def until(found: Callable[[], bool]) -> None:
    """Ask again and again; the test's own time limit is that of its connections."""
    while not found():
        os.sched_yield()


def in_progress(connection: Connection) -> int:
    text = connection.get("/metrics")[1].decode()
    return int(text.split("\nrest_server_requests_in_progress ")[1].split()[0])


def gone(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("path, counted", [(b"/v1/predict", 0), (b"/v1/predict?contributions=0", 1)])
def test_what_is_under_way_is_answered_after_the_server_was_told_to_stop(
    folder: Path, path: bytes, counted: int
) -> None:
    """The short way in counts a request when it is whole; that it was read shows by later ones being answered."""
    with running(folder) as server:
        assert server.said == "ready with 1 worker"
        slow = half_sent(server.port, path)
        with Connection(server.address) as other:
            until(lambda: in_progress(other) == counted)
            assert [other.get("/ready")[0] for _ in range(20)] == [200] * 20
        server.process.send_signal(signal.SIGTERM)
        until(lambda: gone(server.port))
        slow.sendall(ROW[-1:])
        answer = b""
        while piece := slow.recv(65_536):
            answer += piece
        slow.close()
        assert server.end()[0] == 0
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    logged, _ = read_log(server.log, None)
    assert [json.loads(body)["prediction_id"]] == list(logged.words("prediction_id"))


class Client(threading.Thread):
    """Asks one row after another, over new connections too, until nobody listens. torn: answers that broke off."""

    def __init__(self, port: int, begun: threading.Barrier) -> None:
        super().__init__()
        self.port, self.begun = port, begun
        self.acknowledged: list[str] = []
        self.torn: list[bytes] = []
        self.others: list[int] = []

    def run(self) -> None:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 30) as connection:
                    while self._ask(connection):
                        if len(self.acknowledged) == 50:
                            self.begun.wait()
            except OSError as error:
                if isinstance(error, ConnectionRefusedError):
                    return

    def _ask(self, connection: socket.socket) -> bool:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(ROW) + ROW)
        raw = b""
        while not (b"\r\n\r\n" in raw and raw.endswith(b"}")):
            piece = connection.recv(65_536)
            if not piece:
                if raw:
                    self.torn.append(raw)
                return False
            raw += piece
        head, _, body = raw.partition(b"\r\n\r\n")
        if head[9:12] == b"200":
            self.acknowledged.append(json.loads(body)["prediction_id"])
        else:
            self.others.append(int(head[9:12]))
        return b"connection: close" not in head.lower()


def test_a_server_that_is_told_to_stop_under_load_tears_no_answer_and_loses_none(folder: Path) -> None:
    begun = threading.Barrier(CLIENTS + 1)
    with running(folder, workers=2) as server:
        clients = [Client(server.port, begun) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        begun.wait(60)
        server.process.send_signal(signal.SIGTERM)
        for client in clients:
            client.join(60)
        assert server.end()[0] == 0
    acknowledged = [place for client in clients for place in client.acknowledged]
    logged = set(read_log(server.log, None)[0].words("prediction_id"))
    assert len(acknowledged) >= 50 * CLIENTS
    assert set(acknowledged) <= logged
    assert [client.torn for client in clients] == [client.others for client in clients] == [[]] * CLIENTS


def test_a_killed_worker_is_replaced_and_a_server_whose_workers_keep_dying_stops_with_the_cause(folder: Path) -> None:
    with running(folder) as server:
        for _ in range(4):
            (worker,) = server.workers()
            os.kill(worker, signal.SIGKILL)
            assert server.line() == "worker 0 ended (exit code -9); starting another"
            until(lambda: probe(f"{server.address}/ready")[0])
        os.kill(server.workers()[0], signal.SIGKILL)
        code, said = server.end()
    assert code == 2
    assert "workers end again and again: exit code -9" in said
    assert gone(server.port)


def test_the_release_that_a_server_was_started_with_is_in_use_though_its_workers_end(
    folder: Path, release: Release
) -> None:
    with running(folder) as server:
        os.kill(server.workers()[0], signal.SIGKILL)
        with unused(release.folder) as free:
            assert not free
        server.process.terminate()
        server.end()
    with unused(release.folder) as free:
        assert free


def test_a_release_that_was_spoilt_stops_the_server_in_the_words_of_its_worker(folder: Path, release: Release) -> None:
    with running(folder) as server:
        unlock(release.folder)
        (release.folder / "card.md").write_text("better")
        os.kill(server.workers()[0], signal.SIGKILL)
        code, said = server.end()
    assert code == 2
    assert "a file of the release was altered" in said and "card.md" in said
    assert gone(server.port)


def test_readiness_tells_why_what_was_told_last_is_not_followed(folder: Path, store: Store) -> None:
    with running(folder) as server, Connection(server.address) as connection:
        before = connection.json("/ready")
        write_standing(store.home, Standing(9, Stand("0" * 64, "releases/none")))
        told: dict[str, Any] = {}
        until(lambda: told.update(connection.json("/ready")) or "cause" in told)
    assert "cause" not in before
    assert (told["ready"], told["release"]) == (True, before["release"])
    assert told["cause"].startswith("cannot change to what was told: ")


def test_a_probe_says_what_was_answered(folder: Path) -> None:
    with running(folder) as server:
        assert probe(f"{server.address}/health") == (True, '{"live":true}')
        assert probe(f"{server.address}/nothing")[0] is False
        server.process.terminate()
        assert server.end()[0] == 0
    well, said = probe(server.address)
    assert not well and "refused" in said


def test_a_container_serves_what_the_servers_were_told_last_at_its_own_address(
    folder: Path, release: Release
) -> None:
    found = job(folder, host="0.0.0.0", port=8443, workers=3)
    assert found.release == str(release.folder)
    assert (found.serving.host, found.serving.port, found.workers) == ("0.0.0.0", 8443, 3)
    assert found.home == str(folder / ".shipworthy")
    assert (job(folder).serving.port, job(folder).beside) == (8000, ())
    module, where = job(folder, keep=True).beside
    assert (find_spec(module) is not None, where) == (True, str(folder))


def test_where_nothing_is_in_production_nothing_starts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("serving.json", "ledger.jsonl"):
        (folder / ".shipworthy" / name).unlink()
    with pytest.raises(Misuse, match="nothing is in production"):
        job(folder)
    with pytest.raises(SystemExit) as stop:
        main([str(folder)])
    assert stop.value.code == 2
    assert "hint: shipworthy promote --by YOU --why REASON" in capsys.readouterr().err


def test_an_address_that_is_taken_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit):
        main([str(folder), "--port", str(taken.getsockname()[1])])
    assert "nothing can listen there" in capsys.readouterr().err
    with pytest.raises(StoreError):
        Connection(f"http://127.0.0.1:{1}")
