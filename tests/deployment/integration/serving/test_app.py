from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.deployment.integration.access.gate import Gate
from shipworthy.deployment.integration.access.issue import create
from shipworthy.deployment.integration.log.read import labels, predictions, read_log
from shipworthy.deployment.integration.serving.answerer import answerer
from shipworthy.deployment.integration.serving.app import App, app
from shipworthy.deployment.integration.serving.counters import IN_PROGRESS
from shipworthy.store import Store

from ..conftest import ask, patients, record, small_model, small_network


def test_a_record_is_answered_with_its_prediction_id_and_release(served: App, release: Release, tmp_path: Path) -> None:
    status, answer = ask(served, "POST", "/v1/predict", record())
    expected = answerer(small_model()).answer([record()])[0]
    assert status == 200
    assert {**expected, "release": release.id[:16], "prediction_id": answer["prediction_id"]} == answer
    logged = predictions(tmp_path / "log").records()[0]
    assert (logged["prediction_id"], logged["score"]) == (answer["prediction_id"], expected["probabilities"]["yes"])
    assert (logged["age"], logged["ward"], logged["grade"]) == (39.0, "east", "2")


def test_a_list_is_answered_with_a_list(served: App) -> None:
    status, answers = ask(served, "POST", "/v1/predict", [record(), record(age=None)])
    assert (status, len(answers)) == (200, 2)
    assert ask(served, "POST", "/v1/predict", []) == (200, [])


@pytest.mark.parametrize("query, shown", [
    ("", False), ("?contributions=1", True), ("?contributions=true", True), ("?contributions=0", False),
    ("?contributions=false", False), ("?contributions=", False), ("?nocontributions=1", False)])
def test_contributions_are_in_the_answer_only_if_they_are_asked_for(
    release: Release, project: Project, tmp_path: Path, query: str, shown: bool
) -> None:
    shares = lambda model, inputs: np.ones(inputs.shape)  # noqa: E731 - any function will do
    served = app(release, tmp_path / "log", project, contributions=shares)
    status, answer = ask(served, "POST", f"/v1/predict{query}", record())
    assert (status, "contributions" in answer) == (200, shown)


def test_contributions_of_a_network_are_422_and_not_offered(
    make_release: Callable[..., Release], project: Project, tmp_path: Path
) -> None:
    served = app(make_release(small_network()), tmp_path / "log", project)
    assert ask(served, "POST", "/v1/predict", record())[0] == 200
    assert ask(served, "POST", "/v1/predict?contributions=1", record()) == (
        422, error("contributions", "the exact share of each input is not known: the model holds a network",
                   "ask without contributions, or release a model of lines, tables or trees"))
    offered = ask(served, "GET", "/openapi.json")[1]["paths"]["/v1/predict"]["post"]["parameters"][0]
    assert offered["schema"]["enum"] == ["0", "false", "no", ""]


def test_a_switch_that_is_neither_yes_nor_no_is_422(served: App) -> None:
    assert ask(served, "POST", "/v1/predict?contributions=maybe", record()) == (
        422, error("contributions", '"maybe" is neither yes nor no', "ask with ?contributions=1, or leave it out"))


def error(field: str, problem: str, hint: str = "") -> dict[str, Any]:
    return {"error": {"field": field, "problem": problem, "hint": hint}}


def test_a_value_that_does_not_fit_is_422_with_the_field(served: App) -> None:
    assert ask(served, "POST", "/v1/predict", record(age="63")) == (
        422, error("age", 'field "age": "63" is not a number, or null', "send the number without quotes: 63"))


def test_csv_that_is_not_said_to_be_csv_is_told_how(served: App) -> None:
    curl = ((b"content-type", b"application/x-www-form-urlencoded"),)
    status, body = ask(served, "POST", "/v1/predict", b"age,ward\n63,a\n", curl)
    assert status == 400
    assert body["error"]["hint"].endswith("or CSV with content-type: text/csv")


def test_malformed_json_is_400(served: App) -> None:
    assert ask(served, "POST", "/v1/predict", b'{"age":')[0] == 400
    assert ask(served, "POST", "/v1/labels", b"[")[0] == 400
    assert ask(served, "POST", "/v2/models/ward/infer", b"[")[0] == 400


def test_an_unknown_path_is_404_with_the_nearest(served: App) -> None:
    assert ask(served, "POST", "/v1/predct") == (
        404, error("/v1/predct", "there is nothing here", 'did you mean "/v1/predict"?'))


def test_the_wrong_method_is_405(served: App) -> None:
    refused = error("method", "/v1/predict takes POST", "send POST /v1/predict")
    assert ask(served, "GET", "/v1/predict") == (405, refused)
    assert ask(served, "POST", "/health") == (405, error("method", "/health takes GET", "send GET /health"))


