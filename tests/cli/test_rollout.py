"""A rollout from the command line: begun by who may promote, looked at, stopped; told plainly."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from shipworthy import rollouts
from shipworthy.core.clock import DAY, now_us
from shipworthy.deployment.integration.log.log import Heading, Log, Served
from shipworthy.deployment.integration.rollout.rollout import rolling
from shipworthy.store.workspace import open_workspace

WHO = ("--by", "Eve", "--why", "it is newer")


@pytest.fixture(scope="module")
def newer(made: Any, call: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion and a newer candidate, made once."""
    folder = shutil.copytree(made[0], tmp_path_factory.mktemp("newer") / "project")
    assert call("promote", "-p", folder, *WHO).code == 0
    table = folder / "t.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-10]))
    assert call("run", "-p", folder).code == 0
    return folder


@pytest.fixture
def two(newer: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return shutil.copytree(newer, tmp_path / "project")


def test_a_rollout_is_begun_shown_and_stopped(call: Any, two: Path) -> None:
    none = call("rollout", "status", "-p", two)
    assert (none.code, none.out.partition(";")[0]) == (0, "there was no rollout yet")
    assert json.loads(call("rollout", "status", "-p", two, "--json").out) == {"rollout": None, "decision": None}
    begun = call("rollout", "start", "-p", two, *WHO)
    assert begun.code == 0, begun.err
    assert "stage 1 of 6, asked beside the champion" in begun.err
    assert json.loads((two / ".shipworthy" / "serving.json").read_text())["mode"] == "shadow"
    shown = call("rollout", "status", "-p", two)
    assert "HOLD at 0%: 0 of 60 minutes; 0 of 500 rows" in shown.out
    assert "? unknown  loss           No label came yet." in shown.out
    looked = call("rollout", "step", "-p", two, "--json")
    assert (looked.code, json.loads(looked.out)["action"]) == (0, "hold")
    again = call("rollout", "start", "-p", two, *WHO)
    assert (again.code, "is under way" in again.problem) == (2, True)
    assert call("rollout", "stop", "-p", two, *WHO).code == 0
    assert "ended (stop): it is newer" in call("rollout", "status", "-p", two).out
    assert "NOTHING TO DO" in call("rollout", "step", "-p", two).out


def test_the_trainer_and_the_champion_itself_are_refused(call: Any, two: Path) -> None:
    mine = call("rollout", "start", "-p", two, "--by", "tom", "--why", "mine")
    assert mine.code == 1
    assert "trained this model and may not approve it" in mine.problem
    champion = json.loads((two / ".shipworthy" / "ledger.jsonl").read_text().splitlines()[1])["subject"]["release"]
    same = call("rollout", "start", champion[:16], "-p", two, *WHO)
    assert (same.code, "is the champion already" in same.problem) == (2, True)


def test_counts_of_calls_are_kept_as_long_as_a_rollout_may_ask_for_them(call: Any, two: Path) -> None:
    call("rollout", "start", "-p", two, *WHO)
    place, now = open_workspace(two), now_us()
    place.log.mkdir(exist_ok=True)
    for days in (10, 14, 16):
        path = place.log / f"calls-{days}.jsonl"
        path.touch()
        os.utime(path, ns=(0, (now - days * DAY) * 1_000))
    assert rollouts.forget(place, now=now) == 1
    assert sorted(path.name for path in place.log.glob("calls-*")) == ["calls-10.jsonl", "calls-14.jsonl"]


def test_a_look_reads_what_was_answered_since_the_start(call: Any, two: Path) -> None:
    call("rollout", "start", "-p", two, *WHO)
    place = open_workspace(two)
    known = rolling(place.store)
    assert known
    log = Log(place.log, Heading(known.champion.release, ("no", "yes"), ()))
    for name, at in (("before", known.started - 1), ("since", known.started)):
        log.served(Served([name], at, "champion", 1.0, [0.5], ["no"], [False], []))
    log.close()
    assert list(rollouts.traffic(place, known).predictions.words("prediction_id")) == ["since"]
