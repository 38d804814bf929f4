"""What peers get wrong, asked of every dialect: each is refused by name or flagged, and the connection lives on."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.deployment.integration.serving.app import App, app
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.counters import UNSEEN
from shipworthy.deployment.integration.serving.dialects import arrow
from shipworthy.deployment.integration.serving.host import Server

from ...conftest import ask, record

KINDS = {"age": "FP64", "dose": "FP64", "ward": "BYTES", "smoker": "BOOL", "seen": "BYTES", "grade": "INT64"}
Form = Callable[[dict[str, Any]], tuple[str, Any, str]]


def records(row: dict[str, Any]) -> tuple[str, Any, str]:
    return "/v1/predict", row, "application/json"


def protocol(row: dict[str, Any]) -> tuple[str, Any, str]:
    inputs = [{"name": n, "datatype": KINDS.get(n), "shape": [1], "data": [value]} for n, value in row.items()]
    return "/v2/models/ward/infer", {"inputs": inputs}, "application/json"


def split(row: dict[str, Any]) -> tuple[str, Any, str]:
    return "/invocations", {"dataframe_split": {"columns": [*row], "data": [[*row.values()]]}}, "application/json"


def instances(row: dict[str, Any]) -> tuple[str, Any, str]:
    return "/invocations", {"instances": [row]}, "application/json"


def columns(row: dict[str, Any]) -> tuple[str, Any, str]:
    return "/invocations", {"inputs": {name: [value] for name, value in row.items()}}, "application/json"


def cells(row: dict[str, Any]) -> tuple[str, Any, str]:
    lines = io.StringIO()
    print(*row, sep=",", file=lines)
    print(*(str(value).lower() if isinstance(value, bool) else value for value in row.values()), sep=",", file=lines)
    return "/v1/predict", lines.getvalue().encode(), "text/csv"


def stream(row: dict[str, Any]) -> tuple[str, Any, str]:
    table, sink = pa.Table.from_pylist([row]), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return "/v1/predict", bytes(sink.getvalue()), arrow.KIND


FORMS: list[Form] = [records, protocol, split, instances, columns, cells, stream]


def said(served: App, form: Form, row: dict[str, Any]) -> tuple[int, str]:
    """Status and text of an answer."""
    path, body, kind = form(row)
    headers = ((b"content-type", kind.encode()), (b"accept", b"application/json"))
    status, answer = ask(served, "POST", path, body, headers)
    return status, msgspec.json.encode(answer).decode()


@pytest.mark.parametrize("form", FORMS)
def test_the_usual_row_is_answered(served: App, form: Form) -> None:
    assert said(served, form, record())[0] == 200


@pytest.mark.parametrize("form", FORMS)
def test_true_is_no_number(served: App, form: Form) -> None:
    status, words = said(served, form, record(age=True))
    assert status == 422
    assert "age" in words


@pytest.mark.parametrize("form", [form for form in FORMS if form is not cells])
def test_a_number_in_quotes_is_no_number(served: App, form: Form) -> None:
    status, words = said(served, form, record(age="63"))
    assert status == 422
    assert "age" in words


def test_a_cell_of_csv_has_no_quotes_to_tell_by(served: App) -> None:
    assert said(served, cells, record(age="63"))[0] == 200
    assert said(served, cells, record(age="sixty"))[0] == 422


@pytest.mark.parametrize("form", FORMS)
def test_a_missing_field_is_422_and_named(served: App, form: Form) -> None:
    row = record()
    del row["ward"]
    status, words = said(served, form, row)
    assert status == 422
    assert "ward" in words
    assert "is missing" in words


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_field_is_422_and_named(served: App, form: Form) -> None:
    status, words = said(served, form, record(shoe=1.0))
    assert status == 422
    assert "shoe" in words


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_category_is_counted_or_refused_as_the_project_says(
    release: Release, project: Project, tmp_path: Path, form: Form
) -> None:
    lenient = app(release, tmp_path / "log", project)
    assert said(lenient, form, record(ward="nowhere"))[0] == 200
    assert lenient.arms.champion.cells[UNSEEN] == 1
    strict = app(release, tmp_path / "strict", msgspec.structs.replace(project.serve, unseen="refuse"))
    status, words = said(strict, form, record(ward="nowhere"))
    assert status == 422
    assert "was never seen in training" in words


def test_malformed_json_is_400_with_a_json_error_and_the_connection_lives_on(
    release: Release, project: Project, tmp_path: Path
) -> None:
    with Server(release, tmp_path / "log", project) as server, Connection(server.address) as connection:
        for form in (records, protocol, instances):
            path, body, _ = form(record())
            good = msgspec.json.encode(body)
            for bad in (good[:-1], b"", b"\xff", b"[" * 5_000, b'{"a": NaN'):
                status, answer = connection.post(path, bad)
                assert (status, list(msgspec.json.decode(answer))) == (400, ["error"]), (path, bad[:20])
            assert connection.post(path, good)[0] == 200
