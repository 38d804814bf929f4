from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from shipworthy.deployment.integration.serving.answerer import Answerer, answerer
from shipworthy.deployment.integration.serving.dialects import csv as dialect
from shipworthy.deployment.integration.serving.dialects.asked import about_of
from shipworthy.errors import ShipworthyError

from ...conftest import record, small_model

HEAD = "age,dose,ward,smoker,seen,grade\n"


@pytest.fixture
def answers() -> Answerer:
    return answerer(small_model(), contributions=lambda model, inputs: np.ones(inputs.shape))


def test_cells_are_read_as_their_fields_want_them_and_empty_ones_are_missing(answers: Answerer) -> None:
    body = "\ufeff" + HEAD + '39,"5e-1",east,TRUE,2024-03-01T06:00:00Z,2\n,.5,"a ""b"", c\nd",false,,\n'
    found = dialect.read(body.encode(), {}, answers).records
    assert found == answers.shape.convert([
        record(grade="2"), record(age=None, ward='a "b", c\nd', smoker=False, seen=None, grade=None)])


def test_a_header_alone_is_a_table_without_rows(answers: Answerer) -> None:
    assert dialect.read(HEAD.encode(), {}, answers).records == []


@pytest.mark.parametrize(("body", "words"), [
    (b"", "the body is empty"), (b"\xff\xfe", "the body is not UTF-8"),
    (b'age\n"1', "the body is not CSV: unexpected end of data"),
    (b"age,dose\n1\n", "row 1 has 1 cells, the first line 2"),
    (b"age,age\n1,1\n", 'column "age" is sent twice'),
    (b"age\n1\n", 'column "dose" is missing'),
    ((HEAD + "39,0.5,east,yes,,\n").encode(), 'row 1, column "smoker": "yes" is not true or false, or null'),
    ((HEAD + "true,0.5,east,true,,\n").encode(), 'row 1, column "age": "true" is not a number, or null'),
    ((HEAD + "nan,0.5,east,true,,\n").encode(), 'row 1, column "age": "nan" is not a number, or null'),
    ((HEAD + "1_0,0.5,east,true,,\n").encode(), 'row 1, column "age": "1_0" is not a number, or null'),
    ((HEAD + "1e999,0.5,east,true,,\n").encode(), 'field "age": inf is not a finite number'),
    ((HEAD + "1,0.5,east,true,2024-03-01T06:00:00,\n").encode(),
     'field "seen": "2024-03-01T06:00:00" is not a time with a zone, such as 2013-09-01T06:00:00Z, or null'),
    ((HEAD.strip() + ",a,b\n1,1,1,true,,,1,1\n").encode(), 'columns "a", "b" are not known'),
])
def test_what_does_not_fit_is_refused_by_row_and_column(answers: Answerer, body: bytes, words: str) -> None:
    with pytest.raises(ShipworthyError) as caught:
        dialect.read(body, {}, answers)
    assert caught.value.problem == words


def test_answers_are_a_line_each(answers: Answerer) -> None:
    asked = dialect.Question(answers.shape.convert([record(), record(ward="nowhere")]), contributions=True)
    found = answers.batch(asked.records, contributions=True).answers
    signed = [{"prediction_id": place, "release": "1234", **answer} for place, answer in zip("ab", found, strict=True)]
    written = dialect.write(asked, signed, about_of(answers, "ward", "1234"))
    first, second = csv.DictReader(io.StringIO(written.body.decode(), newline=""))
    assert written.kind == "text/csv; charset=utf-8"
    assert (first["prediction_id"], first["release"], first["prediction"]) == ("a", "1234", found[0]["prediction"])
    assert float(first["probabilities.yes"]) == found[0]["probabilities"]["yes"]
    assert (first["abstain"], first["notes"], second["notes"]) == ("false", "", '{"unseen":["ward"]}')
    assert first["contributions.seen.hour"] == "1.0"


def test_a_regression_has_the_ends_of_its_interval() -> None:
    answers = answerer(small_model((), conformal=0.5))
    found = [{"prediction_id": "a", "release": "1", **answers.answer([record()])[0]}]
    written = dialect.write(dialect.Question([]), found, about_of(answers, "ward", "1"))
    (line,) = csv.DictReader(io.StringIO(written.body.decode(), newline=""))
    assert [float(line["interval.low"]), float(line["interval.high"])] == found[0]["interval"]
