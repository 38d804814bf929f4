"""Looking again and again: when it is time, one look at a time, and gone when told."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shipworthy import flow, runbooks
from shipworthy.deployment.alerts.gauges import FILE
from shipworthy.deployment.integration.access.gate import Gate
from shipworthy.deployment.integration.releases.history import ledger
from shipworthy.deployment.integration.serving.app import app
from shipworthy.deployment.integration.serving.counters import Board
from shipworthy.runbooks import Attended
from shipworthy.server.keeper import Keeper
from shipworthy.server.watcher import Watcher
from shipworthy.store.workspace import Workspace

from ..deployment.integration.conftest import ask

Make = Callable[..., Workspace]
Answer = Callable[..., None]


def test_it_looks_when_it_is_time_and_only_sends_in_between(place: Make, answer: Answer, web: Any) -> None:
    here, clock = place(f'[[sink]]\nkind = "slack"\naddress = "http://127.0.0.1:{web.port}"\n'), [0.0]
    watcher = Watcher(here, print, minutes=10, clock=lambda: clock[0])
    answer(here, 200)
    web.answer = 500
    first = watcher.turn()
    assert first is not None and len(first.posted.waiting) == 1
    clock[0] = 599.0
    assert watcher.turn() is None
    clock[0] = 600.0
    assert watcher.turn() is not None


def test_trouble_with_a_sink_is_told_once(place: Make, answer: Answer) -> None:
    here, told = place('[[sink]]\nkind = "webhook"\naddress = "http://127.0.0.1:1"\n'), []
    answer(here, 200)
    watcher = Watcher(here, told.append, minutes=0)
    for _ in range(3):
        watcher.turn()
    assert len(told) == 1 and told[0].startswith("sink webhook takes no messages: ")


def test_the_keeper_looks_where_the_project_says_how_often(place: Make, answer: Answer) -> None:
    quiet, loud = place(), None
    answer(quiet, 200)
    Keeper(quiet, print).look()
    assert not (quiet.store.home / FILE).exists()
    file = quiet.folder / "shipworthy.toml"
    file.write_text(file.read_text("utf-8") + "\n[watch]\nevery = 5\n", "utf-8")
    from shipworthy.store.workspace import open_workspace

    loud = open_workspace(quiet.folder)
    Keeper(loud, print).look()
    assert [line["action"] for line in ledger(loud.store)][-1] == "page"


def test_two_watchers_at_once_page_once(place: Make, answer: Answer, web: Any) -> None:
    here = place(f'[[sink]]\nkind = "webhook"\naddress = "http://127.0.0.1:{web.port}"\n')
    answer(here, 200)
    with ThreadPoolExecutor(3) as pool:
        found: list[Attended] = list(pool.map(lambda _: runbooks.attend(here), range(3)))
    assert sum(one.watched.pages for one in found) == 1
    assert len(web.posts) == 1


def test_following_ends_after_the_look_under_way(place: Make) -> None:
    stop, seen = threading.Event(), []

    def show(found: Attended) -> None:
        seen.append(found)
        stop.set()

    Watcher(place(), print, minutes=1).follow(stop, show)
    assert len(seen) == 1


def test_a_follower_stops_at_once_when_told(place: Make, start: Callable[..., subprocess.Popen[str]]) -> None:
    child = start("watch", "-p", place().folder, "--follow", "--every", "30")
    assert child.stdout is not None
    assert child.stdout.readline().endswith(" UTC\n")  # each look says when
    assert child.stdout.readline().startswith("no data yet")
    assert child.stdout.readline() == "\n"
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (0, "") and err.startswith("looking every 30 minutes until stopped")


def test_the_server_s_metrics_tell_of_the_incident_and_the_last_look(place: Make, answer: Answer) -> None:
    here = place()
    answer(here, 200)
    runbooks.attend(here)
    champion = flow.champion(here)
    assert champion
    served = app(champion, here.log, here.project, counters=Board().counters(),
                 gate=Gate(here.store.home, here.project.serve))
    status, text = ask(served, "GET", "/metrics")
    served.arms.close()
    served.log.close()
    lines = text.decode().splitlines()
    name = champion.id[:16]
    assert status == 200 and f'shipworthy_incidents_open{{release="{name}",severity="high"}} 1' in lines
    assert any(line.startswith(f'shipworthy_last_look_timestamp_seconds{{release="{name}"}} ') for line in lines)
    assert "shipworthy_messages_undelivered 0" in lines
