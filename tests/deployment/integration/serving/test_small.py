"""The serving process is small: what trains, stores or reads tables is neither imported nor mapped by it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.store import Store

from ..conftest import record

HEAVY = {"alembic", "deltalake", "duckdb", "fsspec", "interpret", "jinja2", "joblib", "lightgbm", "opentelemetry",
         "optuna", "pandas", "polars", "pyarrow", "scipy", "sklearn", "sqlalchemy", "tqdm", "vl_convert"}
SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from shipworthy.deployment.integration.serving import host, job, probe, start, worker
release, log, home, row, label = sys.argv[1:]
app, _ = worker.made(job.Job(release, log, None, job.Serving(), home))
def ask(method, path, body=""):
    sent = []
    async def receive(): return {"type": "http.request", "body": body.encode(), "more_body": False}
    async def send(message): sent.append(message)
    asked = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
    asyncio.run(app(asked, receive, send))
    return sent[0]["status"], sent[1]["body"]
status, body = ask("POST", "/v1/predict", row)
told = [status, ask("POST", "/v1/predict", f"[{row},{row}]")[0], ask("GET", "/metrics")[0], ask("GET", "/ready")[0],
        ask("POST", "/v1/labels", label.replace("ID", json.loads(body)["prediction_id"]))[0]]
print(json.dumps({"told": told, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""
ABOVE = "import sys; from shipworthy.deployment.integration.serving import host; print(*sys.modules)"
LABEL = '[{"prediction_id": "ID", "label": "yes", "observed_at": "2024-07-09T08:00:00Z", "source": "ward"}]'


def test_a_server_that_answers_and_takes_labels_has_imported_nothing_heavy(
    release: Release, store: Store, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(release.folder), str(tmp_path / "log"), str(store.home),
         json.dumps(record()), LABEL],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4] / "src")})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["told"] == [200] * 5
    assert HEAVY & set(found["modules"]) == set()
    assert {"shipworthy", "uvicorn", "msgspec", "numpy"} <= set(found["modules"])


def test_the_process_above_the_workers_imports_nothing_that_answers() -> None:
    done = subprocess.run([sys.executable, "-c", ABOVE], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4] / "src")})
    found = {name.partition(".")[0] for name in done.stdout.split()}
    assert {"shipworthy", "msgspec"} <= found
    assert found & (HEAVY | {"numpy", "uvicorn", "cryptography", "asyncio"}) == set()


def test_a_worker_that_answers_has_mapped_nothing_heavy(release: Release, project: Project, tmp_path: Path) -> None:
    if not Path("/proc/self/maps").exists():
        pytest.skip("this system does not tell what a process has mapped")
    with Server(release, tmp_path / "log", project) as server, Connection(server.address) as connection:
        for body in (record(), [record()] * 20):
            assert connection.post("/v1/predict", msgspec.json.encode(body))[0] == 200
        maps = Path(f"/proc/{server.pid}/maps").read_text()
    mapped = set(re.findall(r"/site-packages/([A-Za-z0-9_]+)", maps))
    assert {name.removesuffix("_libs") for name in mapped} & HEAVY == set()
    assert "numpy" in mapped
