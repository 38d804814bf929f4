"""The control API keeps what its OpenAPI document says. No worker is there, so nothing that is asked for is run."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shipworthy import flow
from shipworthy.deployment.integration.access.gate import Gate
from shipworthy.deployment.integration.access.issue import create
from shipworthy.deployment.integration.access.tokens import SCOPES
from shipworthy.server.app import App, app
from shipworthy.server.host import Listener
from shipworthy.server.openapi import document
from shipworthy.store.jobs import Job, Jobs
from shipworthy.store.workspace import open_workspace

from ..cli.conftest import fill
from .test_openapi import CONFIG


@dataclass(frozen=True)
class Control:
    """A server that answers. run: the id of one that has ended."""

    made: App
    address: str
    token: str
    run: str


@pytest.fixture
def control(clients: Path, tmp_path: Path) -> Iterator[Control]:
    """A control server over a tiny project with a champion, and a token of every scope."""
    place, up = open_workspace(fill(tmp_path / "project")), threading.Event()
    flow.build(place, flow.gather(place))
    flow.promote(place, by="eve", why="it is fit")
    jobs = Jobs(place.store.metadata.engine)
    run = jobs.put(Job(verb="watch", by="tom")).id
    jobs.cancel(run, "tom")
    token, _ = create(place.store, "ada", SCOPES, by="ada")
    made = app([place], lambda one: Gate(one.store.home))
    listener = Listener(made, up.set)
    listener.config.port = 0
    thread = threading.Thread(target=listener.run)
    thread.start()
    assert up.wait(30)
    yield Control(made, f"http://127.0.0.1:{listener.servers[0].sockets[0].getsockname()[1]}", token, run)
    made.draining = listener.should_exit = True
    thread.join()


def met(control: Control) -> Any:
    """The document, with the project and the run that there are, and JSON as the only body that can be written."""
    told = json.loads(json.dumps(document(control.made.routes.routes)))
    there = {"name": "tiny", "id": control.run}
    for operation in (each for path in told["paths"].values() for each in path.values()):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                parameter["schema"] = {"enum": [there[parameter["name"]]]}
        if body := operation.get("requestBody"):
            body["content"] = {"application/json": body["content"]["application/json"]}
    return told


def test_schemathesis_finds_no_answer_that_the_document_does_not_allow(
    clients: Path, control: Control, tmp_path: Path
) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(met(control)))
    done = subprocess.run(
        [clients / "schemathesis", "--config-file", CONFIG, "run", tmp_path / "openapi.json",
         f"--url={control.address}", f"--header=Authorization: Bearer {control.token}", "--max-examples=40", "--seed=7",
         "--generation-database=none", "--no-color", "--phases=examples,coverage,fuzzing"],
        text=True, capture_output=True, timeout=120, check=False, cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stdout[-16000:]
