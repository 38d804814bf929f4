"""Runs from end to end: asked for over the network, done by workers in processes of their own, followed, and ended."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shipworthy.server.web import Routes
from shipworthy.store import Step, now
from shipworthy.store.jobs import Jobs
from shipworthy.store.workspace import Workspace

from ..cli.conftest import rows, text
from .conftest import ANN, TOM, Client, Start, Tokens, ended

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes of POSIX systems")
ONE = "/v1/projects/tiny"
RUNS = f"{ONE}/runs"


def until_judging(client: Client, id: str) -> int:
    """Follow a run until it judges; the number of the event that said so."""
    for number, kind, body in client.events(f"{RUNS}/{id}/events"):
        if kind == "progress" and body["step"].endswith("a-first-one"):
            return number
    raise AssertionError("it never judged")


def test_a_table_that_is_sent_becomes_a_release_that_another_person_promotes(
    client: Client, start: Start, place: Workspace, jobs: Jobs
) -> None:
    (place.folder / "t.csv").unlink()
    table = text(rows()[:200]).encode()
    status, made = client.json("POST", RUNS, table, content_type="text/csv")
    assert status == 202
    address = f"{RUNS}/{made['id']}"
    start("--drain")
    told = list(client.events(f"{address}/events"))
    assert [number for number, _, _ in told] == list(range(1, len(told) + 1))
    assert [body["state"] for _, kind, body in told if kind == "state"] == ["queued", "running", "done"]
    steps = [body["step"] for _, kind, body in told if kind == "progress"]
    assert steps[0] == "discovering tables, keys and joins"
    assert steps[-1] == "writing the release"
    run = client.json("GET", address)[1]
    assert (run["state"], run["result"]["fit"], run["attempts"]) == ("done", True, 1)
    assert told[-1][2]["result"] == run["result"]
    assert "writing the release" in client.open("GET", f"{address}/log").read().decode()
    assert not list((place.store.home / "uploads").iterdir())
    # a client that comes back misses nothing, and is told when there is nothing more to come
    assert list(client.events(f"{address}/events", Last_Event_ID=str(told[-2][0]))) == told[-1:]
    assert client.open("GET", f"{address}/events", Last_Event_ID=str(told[-1][0])).status == 204
    # who asked for the run trained it, whatever the project file says
    release = run["result"]["release"]
    asked = f'{{"release": "{release[:12]}", "why": "first"}}'
    assert client.json("POST", f"{ONE}/promote", asked)[0] == 403
    assert client.json("GET", f"{ONE}/releases")[1]["releases"][0] | {"created": ""} == {
        "id": release, "name": "tiny", "created": "", "champion": False,
        "identity": client.json("GET", f"{ONE}/releases")[1]["releases"][0]["identity"]}
    status, body = client.json("POST", f"{ONE}/promote", asked, authorization=f"Bearer {ANN}")
    assert (status, body) == (200, {"champion": release, "by": "ann@example.org", "why": "first"})
    champion = client.json("GET", f"{ONE}/champion")[1]
    assert (champion["release"], champion["actor"]) == (release, "ann@example.org")
    assert client.json("GET", f"{ONE}/checklist")[1]["fit"]


def test_a_killed_worker_s_run_is_taken_up_by_another_and_finished(
    client: Client, start: Start, pipe: Path, place: Workspace, jobs: Jobs
) -> None:
    id = client.json("POST", RUNS)[1]["id"]
    first = start("--lease", "1.5")
    seen = until_judging(client, id)
    first.kill()
    first.wait()
    pipe.unlink()
    pipe.write_text("")  # whoever comes next need not wait
    start("--lease", "1.5", "--drain").wait()
    run = ended(jobs, id)
    assert (run.state, run.attempts, run.token) == ("done", 2, 2)
    states = [body for _, kind, body in client.events(f"{RUNS}/{id}/events", Last_Event_ID=str(seen))
              if kind == "state"]
    assert [body["state"] for body in states] == ["running", "done"]
    assert states[0]["attempt"] == 2
    # what the first had finished was not done again
    kept = {(step.step, step.status) for step in place.store.metadata.find(Step)}
    assert kept == {(step, status) for step in ("collect", "clean", "learn") for status in ("done", "reused")}
    assert len(list(place.releases.iterdir())) == 1


def test_a_run_at_work_is_cancelled_and_leaves_no_release(
    client: Client, start: Start, pipe: Path, place: Workspace, jobs: Jobs
) -> None:
    id = client.json("POST", RUNS)[1]["id"]
    worker = start("--drain")
    seen = until_judging(client, id)
    status, after = client.json("DELETE", f"{RUNS}/{id}")
    assert (status, after["state"], after["stopped_by"]) == (202, "running", "tom@example.org")
    rest = client.events(f"{RUNS}/{id}/events", Last_Event_ID=str(seen))
    assert [body["state"] for _, kind, body in rest if kind == "state"] == ["cancelled"]
    assert worker.wait() == 0
    assert ended(jobs, id).attempts == 1
    assert not place.releases.exists()


def test_a_worker_whose_run_was_taken_from_it_stops_and_writes_nothing(
    client: Client, start: Start, pipe: Path, place: Workspace, jobs: Jobs
) -> None:
    id = client.json("POST", RUNS)[1]["id"]
    worker = start("--drain")
    until_judging(client, id)
    tomorrow = Jobs(jobs.engine, clock=lambda: now() + timedelta(days=1))
    held = tomorrow.take("another")
    assert held
    tomorrow.finish(held, "done", {"by": "another"})
    assert worker.wait() == 0
    assert ended(jobs, id).result == {"by": "another"}
    assert not place.releases.exists()


def test_a_worker_that_is_told_to_stop_gives_its_run_back(
    client: Client, start: Start, pipe: Path, jobs: Jobs
) -> None:
    id = client.json("POST", RUNS)[1]["id"]
    worker = start()
    until_judging(client, id)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    back = jobs.get(id)
    assert back and (back.state, back.attempts, back.worker) == ("queued", 0, "")
    assert jobs.events(id)[-1].body == {"state": "queued", "why": "the worker was told to stop"}


def test_a_run_whose_process_is_killed_each_time_fails_and_the_worker_lives(
    client: Client, start: Start, folder: Path, jobs: Jobs
) -> None:
    (folder / "kills.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    file = folder / "shipworthy.toml"
    file.write_text(file.read_text().replace('trainer = "tom"', 'trainer = "tom"\nplugins = ["kills.py"]'))
    id = client.json("POST", RUNS)[1]["id"]
    another = client.json("POST", RUNS, '{"verb": "verify", "settings": {"release": "abcdef"}}')[1]["id"]
    assert start("--drain").wait() == 0
    run = ended(jobs, id)
    assert (run.state, run.attempts) == ("failed", 3)
    assert run.result["error"]["problem"] == "3 attempts came to no end: the process ended with signal 9"
    assert ended(jobs, another).attempts == 1


def test_verbs_that_cannot_be_done_say_why_and_are_not_tried_again(
    client: Client, start: Start, folder: Path, jobs: Jobs
) -> None:
    (folder / "t.csv").write_text("size\n1\n")
    asked: list[dict[str, Any]] = [client.json("POST", RUNS, body)[1] for body in (
        '{"verb": "run"}', '{"verb": "renew"}', '{"verb": "watch"}',
        '{"verb": "verify", "settings": {"release": "abcdef"}}')]
    start("--drain").wait()
    told = [ended(jobs, one["id"]) for one in asked]
    assert [(run.state, run.attempts) for run in told] == [("failed", 1)] * 4
    problems = [run.result["error"]["problem"] for run in told]
    assert problems[1:] == ["nothing is in production", "nothing is in production", "there is no such release"]


def test_a_stream_ends_when_the_server_is_to_end(client: Client, served: Any) -> None:
    id = client.json("POST", RUNS)[1]["id"]
    stream = client.events(f"{RUNS}/{id}/events")
    assert next(stream)[2]["state"] == "queued"
    served.draining = True
    assert list(stream) == []


def test_a_stream_beats_while_nothing_happens_and_ends_with_its_token(
    client: Client, served: Any, tokens: Tokens
) -> None:
    served.runs = replace(served.runs, beats=0.0)
    served.routes = Routes(served._routes())
    id = client.json("POST", RUNS)[1]["id"]
    with client.open("GET", f"{RUNS}/{id}/events") as answer:
        assert b": still here\n" in [answer.readline() for _ in range(8)]
        tokens.spent.add("tom@example.org")
        assert answer.read().count(b"id: ") == 0


def test_the_token_decides_over_the_network_too(client: Client) -> None:
    assert client.json("GET", RUNS, authorization="")[0] == 401
    with client.open("POST", RUNS, b"x" * 100_001, content_type="text/csv", authorization="Bearer no") as answer:
        assert (answer.status, answer.getheader("www-authenticate")) == (401, "Bearer")
    assert client.json("POST", RUNS, b"x" * 100_001, content_type="text/csv")[0] == 413
    assert client.json("GET", RUNS, authorization=f"Bearer {TOM}")[0] == 200