def test_a_body_beyond_the_limit_is_413_whether_announced_or_not(served: App) -> None:
    problem = error("body", "the body is larger than 0.1 MB", "send the records in several requests")
    assert ask(served, "POST", "/v1/predict", b"", ((b"content-length", b"200000"),)) == (413, problem)
    answered: list[Any] = []

    async def drip() -> Any:
        return {"body": b" " * 60_000, "more_body": True}

    async def send(message: Any) -> None:
        answered.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "query_string": b"", "headers": ()}
    asyncio.run(served(scope, drip, send))
    assert answered[0]["status"] == 413


def test_more_requests_than_declared_are_429_and_are_told_to_come_back(served: App) -> None:
    async def together() -> list[Any]:
        gate, sent = asyncio.Event(), dict[int, list[Any]]()

        async def one(number: int) -> None:
            async def receive() -> Any:
                if number < 2:
                    await gate.wait()
                return {"body": msgspec.json.encode(record())}

            async def send(message: Any) -> None:
                sent.setdefault(number, []).append(message)

            await served({"type": "http", "method": "POST", "path": "/v1/predict", "query_string": b"", "headers": ()},
                         receive, send)

        slow = [asyncio.create_task(one(number)) for number in range(2)]
        while served.counters.general[IN_PROGRESS] < 2:
            await asyncio.sleep(0)
        await one(2)
        gate.set()
        await asyncio.gather(*slow)
        return [sent[number][0] for number in range(3)]

    first, second, third = asyncio.run(together())
    assert (first["status"], second["status"], third["status"]) == (200, 200, 429)
    assert (b"retry-after", b"1") in third["headers"]


def test_an_answer_that_cannot_be_logged_is_503_with_the_reason(served: App) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    status, answered = 200, 0
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, limits[1]))
        while status == 200:
            status, body = ask(served, "POST", "/v1/predict", [record()] * 50)
            answered += 50 * (status == 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 503
    assert body["error"]["problem"] == "the disk is full: the answer cannot be logged"
    assert ask(served, "POST", "/v1/predict", record())[0] == 200
    assert predictions(served.log.folder).rows == answered + 1


def test_a_label_in_a_declared_spelling_is_kept_as_it_was_said(
    release: Release, project: Project, tmp_path: Path
) -> None:
    data = msgspec.structs.replace(project.data, same={"Yes.": "yes"})
    lenient = app(release, tmp_path / "log", msgspec.structs.replace(project, data=data))
    _, answer = ask(lenient, "POST", "/v1/predict", record())
    told = {"prediction_id": answer["prediction_id"], "label": "Yes.", "observed_at": "2024-03-01T00:00:00Z"}
    assert ask(lenient, "POST", "/v1/labels", told)[0] == 200
    assert ask(lenient, "POST", "/v1/labels", {**told, "label": "yes."})[0] == 422
    assert list(labels(tmp_path / "log").words("label")) == ["Yes."]


def counts(**changes: int) -> dict[str, int]:
    return {"kept": 0, "corrected": 0, "known": 0, "waiting": 0, **changes}


def test_labels_are_kept_late_corrected_and_idempotent(served: App, tmp_path: Path) -> None:
    place = ask(served, "POST", "/v1/predict", record())[1]["prediction_id"]
    told = {"prediction_id": place, "label": "yes", "observed_at": "2024-04-01T00:00:00Z", "source": "clinic"}
    assert ask(served, "POST", "/v1/labels", told) == (200, counts(kept=1))
    assert ask(served, "POST", "/v1/labels", [told]) == (200, counts(known=1))
    assert ask(served, "POST", "/v1/labels", {**told, "label": "no"}) == (200, counts(corrected=1))
    assert list(labels(tmp_path / "log").words("label")) == ["no"]


@pytest.mark.parametrize(("change", "field"), [
    ({"label": "maybe"}, "label"), ({"label": 1}, "label"), ({"observed_at": "2024-04-01T00:00:00"}, "observed_at"),
    ({"prediction_id": "7"}, "prediction_id"), ({"extra": 1}, "labels"), ({"observed_at": None}, "labels"),
])
def test_a_label_that_does_not_fit_is_422(served: App, change: dict[str, Any], field: str) -> None:
    told = {"prediction_id": "0" * 36, "label": "yes", "observed_at": "2024-04-01T00:00:00Z"}
    status, body = ask(served, "POST", "/v1/labels", {**told, **change})
    assert (status, body["error"]["field"]) == (422, field)


def columns(rows: int = 3) -> list[dict[str, Any]]:
    table = patients(rows)
    kinds = {"age": "FP64", "dose": "FP32", "ward": "BYTES", "smoker": "BOOL", "seen": "BYTES", "grade": "INT64"}
    return [{"name": name, "datatype": kind, "shape": [rows],
             "data": [value.isoformat() if name == "seen" else value for value in table.data[name].to_pylist()]}
            for name, kind in kinds.items()]


def test_protocol_v2_answers_as_records_do(served: App, release: Release) -> None:
    status, answer = ask(served, "POST", "/v2/models/ward/infer", {"id": "q7", "inputs": columns()})
    expected = small_model().predict(patients(3))
    assert status == 200
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("q7", "ward", release.id[:16])
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["prediction"]["data"] == list(expected.decision)
    assert np.reshape(outputs["probabilities"]["data"], outputs["probabilities"]["shape"])[:, 1].tolist() == (
        expected.score.tolist())
    assert outputs["abstain"]["data"] == expected.abstain.tolist()
    assert [len(place) for place in outputs["prediction_id"]["data"]] == [36] * 3
    assert answer["parameters"] == {"release": release.id[:16]}
    assert ask(served, "POST", f"/v2/models/ward/versions/{release.id[:16]}/infer", {"inputs": columns()})[0] == 200


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda c: c[1:], 'input "age" is missing; age; send a number, or null'),
    (lambda c: [*c, c[0]], 'input "age" is sent twice; inputs, age; send every input once'),
    (lambda c: [{**c[0], "shape": [9]}, *c[1:]],
     'input "age" holds 3 values, but its shape is [9]; inputs, age; send the shape [3]'),
    (lambda c: [{**c[0], "datatype": "BYTES"}, *c[1:]],
     'input "age" has the datatype \'BYTES\'; inputs, age; send FP64'),
    (lambda c: [{**c[0], "data": [1, 2], "shape": [2]}, *c[1:]],
     "the inputs differ in length: age 2, dose 3, ward 3, smoker 3, seen 3, grade 3; inputs; "
     "send as many values of every column"),
    (lambda c: [{**c[0], "data": ["1", 2, 3]}, *c[1:]],
     'field "age": "1" is not a number, or null; age; send the number without quotes: 1'),
    (lambda c: [{"name": "wrad"}, *c], "input 'wrad' is not known; inputs, wrad; did you mean \"ward\"?"),
    (lambda c: "x", 'the request has no list "inputs"; inputs; send one input per column'),
])
def test_protocol_v2_says_what_is_wrong_in_one_text(served: App, spoil: Any, words: str) -> None:
    assert ask(served, "POST", "/v2/models/ward/infer", {"inputs": spoil(columns())}) == (422, {"error": words})


