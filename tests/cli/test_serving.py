"""The server as it is started: workers that share a port, the keeper beside them, champions that change meanwhile."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from shipworthy.deployment.integration.log.counts import read_counts
from shipworthy.deployment.integration.log.read import predictions
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.store.workspace import open_workspace

BODY = b'{"size": 0.5, "noise": 0.1, "colour": "a"}'
LIMIT_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(start: Callable[..., subprocess.Popen[str]], folder: Path, *more: object) -> Iterator[tuple[str, Any]]:
    """The address of a running server, and its process."""
    port = free_port()
    child = start("serve", "-p", folder, "--port", port, *more)
    try:
        told = []
        for line in iter(child.stderr.readline, ""):
            told.append(line)
            if line.startswith("ready"):
                break
        else:
            raise AssertionError("".join(told))
        yield f"http://127.0.0.1:{port}", child
    finally:
        child.kill()
        child.communicate()


def until(what: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_SECONDS
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.05)  # between two looks at a process of its own


def promoted(call: Any, folder: Path) -> str:
    assert call("run", "-p", folder).code == 0
    told = call("promote", "-p", folder, "--by", "ann", "--why", "it is fit", "--json")
    assert told.code == 0, told.err
    return str(re.search(r"[0-9a-f]{64}", told.out)[0])  # type: ignore[index]


def test_a_server_follows_the_champion_counts_what_it_served_and_stops_cleanly(
    call: Any, start: Any, project: Callable[..., Path]
) -> None:
    folder = project()
    first = promoted(call, folder)
    with serving(start, folder, "--workers", 2) as (address, child):
        with Connection(address) as connection:
            answers = [connection.post("/v1/predict", BODY) for _ in range(50)]
            assert {status for status, _ in answers} == {200}
            assert {msgspec.json.decode(body)["release"] for _, body in answers} == {first[:16]}
            text = (folder / "shipworthy.toml").read_text()
            (folder / "shipworthy.toml").write_text(text.replace("seconds = 2", "seconds = 3\nseed = 7"))
            second = promoted(call, folder)
            assert second != first
            until(lambda: connection.json("/version")["release"] == second)
            assert call("rollback", "-p", folder, "--by", "ann", "--why", "as it was").code == 0
            until(lambda: connection.json("/version")["release"] == first)
            metrics = connection.get("/metrics")[1].decode()
            assert f'shipworthy_predictions_total{{release="{first[:16]}"}} 50' in metrics
        place = open_workspace(folder)
        until(lambda: any(name == first for name in read_counts(place.store.home / "counts").releases))
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
    assert predictions(place.log, place.store.tables).rows == 50


def worker_of(server: int) -> int:
    found = subprocess.run(["pgrep", "-P", str(server), "-f", "serving.worker"], capture_output=True, text=True)
    return int(found.stdout.split()[0])


def heard(child: Any, words: str) -> str:
    """The first line of stderr that holds the words."""
    for line in iter(child.stderr.readline, ""):
        if words in line:
            return str(line)
    raise AssertionError(f"it ended without {words!r}")


def test_a_worker_that_is_killed_is_started_again_with_the_champion_of_that_time(
    call: Any, start: Any, project: Callable[..., Path]
) -> None:
    folder = project()
    with (folder / "shipworthy.toml").open("a") as file:
        file.write('[serve]\nrequests = "json"\n')
    first = promoted(call, folder)
    with serving(start, folder, "--no-keep") as (address, child):
        with Connection(address) as connection:
            ids = [json.loads(connection.post("/v1/predict", BODY)[1])["prediction_id"] for _ in range(20)]
        assert json.loads(heard(child, '"route"'))["rows"] == 1
        text = (folder / "shipworthy.toml").read_text()
        (folder / "shipworthy.toml").write_text(text.replace("seconds = 2", "seconds = 3\nseed = 7"))
        second = promoted(call, folder)
        subprocess.run(["kill", "-9", str(worker_of(child.pid))], check=True)
        heard(child, "starting another")
        with Connection(address) as connection:
            answer = json.loads(connection.post("/v1/predict", BODY)[1])
        assert answer["release"] == second[:16] != first[:16]
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
    assert {*ids, answer["prediction_id"]} <= set(predictions(open_workspace(folder).log).words("prediction_id"))


def test_a_worker_that_cannot_start_does_not_stop_the_others(
    call: Any, start: Any, project: Callable[..., Path]
) -> None:
    folder = project()
    promoted(call, folder)
    releases, hidden = folder / "releases", folder / "hidden"
    with serving(start, folder, "--no-keep", "--workers", 2) as (address, child):
        releases.rename(hidden)
        subprocess.run(["kill", "-9", str(worker_of(child.pid))], check=True)
        for _ in range(2):
            heard(child, "starting another")
        with Connection(address) as connection:
            assert connection.post("/v1/predict", BODY)[0] == 200
        hidden.rename(releases)
        until(lambda: len(subprocess.run(["pgrep", "-P", str(child.pid), "-f", "serving.worker"], capture_output=True,
                                         text=True).stdout.split()) == 2)
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0


def test_with_a_token_made_only_who_holds_one_is_answered_at_once(
    call: Any, start: Any, project: Callable[..., Path]
) -> None:
    folder = project()
    promoted(call, folder)
    with serving(start, folder, "--no-keep") as (address, _), Connection(address) as connection:
        assert connection.post("/v1/predict", BODY)[0] == 200
        made = call("token", "create", "-p", folder, "--holder", "shop", "--scope", "predict", "--by", "ann")
        assert made.code == 0, made.err
        assert connection.post("/v1/predict", BODY)[0] == 401
