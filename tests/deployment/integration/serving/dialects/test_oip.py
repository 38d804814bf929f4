from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.deployment.integration.serving.answerer import Answerer, answerer
from shipworthy.deployment.integration.serving.app import App
from shipworthy.deployment.integration.serving.counters import ROWS as ROWS_ANSWERED
from shipworthy.deployment.integration.serving.dialects import oip, tensors
from shipworthy.deployment.integration.serving.dialects.asked import Written, about_of
from shipworthy.errors import BadData, ShipworthyError

from ...conftest import ask, record, small_model

ROWS = [record(), record(age=None, ward=None, smoker=False, grade=None), record(dose=-1, ward="nowhere", grade=3)]
IDS = ["a", "b", "c"]
KINDS = {"age": "FP64", "dose": "FP64", "ward": "BYTES", "smoker": "BOOL", "seen": "BYTES", "grade": "BYTES"}


@pytest.fixture
def answers() -> Answerer:
    return answerer(small_model(), contributions=lambda model, inputs: np.ones(inputs.shape))


def lists(rows: list[dict[str, Any]] = ROWS, **datatypes: str) -> dict[str, Any]:
    """An infer request with every tensor in JSON."""
    kinds = KINDS | datatypes
    return {"inputs": [
        {"name": name, "datatype": kinds[name], "shape": [len(rows)],
         "data": [str(row[name]) if kinds[name] == "BYTES" and row[name] is not None else row[name] for row in rows]}
        for name in rows[0]]}


def raw(rows: list[dict[str, Any]] = ROWS, **datatypes: str) -> tuple[bytes, dict[str, str]]:
    """The same with every tensor as bytes, and its headers."""
    request, parts = lists(rows, **datatypes), []
    for entry in request["inputs"]:
        parts.append(tensors.packed(entry.pop("data"), entry["datatype"]))
        entry["parameters"] = {"binary_data_size": len(parts[-1])}
    head = msgspec.json.encode({**request, "parameters": {"binary_data_output": True}})
    return b"".join([head, *parts]), {"inference-header-content-length": str(len(head))}


def read(body: Any, answers: Answerer, headers: dict[str, str] | None = None) -> oip.Question:
    return oip.read(body if isinstance(body, bytes) else msgspec.json.encode(body), headers or {}, answers)


def written(answers: Answerer, body: Any, headers: dict[str, str] | None = None) -> Written:
    asked = read(body, answers, headers)
    found = answers.batch(asked.records, contributions=asked.contributions).answers
    signed = [{"prediction_id": place, "release": "1234", **answer} for place, answer in zip(IDS, found, strict=False)]
    return oip.write(asked, signed, about_of(answers, "ward", "1234"))


def test_lists_and_raw_tensors_are_the_rows_that_records_are(answers: Answerer) -> None:
    expected = answers.shape.convert([{**row, "grade": None if row["grade"] is None else str(row["grade"])}
                                      for row in ROWS])
    assert read(lists(), answers).records == expected
    assert read(*raw()[:1], answers, raw()[1]).records == expected


def test_missing_is_null_in_json_nan_in_raw_numbers_and_empty_in_bytes(answers: Answerer) -> None:
    (_, row, _) = read(raw()[0], answers, raw()[1]).records
    assert (row.f0, row.f2, row.f5) == (None, None, None)
    empty = lists([record(ward="")])
    assert read(empty, answers).records[0].f2 is None


@pytest.mark.parametrize("datatype", tensors.NUMBERS)
def test_every_datatype_of_numbers_is_read_from_lists_and_from_bytes(answers: Answerer, datatype: str) -> None:
    rows = [record(age=39), record(age=127)]
    body, headers = raw(rows, age=datatype)
    assert [row.f0 for row in read(body, answers, headers).records] == [39.0, 127.0]
    assert [row.f0 for row in read(lists(rows, age=datatype), answers).records] == [39.0, 127.0]


def test_the_raw_form_is_that_of_numpy_little_endian() -> None:
    for datatype, dtype in {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "INT8": "i1", "INT64": "<i8", "UINT16": "<u2",
                            "UINT64": "<u8", "BOOL": "?"}.items():
        values = [0, 1, 1]
        assert tensors.packed(values, datatype) == np.array(values, dtype).tobytes()
        assert tensors.unpacked(np.array(values, dtype).tobytes(), datatype, "x") == values
    assert tensors.packed(["é", None], "BYTES") == b"\x02\0\0\0\xc3\xa9\0\0\0\0"


def test_a_column_may_have_the_shape_n_or_n_by_one(answers: Answerer) -> None:
    request = lists([record(), record()])
    request["inputs"][0] |= {"shape": [2, 1], "data": [[39], [39]]}
    assert [row.f0 for row in read(request, answers).records] == [39.0, 39.0]


