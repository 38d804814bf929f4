"""Adapting, comparing and renewing from the command line: told plainly, and as JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from shipworthy import flow
from shipworthy.data.collection.read import read
from shipworthy.sabotage.deployment_monitoring import logged

WHO = ("--by", "Eve", "--why", "it is newer")


@pytest.fixture(scope="module")
def standing(made: Any, call: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion."""
    folder = shutil.copytree(made[0], tmp_path_factory.mktemp("updated") / "project")
    assert call("promote", "-p", folder, *WHO).code == 0
    return folder


def test_a_release_beside_itself_did_not_get_worse(call: Any, standing: Path) -> None:
    told = call("compare", "-p", standing)
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0].split() == ["code", "model", "data", "loss"]
    assert lines[1].split()[:3] == ["old", "old", "old"]
    assert "It did not get worse: the loss changed by +0.0000" in lines[9]
    found = json.loads(call("compare", "-p", standing, "--json").out)
    assert len(found["mixes"]) == 8
    assert found["shares"]["model"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_a_log_is_compared_with_its_labels_only(call: Any, standing: Path) -> None:
    told = call("compare", "-p", standing, "--log", "log.parquet")
    assert told.code == 2
    assert told.problem.startswith("error: a log and its labels go together")


def test_without_traffic_nothing_is_adapted(call: Any, standing: Path) -> None:
    told = call("adapt", "-p", standing)
    assert told.code == 1
    assert told.out == "nothing was adapted: 0 rows of traffic are too few, 200 are needed\n"
    found = json.loads(call("adapt", "-p", standing, "--json").out)
    assert found == {"sentence": told.out.strip(), "findings": [], "release": None}


def test_a_renewal_is_told_as_json_whether_it_was_due_and_what_came_of_it(
    call: Any, standing: Path, tmp_path: Path
) -> None:
    told = call("renew", "-p", standing, "--if-due")
    assert (told.code, told.out) == (0, "not due: the champion stays\n")
    left = call("renew", "-p", standing, "--if-due", "--json")
    found = json.loads(left.out)
    assert (left.code, found.pop("due")["check"]) == (0, "renewal-due")
    assert found == {"won": False, "sentence": told.out.strip(), "findings": [], "release": None}
    for name, table in logged(flow.in_production(standing).model, read(str(standing / "t.csv"))).items():
        pq.write_table(table.data, tmp_path / f"{name}.parquet")
    lost = call("renew", "-p", standing, "--json", "--log", tmp_path / "log.parquet",
                "--labels", tmp_path / "labels.parquet")
    found = json.loads(lost.out)
    assert (lost.code, found["won"]) == (1, False)
    assert found["sentence"].startswith("the champion stays: ")
    assert found["findings"][-1]["sentence"] in found["sentence"]
