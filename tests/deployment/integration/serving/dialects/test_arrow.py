from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.deployment.integration.serving.answerer import Answerer, answerer
from shipworthy.deployment.integration.serving.app import App
from shipworthy.deployment.integration.serving.dialects import arrow
from shipworthy.deployment.integration.serving.dialects.asked import about_of
from shipworthy.errors import ShipworthyError

from ...conftest import ask, patients, record, small_model

SENT = ((b"content-type", arrow.KIND.encode()),)


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=7)
    return bytes(sink.getvalue())


def asked(**columns: Any) -> pa.Table:
    """Two patients, with other columns where they are given."""
    usual = {"age": pa.array([39.0, None]), "dose": pa.array([1, 2]), "ward": pa.array(["east", None]),
             "smoker": pa.array([True, None]), "seen": pa.array([datetime(2024, 3, 1, 6, tzinfo=UTC), None]),
             "grade": pa.array(["2", "3"])}
    return pa.table({**usual, **columns})


@pytest.fixture
def answers() -> Answerer:
    return answerer(small_model(), contributions=lambda model, inputs: np.ones(inputs.shape))


def read(table: pa.Table, answers: Answerer) -> list[Any]:
    return arrow.read(stream(table), {}, answers).records


def test_a_stream_is_answered_by_a_stream_with_the_answers_of_records(served: App) -> None:
    table = patients(40)
    status, body = ask(served, "POST", "/v1/predict", stream(table.drop("ill").data), SENT)
    found = pa.ipc.open_stream(body).read_all()
    expected = small_model().predict(table)
    assert status == 200
    assert found["prediction"].to_pylist() == list(expected.decision)
    assert [row["yes"] for row in found["probabilities"].to_pylist()] == expected.score.tolist()
    assert found["set"].to_pylist() == [expected[row]["set"] for row in range(40)]
    assert found["abstain"].to_pylist() == expected.abstain.tolist()
    assert found["unseen"].to_pylist() == [
        [name for name, value, levels in (("ward", row["ward"], ("east", "north", "west", None)),
                                          ("grade", row["grade"], (1, 2, 3))) if value not in levels]
        for row in table.records()]
    assert len(set(found["prediction_id"].to_pylist())) == 40


@pytest.mark.parametrize(("name", "column", "values"), [
    ("age", pa.array([39, 2], pa.int8()), [39.0, 2.0]), ("age", pa.array([39, None], pa.uint64()), [39.0, None]),
    ("age", pa.array([0.5, float("nan")], pa.float32()), [0.5, None]), ("age", pa.nulls(2), [None, None]),
    ("age", pa.array([0.5, None], pa.float16()), [0.5, None]),
    ("age", pa.array([Decimal("1.5"), None]), [1.5, None]),
    ("ward", pa.array(["a", None], pa.large_string()), ["a", None]),
    ("ward", pa.array(["a", None], pa.string_view()), ["a", None]),
    ("ward", pa.array(["b", None]).dictionary_encode(), ["b", None]),
    ("ward", pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["b", None])), ["b", None]),
    ("grade", pa.array([1, 2]), [1, 2]),
    ("seen", pa.array([0, None], pa.timestamp("s", "Europe/Berlin")), [datetime(1970, 1, 1, tzinfo=UTC), None]),
    ("seen", pa.array([1_001, None], pa.timestamp("ns", "UTC")), [datetime(1970, 1, 1, 0, 0, 0, 1, UTC), None]),
    ("seen", pa.array(["1970-01-01T01:00:00+01:00", None]), [datetime(1970, 1, 1, tzinfo=UTC), None]),
])
def test_types_that_mean_the_same_are_read_alike(answers: Answerer, name: str, column: Any, values: list[Any]) -> None:
    place = {field.name: field.key for field in answers.shape.fields}[name]
    assert [getattr(row, place) for row in read(asked(**{name: column}), answers)] == values