def test_an_answer_holds_every_figure_of_a_record_s_answer(answers: Answerer) -> None:
    rows = answers.batch(read(lists(), answers).records).answers
    found = msgspec.json.decode(written(answers, {"id": "7", **lists()}).body)
    assert (found["id"], found["model_name"], found["model_version"]) == ("7", "ward", "1234")
    outputs = {output["name"]: output for output in found["outputs"]}
    assert outputs["prediction"]["data"] == [row["prediction"] for row in rows]
    assert outputs["probabilities"] == {
        "name": "probabilities", "datatype": "FP64", "shape": [3, 2], "parameters": {"columns": '["no","yes"]'},
        "data": [value for row in rows for value in row["probabilities"].values()]}
    assert outputs["set"]["data"] == [each in row["set"] for row in rows for each in ("no", "yes")]
    assert outputs["abstain"]["data"] == [row["abstain"] for row in rows]
    assert outputs["prediction_id"]["data"] == IDS
    assert outputs["notes"]["data"] == ["", "", '{"unseen":["ward"]}']
    assert "contributions" not in outputs


def test_a_regression_answers_its_interval() -> None:
    answers = answerer(small_model((), conformal=0.5))
    outputs = {output["name"]: output for output in msgspec.json.decode(written(answers, lists()).body)["outputs"]}
    value = outputs["prediction"]["data"][0]
    assert outputs["interval"]["shape"] == [3, 2]
    assert outputs["interval"]["data"][:2] == [value - 0.5, value + 0.5]


def test_raw_answers_are_told_apart_by_header_and_sizes(answers: Answerer) -> None:
    answer = written(answers, *raw())
    size = int(dict(answer.headers)["inference-header-content-length"])
    head, tail = msgspec.json.decode(answer.body[:size]), answer.body[size:]
    assert answer.kind == "application/octet-stream"
    same = {output["name"]: output["data"] for output in msgspec.json.decode(written(answers, lists()).body)["outputs"]}
    for output in head["outputs"]:
        width = output["parameters"]["binary_data_size"]
        values = [value or "" if output["datatype"] == "BYTES" else value
                  for value in tensors.unpacked(tail[:width], output["datatype"], "x")]
        assert values == same[output["name"]]
        tail = tail[width:]
    assert tail == b""


def test_only_the_outputs_that_are_named_are_sent_each_in_its_form(answers: Answerer) -> None:
    outputs = [{"name": "abstain", "parameters": {"binary_data": True}}, {"name": "contributions"}]
    answer = written(answers, {**lists(), "outputs": outputs})
    size = int(dict(answer.headers)["inference-header-content-length"])
    first, second = msgspec.json.decode(answer.body[:size])["outputs"]
    assert (first["name"], first["parameters"], len(answer.body) - size) == ("abstain", {"binary_data_size": 3}, 3)
    assert (second["shape"], second["data"]) == ([3, 7], [1.0] * 21)


def test_contributions_come_if_the_request_s_parameters_ask_for_them(answers: Answerer) -> None:
    answer = written(answers, {**lists(), "parameters": {"contributions": True}})
    assert "contributions" in [output["name"] for output in msgspec.json.decode(answer.body)["outputs"]]


def first(**changes: Any) -> dict[str, Any]:
    """A request whose first input is another."""
    request = lists([record()])
    request["inputs"][0] |= changes
    return request


@pytest.mark.parametrize(("request_", "words"), [
    ([], 'the request has no list "inputs"'),
    ({"inputs": {}}, 'the request has no list "inputs"'),
    ({"inputs": [7]}, "input 'None' is not known"),
    ({"inputs": [{"name": []}]}, "input '[]' is not known"),
    ({**lists(), "id": 7}, 'the "id" of a request is text'),
    (first(data=[True], datatype="FP64"), 'field "age": true is not a number, or null'),
    (first(data=["63"], datatype="FP64"), 'field "age": "63" is not a number, or null'),
    (first(data=[1], datatype="BOOL"), "input \"age\" has the datatype 'BOOL'"),
    (first(data=[1], datatype=[]), "input \"age\" has the datatype '[]'"),
    (first(data=[1.5], datatype="INT64"), 'input "age" holds a value that is not INT64: '
                                          "Expected `int | null`, got `float` - at `$[0]`"),
    (first(data=[300], datatype="UINT8"), 'input "age" holds a value that is not UINT8: '
                                          "Expected `int` <= 255 - at `$[0]`"),
    (first(data=None), 'input "age" has no list "data"'),
    (first(shape=None), 'input "age" holds 1 values, but its shape is None'),
    (first(shape=[1, 2]), 'input "age" holds 1 values, but its shape is [1, 2]'),
    (first(parameters=7), "parameters is no object"),
    (first(parameters={"binary_data_size": 8}), 'input "age" claims 8 bytes of the 0 that are left'),
    (first(parameters={"binary_data_size": -1}), 'input "age" claims -1 bytes of the 0 that are left'),
    (first(parameters={"binary_data_size": True}), 'input "age" claims True bytes of the 0 that are left'),
    ({**lists(), "outputs": [{"name": "predction"}]}, "output 'predction' is not known"),
    ({**lists(), "outputs": [{"name": {}}]}, "output '{}' is not known"),
    ({**lists(), "outputs": {"a": 1}}, "outputs is no list"),
    ({**lists(), "parameters": {"binary_data_output": "yes"}},
     "the parameter binary_data_output is neither true nor false"),
])
def test_what_does_not_fit_is_refused_before_anything_is_answered(
    answers: Answerer, request_: Any, words: str
) -> None:
    with pytest.raises(BadData) as caught:
        read(request_, answers)
    assert caught.value.problem == words


