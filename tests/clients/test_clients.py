"""Other people's clients, unmodified, against a live server: they get what plain records get."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from shipworthy.core.release import Release
from shipworthy.deployment.integration.serving.answerer import answerer
from shipworthy.deployment.integration.serving.host import Server

from ..deployment.integration.conftest import record

ROWS = [record(), record(age=None, ward=None, smoker=False), record(dose=-1.5, ward="nowhere", grade=3)]


@pytest.fixture
def expected(ward: Release) -> list[dict[str, Any]]:
    return answerer(ward.model).answer(ROWS, contributions=True)


def predictions(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["prediction"] for answer in answers]


def test_tritonclient_asks_in_its_own_way(
    told: Callable[..., Any], ward: Release, expected: list[dict[str, Any]]
) -> None:
    found = told("ask_triton.py", {name: [row[name] for row in ROWS] for name in ROWS[0]})
    assert (found["live"], found["ready"], found["model"]) == (True, True, [True, True, False])
    assert (found["server"]["name"], found["id"]) == ("shipworthy", "7")
    assert found["metadata"] == found["versioned"]
    assert found["metadata"]["versions"] == [ward.id[:16]]
    shares = [list(answer["probabilities"].values()) for answer in expected]
    usual = found["usual"]
    assert usual["prediction"] == found["later"] == found["small"] == predictions(expected)
    assert usual["probabilities"] == [value for row in shares for value in row]
    assert usual["abstain"] == [answer["abstain"] for answer in expected]
    assert usual["notes"] == ["", "", '{"unseen":["ward"]}']
    assert found["chosen"] == {"probabilities": shares,
                               "contributions": [list(answer["contributions"].values()) for answer in expected]}
    assert found["refused"] == ["422", 'input "age" is missing; age; send a number, or null']


def test_mlflow_s_scoring_client_asks_in_its_own_way(
    told: Callable[..., Any], ward: Release, expected: list[dict[str, Any]]
) -> None:
    found = told("ask_mlflow.py", ROWS)
    assert found["version"]["release"] == ward.id
    assert found["frame"] == found["records"] == predictions(expected)
    assert [row["probabilities"] for row in found["details"]] == [answer["probabilities"] for answer in expected]
    assert found["refused"].startswith("Invocation failed (error code 422")
    assert "'detail' is not known" in found["refused"]


def test_pyarrow_asks_by_a_stream(told: Callable[..., Any], expected: list[dict[str, Any]]) -> None:
    found = told("ask_arrow.py", ROWS)
    assert found["columns"] == ["prediction_id", "release", "prediction", "probabilities", "set", "abstain", "unseen",
                                "missing", "outside"]
    assert [row["probabilities"] for row in found["rows"]] == [answer["probabilities"] for answer in expected]
    assert [row["unseen"] for row in found["rows"]] == [[], [], ["ward"]]


def curl(*arguments: str) -> str:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    return subprocess.run(["curl", "-sS", *arguments], capture_output=True, text=True, check=True, timeout=30).stdout


def test_curl_asks_without_naming_a_content_type(server: Server, expected: list[dict[str, Any]]) -> None:
    (found,) = json.loads(curl(f"{server.address}/v1/predict", "-d", json.dumps(ROWS[:1])))
    assert found["probabilities"] == expected[0]["probabilities"]


def test_curl_sends_a_csv_file_and_is_sent_one(server: Server, expected: list[dict[str, Any]]) -> None:
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, list(ROWS[0]))
    writer.writeheader()
    writer.writerows([{**row, "smoker": str(row["smoker"]).lower()} for row in ROWS])
    found = curl(f"{server.address}/v1/predict", "-H", "Content-Type: text/csv", "-H", "Accept: text/csv",
                 "--data-binary", lines.getvalue())
    rows = list(csv.DictReader(io.StringIO(found, newline="")))
    assert [float(row["probabilities.yes"]) for row in rows] == [row["probabilities"]["yes"] for row in expected]