def test_protocol_v2_describes_server_and_model(served: App, release: Release) -> None:
    assert ask(served, "GET", "/v2")[1]["extensions"] == ["binary_tensor_data", "model_repository"]
    status, about = ask(served, "GET", "/v2/models/ward")
    assert (status, about["platform"], about["versions"]) == (200, "shipworthy_program", [release.id[:16]])
    assert about["inputs"][0] == {"name": "age", "datatype": "FP64", "shape": [-1],
                                  "parameters": {"kind": "number", "required": True}}
    assert ask(served, "GET", "/v2/models/ward/ready") == (200, {"name": "ward", "ready": True})
    assert ask(served, "GET", "/v2/health/live") == (200, {"live": True})
    assert ask(served, "GET", "/v2/models/other") == (
        404, {"error": 'there is nothing here; /v2/models/other; did you mean "/v2/models/ward"?'})
    assert ask(served, "POST", "/v2/repository/index", b"") == (200, [
        {"name": "ward", "version": release.id[:16], "state": "READY", "reason": ""}])


def test_mlflow_invocations_answer_both_forms(served: App) -> None:
    rows = [record(), record(age=80)]
    expected = {"predictions": [answer["prediction"] for answer in answerer(small_model()).answer(rows)]}
    split = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
    assert ask(served, "POST", "/invocations", {"dataframe_records": rows}) == (200, expected)
    assert ask(served, "POST", "/invocations", {"dataframe_split": split}) == (200, expected)
    assert ask(served, "POST", "/invocations", {"inputs": {}})[0] == 422
    assert ask(served, "POST", "/invocations", {"dataframe_split": {"columns": ["age"], "data": [[1, 2]]}})[0] == 422


def test_metrics_count_what_happened(served: App) -> None:
    ask(served, "POST", "/v1/predict", [record(), record(ward="nowhere")])
    ask(served, "POST", "/v1/predict", b"{")
    text = ask(served, "GET", "/metrics")[1].decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    release = served.arms.champion.release.id[:16]
    assert lines[f'shipworthy_predictions_total{{release="{release}"}}'] == "2"
    assert lines[f'shipworthy_unseen_categories_total{{release="{release}"}}'] == "1"
    assert (lines["model_infer_request_success"], lines["model_infer_request_failure"]) == ("1", "1")
    assert lines['rest_server_requests{path="predict",status_code="400"}'] == "1"
    assert lines[f'rest_server_requests_duration_seconds_bucket{{release="{release}",le="+Inf"}}'] == "1"
    assert "nowhere" not in text


