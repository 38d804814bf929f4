"""A live server, and a way to run a small script with other people's clients in an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shipworthy.core.evidence import Evidence
from shipworthy.core.project import Serving
from shipworthy.core.release import Identity, Release
from shipworthy.deployment.integration.releases import sign
from shipworthy.deployment.integration.releases.release import write_release
from shipworthy.deployment.integration.serving.host import Server

from ..deployment.integration.conftest import patients, small_model

SCRIPTS = Path(__file__).parent / "scripts"


@pytest.fixture(scope="session")
def clients() -> Path:
    """The bin folder of the clients' environment."""
    folder = os.environ.get("SHIPWORTHY_CLIENTS")
    if not folder:
        pytest.skip("SHIPWORTHY_CLIENTS names no environment with clients; .ci/clients makes one")
    return Path(folder).resolve() / "bin"


@pytest.fixture(scope="session")
def ward(clients: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder, table = tmp_path_factory.mktemp("ward"), patients()
    model = small_model().with_sheet(reference=(40.0, 0.1, 0.0, 0.0, 12.0, 3.0, 1.0))
    return write_release(folder, name="ward", model=model, evidence=Evidence(()),
                         identity=Identity("c0de", model.digest, table.digest), key=sign.make_key(folder / "key.pem"),
                         extras={})


@pytest.fixture(scope="session")
def server(ward: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(ward, tmp_path_factory.mktemp("log"), Serving(max_rows=1000)) as running:
        yield running


@pytest.fixture
def told(clients: Path, server: Server) -> Callable[..., Any]:
    """Runs a script of this folder against the server, and returns what it prints as JSON."""

    def run(script: str, asked: Any = None) -> Any:
        done = subprocess.run([clients / "python", SCRIPTS / script, server.address], input=json.dumps(asked),
                              text=True, capture_output=True, timeout=120, check=False,
                              env={"PATH": os.environ["PATH"]})
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def client(clients: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program of that environment: its name, then its arguments."""

    def run(name: str, *args: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([clients / name, *map(str, args)], capture_output=True, text=True, timeout=60)

    return run