def spoilt(at: int, size: int, tail: bytes, **entry: Any) -> tuple[bytes, dict[str, str]]:
    """A request of which one input is raw, with these bytes."""
    request = lists([record()])
    request["inputs"][at] |= {"parameters": {"binary_data_size": size}, **entry}
    del request["inputs"][at]["data"]
    head = msgspec.json.encode(request)
    return head + tail, {"inference-header-content-length": str(len(head))}


@pytest.mark.parametrize(("body", "words"), [
    (spoilt(0, 7, b"\0" * 7), 'input "age" holds 7 bytes, no multiple of the 8 of FP64'),
    (spoilt(0, 8, b"\0" * 9), "1 bytes follow the inputs that nobody claims"),
    (spoilt(0, 16, b"\0" * 16), 'input "age" holds 2 values, but its shape is [1]'),
    (spoilt(0, 8, struct.pack("<d", float("inf"))), 'field "age": inf is not a finite number'),
    (spoilt(2, 3, b"\0\0\0"), 'input "ward" ends within element 0'),
    (spoilt(2, 6, b"\x09\0\0\0ab"), 'input "ward" ends within element 0'),
    (spoilt(2, 5, b"\x01\0\0\0\xff"), 'input "ward" element 0 is not UTF-8'),
    (spoilt(3, 1, b"\x02"), 'input "smoker" holds a byte that is neither 0 nor 1'),
    ((b"{}", {"inference-header-content-length": "3"}), "the header says that '3' bytes are JSON, of 2"),
    ((b"{}", {"inference-header-content-length": "-1"}), "the header says that '-1' bytes are JSON, of 2"),
    ((b"{}", {"inference-header-content-length": "²"}), "the header says that '²' bytes are JSON, of 2"),
])
def test_raw_tensors_that_are_cut_or_wrong_are_refused(
    answers: Answerer, body: tuple[bytes, dict[str, str]], words: str
) -> None:
    with pytest.raises(ShipworthyError) as caught:
        read(body[0], answers, body[1])
    assert caught.value.problem == words


def test_nan_as_python_writes_it_into_json_is_missing_and_infinity_is_refused(answers: Answerer) -> None:
    body = msgspec.json.encode(first(data=[None]))
    assert read(body.replace(b'"data":[null]', b'"data":[NaN]'), answers).records[0].f0 is None
    with pytest.raises(msgspec.DecodeError):
        read(body.replace(b'"data":[null]', b'"data":[Infinity,NaN]'), answers)


def test_the_model_tells_inputs_and_outputs_with_datatypes_and_shapes(answers: Answerer) -> None:
    told = oip.model_metadata(answers, about_of(answers, "ward", "1234"))
    assert {entry["name"]: (entry["datatype"], entry["shape"]) for entry in told["outputs"]} == {
        "prediction": ("BYTES", [-1]), "probabilities": ("FP64", [-1, 2]), "set": ("BOOL", [-1, 2]),
        "abstain": ("BOOL", [-1]), "prediction_id": ("BYTES", [-1]), "notes": ("BYTES", [-1]),
        "contributions": ("FP64", [-1, 7])}
    assert told["inputs"][3] == {"name": "smoker", "datatype": "BOOL", "shape": [-1],
                                 "parameters": {"kind": "boolean", "required": True}}


def test_a_server_answers_raw_tensors_and_logs_them(served: App) -> None:
    body, headers = raw()
    status, answer = ask(served, "POST", "/v2/models/ward/infer", body,
                         tuple((key.encode(), value.encode()) for key, value in headers.items()))
    assert (status, served.arms.champion.cells[ROWS_ANSWERED]) == (200, 3)
    assert answer.startswith(b'{"model_name":"ward"')


def test_a_request_that_cannot_be_answered_is_not_logged(served: App) -> None:
    status, answer = ask(served, "POST", "/v2/models/ward/infer", {**lists(), "outputs": [{"name": "score"}]})
    assert (status, served.arms.champion.cells[ROWS_ANSWERED]) == (422, 0)
    assert answer["error"].startswith("output 'score' is not known")


def test_times_are_text_with_a_zone(answers: Answerer) -> None:
    assert read(lists(), answers).records[0].f4 == datetime(2024, 3, 1, 6, tzinfo=UTC)
    with pytest.raises(BadData, match='field "seen"'):
        read(lists([record(seen="2024-03-01T06:00:00")]), answers)
