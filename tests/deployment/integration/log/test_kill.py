"""Servers are killed under load: no answer that a client received may be missing from the log."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from shipworthy.core.project import Project, Serving
from shipworthy.core.release import Release
from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log.log import Heading, Log, predictions
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.errors import StoreError

from ..conftest import record

CLIENTS = 4
KILLS = 20


def killed(server: Server, after: int) -> list[str]:
    """Kill a server while clients ask it one row and several; the ids that they received before."""
    received: list[str] = []
    enough = threading.Event()

    def ask(client: int) -> None:
        body = msgspec.json.encode(record() if client else [record()] * 3)
        try:
            with Connection(server.address) as connection:
                while True:
                    status, answer = connection.post("/v1/predict", body)
                    assert status == 200
                    found = msgspec.json.decode(answer)
                    received.extend(one["prediction_id"] for one in (found if isinstance(found, list) else [found]))
                    if len(received) >= after:
                        enough.set()
        except StoreError:
            enough.set()

    with ThreadPoolExecutor(CLIENTS) as clients:
        asked = [clients.submit(ask, client) for client in range(CLIENTS)]
        enough.wait()
        server.kill()
    for one in asked:
        one.result()
    return received


def drill(release: Release, folder: Path, serving: Serving, kills: int) -> list[str]:
    """What clients received from servers that were killed one after the other; the next is started meanwhile."""
    drawn, received = random.Random(0), list[str]()
    serving = msgspec.structs.replace(serving, max_concurrent=2 * CLIENTS)
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(Server(release, folder, serving).start)
        for kill in range(kills):
            server = coming.result()
            if kill + 1 < kills:
                coming = ahead.submit(Server(release, folder, serving).start)
            received += killed(server, drawn.randrange(1, 300))
    return received


def lost(folder: Path, received: list[str]) -> set[str]:
    """What was received and is not in the log, before and after its files are recovered."""
    before = set(received) - set(predictions(folder).words("prediction_id"))
    Log(folder, Heading("r" * 64, ("no", "yes"), ())).close()
    for path in segments.segments(folder, "predictions"):
        assert segments.whole(path.read_bytes()) == path.stat().st_size
    return before | set(received) - set(predictions(folder).words("prediction_id"))


def test_no_answer_is_lost_when_servers_are_killed_under_load(
    release: Release, project: Project, tmp_path: Path
) -> None:
    received = drill(release, tmp_path / "log", project.serve, KILLS)
    assert len(set(received)) == len(received) >= KILLS
    assert lost(tmp_path / "log", received) == set()


def test_no_answer_is_lost_when_a_server_that_waits_for_the_disk_is_killed(
    release: Release, project: Project, tmp_path: Path
) -> None:
    serving = msgspec.structs.replace(project.serve, log="durable")
    received = drill(release, tmp_path / "log", serving, 1)
    assert received
    assert lost(tmp_path / "log", received) == set()


def test_the_drill_finds_what_a_buffered_log_loses(release: Release, project: Project, tmp_path: Path) -> None:
    serving = msgspec.structs.replace(project.serve, log="buffered")
    received = drill(release, tmp_path / "log", serving, 1)
    assert lost(tmp_path / "log", received)