def test_a_server_that_drains_is_not_ready_and_closes_its_log(served: App) -> None:
    assert ask(served, "GET", "/ready")[0] == 200
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(served({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert (ask(served, "GET", "/ready")[0], ask(served, "GET", "/health")[0]) == (503, 200)


def test_rows_beyond_the_limit_are_refused_and_none_is_logged(served: App) -> None:
    status, body = ask(served, "POST", "/v1/predict", [record()] * 51)
    assert (status, body["error"]["problem"]) == (422, "51 records are more than the 50 allowed at once")
    assert read_log(served.log.folder, None)[0].rows == 0


def test_a_large_batch_is_answered_apart_and_alike(release: Release, project: Project, tmp_path: Path) -> None:
    serving = msgspec.structs.replace(project.serve, max_rows=10_000, max_megabytes=4.0)
    served = app(release.folder, tmp_path / "log", serving)
    rows = patients(600).drop("ill").records()
    status, answers = ask(served, "POST", "/v1/predict", rows)
    expected = small_model().score(patients(600)).tolist()
    assert status == 200
    assert [answer["probabilities"]["yes"] for answer in answers] == expected
    assert predictions(tmp_path / "log").numbers("score").size == 600


def test_a_web_page_may_not_ask_a_server_that_is_open_to_its_machine(
    release: Release, project: Project, tmp_path: Path
) -> None:
    gate = Gate(tmp_path, project.serve)
    served = app(release, tmp_path / "log", project, gate=gate)
    assert ask(served, "POST", "/v1/predict", record())[0] == 200
    status, body = ask(served, "POST", "/v1/predict", record(), ((b"origin", b"https://example.org"),))
    assert (status, body["error"]["field"]) == (403, "origin")
    gate.close()


def test_a_request_id_comes_back_if_it_looks_like_one(served: App) -> None:
    def given(value: bytes) -> bytes | None:
        sent: list[Any] = []
        waiting = [{"body": msgspec.json.encode(record())}]

        async def receive() -> Any:
            return waiting.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/predict", "query_string": b"",
                 "headers": ((b"x-request-id", value),)}
        asyncio.run(served(scope, receive, send))
        return dict(sent[0]["headers"]).get(b"x-request-id")

    assert given(b"b2f1c0de-0001") == b"b2f1c0de-0001"
    assert given(b"a\r\nb: c") not in (None, b"a\r\nb: c")


def test_a_failure_tells_its_kind_and_no_value(
    release: Release, project: Project, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "-".join(["19700101", "0001"])

    def broken(model: Any, inputs: Any) -> Any:
        raise KeyError(secret)

    served = app(release, tmp_path / "log", project, contributions=broken)
    assert ask(served, "POST", "/v1/predict?contributions=1", record())[0] == 500
    told = ask(served, "GET", "/ready")[1]
    assert told["cause"] == "a request failed: KeyError"
    said = capfd.readouterr().err
    assert "test_app.py" in said
    assert secret not in str(told) + said


def test_with_a_token_made_only_health_is_told_to_strangers(
    release: Release, project: Project, store: Store, tmp_path: Path
) -> None:
    secret, _ = create(store, "shop", ["label"], by="ann")
    gate = Gate(store.home, project.serve)
    served = app(release, tmp_path / "log", project, gate=gate)
    for path in ("/metrics", "/v1/schema", "/openapi.json", "/v2/models/ward", "/nothing"):
        assert ask(served, "GET", path)[0] == 401
    for path in ("/health", "/ready", "/ping", "/version", "/v2", "/v2/health/ready"):
        assert ask(served, "GET", path)[0] == 200
    assert ask(served, "GET", "/metrics", b"", ((b"authorization", f"Bearer {secret}".encode()),))[0] == 200
    gate.close()


def test_rows_that_are_refused_spend_no_budget(release: Release, project: Project, tmp_path: Path) -> None:
    serving = msgspec.structs.replace(project.serve, rows_a_day=60)
    gate = Gate(tmp_path, serving)
    served = app(release, tmp_path / "log", serving, gate=gate)
    assert ask(served, "POST", "/v1/predict", [record()] * 55)[0] == 422
    assert ask(served, "POST", "/v1/predict", [record()] * 50)[0] == 200
    status, body = ask(served, "POST", "/v1/predict", [record()] * 20)
    assert (status, body["error"]["field"]) == (429, "budget")
    gate.close()
