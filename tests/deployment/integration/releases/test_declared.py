"""A raw row of the user's own table can be asked, and what the project declares of it holds at serving."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from shipworthy.core.canon import canonical
from shipworthy.core.cleaning import Cleaning, Times
from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.core.table import Table
from shipworthy.deployment.integration.log.read import read_log
from shipworthy.deployment.integration.serving.app import App, app
from shipworthy.deployment.integration.serving.record import Shape
from shipworthy.errors import BadData

from ..conftest import ask, patients, record, small_model

RAW = {**record(), "id": 17, "sex": "f", "weight": [1, 2], "ill": "yes"}


@pytest.fixture
def raw(make_release: Callable[..., Release], project: Project, tmp_path: Path) -> App:
    """A server for a table that also has id (identifier), sex (protected), weight (set aside), and the target."""
    table = patients(3)
    for name, values in {"id": [1, 2, 3], "sex": ["f", "m", "f"], "weight": [1.0, 2.0, 3.0]}.items():
        table = table.with_column(name, pa.array(values))
    schema = table.schema.replace("id", role="identifier").replace("sex", role="ignored", protected=True)
    schema = schema.replace("weight", role="ignored")
    data = msgspec.structs.replace(project.data, limits={"age": (0.0, 100.0), "grade": (1.0, 3.0)})
    release = make_release(more={"training.json": canonical({"table": "training", "version": 0, "schema": schema}),
                                 "project.json": canonical(msgspec.structs.replace(project, data=data))})
    return app(release, tmp_path / "log", project.serve)


def test_a_raw_row_of_the_table_is_answered_and_only_what_is_needed_later_is_kept(raw: App, tmp_path: Path) -> None:
    status, answer = ask(raw, "POST", "/v1/predict", RAW)
    assert status == 200
    assert answer["prediction"] == ask(raw, "POST", "/v1/predict", record())[1]["prediction"]
    assert ask(raw, "POST", "/v1/predict", [RAW] * 6)[0] == 200
    log, _ = read_log(tmp_path / "log", None)
    assert log.words("sex").tolist() == ["f", None, *["f"] * 6]
    assert log.words("id").tolist() == ["17", None, *["17"] * 6]
    assert {"weight", "ill"}.isdisjoint(log.schema.names)


def test_a_label_may_name_whose_answer_it_is_by_a_declared_identifier(raw: App, tmp_path: Path) -> None:
    told = {"entity": {"id": 17}, "label": "yes", "observed_at": "2024-04-01T00:00:00Z", "at": "2999-01-01T00:00:00Z",
            "since": "2020-01-01T00:00:00Z"}
    assert ask(raw, "POST", "/v1/labels", told)[1] == {"kept": 1, "corrected": 0, "known": 0, "waiting": 1}
    _, answer = ask(raw, "POST", "/v1/predict", RAW)
    assert ask(raw, "POST", "/v1/labels", told)[1] == {"kept": 0, "corrected": 0, "known": 1, "waiting": 0}
    _, found = read_log(tmp_path / "log", None)
    assert [(row["prediction_id"], row["label"]) for row in found.records()] == [(answer["prediction_id"], "yes")]
    status, refused = ask(raw, "POST", "/v1/labels", {**told, "entity": {"sex": "f"}})
    assert (status, refused["error"]["problem"]) == (422, '"sex" names no entity in this log')


def test_an_identifier_that_is_declared_personal_is_not_kept(
    raw: App, make_release: Callable[..., Release], project: Project, tmp_path: Path
) -> None:
    data = msgspec.structs.replace(project.data, personal=("id",))
    training = (raw.arms.champion.release.folder / "training.json").read_bytes()
    release = make_release(seed=1, more={"training.json": training, "project.json": canonical(
        msgspec.structs.replace(project, data=data))})
    private = app(release, tmp_path / "private", project.serve)
    assert ask(private, "POST", "/v1/predict", RAW)[0] == 200
    assert "id" not in read_log(tmp_path / "private", None)[0].schema


def test_a_number_that_names_a_row_is_kept_to_its_last_digit(raw: App, tmp_path: Path) -> None:
    assert ask(raw, "POST", "/v1/predict", {**RAW, "id": 12345678901234567891})[0] == 200
    assert read_log(tmp_path / "log", None)[0].words("id").tolist() == ["12345678901234567891"]


def test_protocol_v2_takes_a_raw_row_too(raw: App) -> None:
    sent = [{"name": "id", "shape": [1], "datatype": "INT64", "data": [17]}]
    kinds = {"age": "FP64", "dose": "FP64", "ward": "BYTES", "smoker": "BOOL", "seen": "BYTES", "grade": "INT64"}
    sent += [{"name": name, "shape": [1], "datatype": kind, "data": [record()[name]]} for name, kind in kinds.items()]
    assert ask(raw, "POST", "/v2/models/ward/infer", {"inputs": sent})[0] == 200


def test_every_unknown_field_is_named_at_once() -> None:
    with pytest.raises(BadData) as caught:
        Shape(small_model()).decode(msgspec.json.encode({**record(), "id": 1, "sex": "f", "ill": "yes"}))
    assert caught.value.problem == 'fields "id", "sex", "ill" are not known'
    with pytest.raises(BadData, match='fields "n0", .* "n19" and 11 more are not known'):
        Shape(small_model()).decode(msgspec.json.encode({**record(), **{f"n{n}": 1 for n in range(31)}}))


def test_a_number_beyond_a_declared_limit_is_flagged_and_counted(raw: App) -> None:
    for rows in (1, 6):
        answer = ask(raw, "POST", "/v1/predict", [record(age=250, grade=7)] * rows)[1][-1]
        assert answer["outside"] == ["age", "grade"]
    assert "outside" not in ask(raw, "POST", "/v1/predict", record(age=None, grade="3"))[1]
    counted = [line for line in ask(raw, "GET", "/metrics")[1].decode().splitlines()
               if line.startswith("shipworthy_outside_limits_total{")]
    assert [line.split()[-1] for line in counted] == ["14"]


def test_a_plain_date_is_read_where_training_read_plain_dates() -> None:
    model = small_model().with_sheet(cleaning=Cleaning((Times("seen", naive=True),)))
    shape = Shape(model)
    records, _ = shape.decode(msgspec.json.encode(record(seen="2012-10-30")))
    assert str(shape.columns(records)["seen"][0]) == "2012-10-30 00:00:00+00:00"


@pytest.mark.parametrize(("classes", "label", "status"), [
    (("0", "1"), 1, 200), (("0", "1"), 1.0, 200), (("0", "1"), "1", 200), (("0", "1"), 2, 422), (("0", "1"), 1.5, 422),
    (("false", "true"), True, 200), (("no", "yes"), 1, 422), ((), 3, 200), ((), "3", 422)])
def test_a_label_of_a_target_of_numbers_may_be_sent_as_a_number(
    make_release: Callable[..., Release], project: Project, tmp_path: Path, classes: tuple[str, ...], label: Any,
    status: int,
) -> None:
    model = small_model(classes=classes)
    served = app(make_release(model), tmp_path / "log", project)
    made = ask(served, "POST", "/v1/predict", record())[1]["prediction_id"]
    sent = {"prediction_id": made, "label": label, "observed_at": "2024-03-02T00:00:00Z"}
    assert ask(served, "POST", "/v1/labels", sent)[0] == status
    log, labels = read_log(tmp_path / "log", None)
    assert isinstance(log, Table)
    if status == 200 and classes:
        assert labels.words("label").tolist() == [str(int(label)) if classes[0] == "0" else "true"]
