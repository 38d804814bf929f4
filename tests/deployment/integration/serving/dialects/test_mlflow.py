from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.deployment.integration.serving.answerer import Answerer, answerer
from shipworthy.deployment.integration.serving.app import App
from shipworthy.deployment.integration.serving.dialects import mlflow
from shipworthy.deployment.integration.serving.dialects.asked import about_of
from shipworthy.errors import BadData

from ...conftest import ask, record, small_model

ROWS = [record(), record(age=None, ward=None), record(dose=-1)]


@pytest.fixture
def answers() -> Answerer:
    return answerer(small_model(), contributions=lambda model, inputs: np.ones(inputs.shape))


def split(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"columns": list(rows[0]), "index": [*range(len(rows))], "data": [list(row.values()) for row in rows]}


def read(request: Any, answers: Answerer) -> mlflow.Question:
    return mlflow.read(msgspec.json.encode(request), {}, answers)


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "instances", "inputs", "columns"])
def test_every_form_that_names_its_columns_is_read(answers: Answerer, form: str) -> None:
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    body = {"dataframe_split": split(ROWS)}.get(form, columns if form == "columns" else ROWS)
    asked = read({"inputs" if form == "columns" else form: body}, answers)
    assert asked.records == answers.shape.convert(ROWS)


def test_one_row_of_inputs_may_hold_bare_values(answers: Answerer) -> None:
    assert read({"inputs": record()}, answers).records == answers.shape.convert([record()])


def test_predictions_alone_are_answered_unless_details_are_asked_for(answers: Answerer) -> None:
    about = about_of(answers, "ward", "1234")
    for params, whole in (({}, False), ({"details": True}, True), ({"contributions": True}, True), (None, False)):
        asked = read({"dataframe_records": [record()], "params": params}, answers)
        found = answers.batch(asked.records, contributions=asked.contributions).answers
        signed = {"prediction_id": "a", "release": "1234", **found[0]}
        (said,) = msgspec.json.decode(mlflow.write(asked, [signed], about).body)["predictions"]
        expected = signed if whole else found[0]["prediction"]
        assert said == expected
        assert not whole or ("contributions" in said) == ("contributions" in params)


def test_missing_values_as_pandas_writes_them_are_null(answers: Answerer) -> None:
    row = record(age=float("nan"), ward=float("nan"), seen="NaT")
    for request in ({"dataframe_split": split([row])}, {"dataframe_records": [row]}, {"inputs": row}):
        asked = mlflow.read(json.dumps(request).encode(), {}, answers)
        assert asked.records == answers.shape.convert([record(age=None, ward=None, seen=None)])


@pytest.mark.parametrize(("request_", "words"), [
    ([], "the body has none of dataframe_split, dataframe_records, instances, inputs"),
    ({"inputs": [], "instances": []}, "the body has instances and inputs"),
    ({"inputs": [[1, 2]]}, "inputs does not name its columns"),
    ({"instances": {"age": [1]}}, "instances does not name its columns"),
    ({"dataframe_records": [record()], "parms": {}}, 'field "parms" is not known'),
    ({"dataframe_records": [record()], "params": {"detail": True}}, "params: 'detail' is not known"),
    ({"dataframe_records": [record()], "params": {"details": 1}}, "params: details is neither true nor false"),
    ({"dataframe_records": [record()], "params": []}, "params is no object"),
    ({"dataframe_split": {"columns": ["age"], "data": [[1, 2]]}},
     "dataframe_split needs columns, and data with as many values a row"),
    ({"dataframe_split": {"columns": ["age", "age"], "data": [[1, 2]]}}, 'column "age" is sent twice'),
    ({"dataframe_split": {"columns": [["age"]], "data": [[1]]}},
     "dataframe_split needs columns, and data with as many values a row"),
    ({"dataframe_split": {**split([record(age="63")])}}, 'field "age": "63" is not a number, or null'),
    ({"dataframe_split": {**split([record(age=True)])}}, 'field "age": true is not a number, or null'),
    ({"inputs": {**record(), "shoe": 1}}, 'column "shoe" is not known'),
    ({"inputs": {**record(), "age": [1, 2]}}, "the columns differ in length: age 2, dose 1, ward 1, smoker 1, "
                                              "seen 1, grade 1"),
])
def test_what_does_not_fit_is_refused_by_name(answers: Answerer, request_: Any, words: str) -> None:
    with pytest.raises(BadData) as caught:
        read(request_, answers)
    assert caught.value.problem == words


def test_invocations_take_csv(served: App) -> None:
    body = b"age,dose,ward,smoker,seen,grade\r\n39,0.5,east,true,2024-03-01T06:00:00Z,2\r\n"
    expected = ask(served, "POST", "/invocations", {"instances": [record()]})
    assert expected[0] == 200
    assert ask(served, "POST", "/invocations", body, ((b"content-type", b"text/csv"),)) == expected