@pytest.mark.parametrize(("name", "column", "words"), [
    ("age", pa.array(["63", None]), 'column "age" has the type string, not a number, or null'),
    ("age", pa.array([True, None]), 'column "age" has the type bool, not a number, or null'),
    ("age", pa.array([float("inf"), 0]), 'field "age": inf is not a finite number'),
    ("age", pa.array([[1], [2]]), 'column "age" has the type list<item: int64>, not a number, or null'),
    ("smoker", pa.array([1, 0]), 'column "smoker" has the type int64, not true or false, or null'),
    ("ward", pa.array([1, 0]), 'column "ward" has the type int64, not text, or null'),
    ("ward", pa.array([b"a", b"b"]), 'column "ward" has the type binary, not text, or null'),
    ("seen", pa.array([0, 1], pa.timestamp("us")), 'column "seen" holds times without a zone'),
    ("seen", pa.array([2**62, 1], pa.timestamp("us", "UTC")), 'column "seen" holds a time that no calendar has'),
    ("shoe", pa.array([1, 2]), 'column "shoe" is not known'),
])
def test_a_type_that_does_not_fit_is_refused_by_name(answers: Answerer, name: str, column: Any, words: str) -> None:
    with pytest.raises(ShipworthyError) as caught:
        read(asked(**{name: column}), answers)
    assert caught.value.problem == words


def test_a_missing_or_doubled_column_is_named(answers: Answerer) -> None:
    with pytest.raises(ShipworthyError, match='column "ward" is missing'):
        read(asked().drop_columns("ward"), answers)
    with pytest.raises(ShipworthyError, match='column "age" is sent twice'):
        read(asked().append_column("age", pa.array([1, 2])), answers)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_streams_are_refused_before_they_are_unpacked(answers: Answerer, codec: str) -> None:
    for table in (asked(), asked(ward=pa.array(["a" * 100, "b"]).dictionary_encode())):
        with pytest.raises(ShipworthyError, match="the stream is compressed"):
            arrow.read(stream(table, compression=codec), {}, answers)


def test_rows_that_take_no_room_are_counted_before_they_are_read(answers: Answerer) -> None:
    table = pa.table({name: pa.nulls(10**9) for name in asked().column_names})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ShipworthyError, match="1,000,000,000 records are more than the 10,000 allowed at once"):
        arrow.read(bytes(sink.getvalue()), {}, answers)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_stream_is_an_error_or_an_answer_but_never_a_crash(data: st.DataObject) -> None:
    answers = answerer(small_model())
    body = bytearray(stream(asked(ward=pa.array(["b", None]).dictionary_encode())))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ShipworthyError):
        arrow.read(bytes(body[: data.draw(st.integers(0, len(body)))]), {}, answers)


def test_answers_hold_contributions_if_asked_and_the_interval_of_a_regression(answers: Answerer) -> None:
    signed = {"prediction_id": "a", "release": "1234"}
    found = [signed | answers.answer([record()], contributions=True)[0]]
    table = arrow.frame(found, about_of(answers, "ward", "1234"), contributions=True)
    assert table["contributions"].to_pylist() == [found[0]["contributions"]]
    numbers = answerer(small_model((), conformal=0.5))
    found = [signed | numbers.answer([record()])[0]]
    table = arrow.frame(found, about_of(numbers, "ward", "1234"), contributions=False)
    assert list(table["interval"].to_pylist()[0].values()) == found[0]["interval"]
    assert "contributions" not in table.column_names


def test_an_answer_of_another_release_may_hold_less(answers: Answerer) -> None:
    less = {"prediction_id": "a", "release": "0", **answerer(small_model(conformal=None)).answer([record()])[0]}
    table = arrow.frame([less], about_of(answers, "ward", "1234"), contributions=False)
    assert (table["release"].to_pylist(), table["set"].to_pylist()) == (["0"], [None])


def test_a_stream_without_rows_is_answered_by_one(served: App) -> None:
    status, body = ask(served, "POST", "/v1/predict", stream(asked().slice(0, 0)), SENT)
    assert (status, pa.ipc.open_stream(body).read_all().num_rows) == (200, 0)


def test_dialects_load_pyarrow_only_for_arrow() -> None:
    for path in sorted(Path(arrow.__file__).parent.glob("*.py")):
        top = [line for line in path.read_text("utf-8").splitlines() if line.startswith(("import ", "from "))]
        assert not [line for line in top if "pyarrow" in line or "numpy" in line], path.name


def test_an_answer_may_be_wanted_as_json(served: App) -> None:
    headers = (*SENT, (b"accept", b"application/json"))
    status, answer = ask(served, "POST", "/v1/predict", stream(asked(age=pa.array([1, 2]))), headers)
    assert (status, len(answer)) == (200, 2)
    assert msgspec.json.encode(answer)
