from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from shipworthy.core.table import word
from shipworthy.deployment.integration.serving.record import Shape
from shipworthy.errors import BadData

from ..conftest import patients, record, small_model

SHAPE = Shape(small_model())


def refused(body: Any) -> tuple[str, str, str]:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    with pytest.raises(BadData) as caught:
        SHAPE.decode(raw)
    return caught.value.where, caught.value.problem, caught.value.hint


@pytest.mark.parametrize(("change", "where", "problem", "hint"), [
    ({"age": "63"}, "age", 'field "age": "63" is not a number, or null', "send the number without quotes: 63"),
    ({"age": "old"}, "age", 'field "age": "old" is not a number, or null', "send null if the value is unknown"),
    ({"age": True}, "age", 'field "age": true is not a number, or null', "send 1 if that is the number meant"),
    ({"age": [1]}, "age", 'field "age": a list is not a number, or null', "send a number, or null"),
    ({"smoker": 1}, "smoker", 'field "smoker": 1 is not true or false, or null', "send true or false, or null"),
    ({"ward": 3}, "ward", 'field "ward": 3 is not text, or null', 'send it as text: "3"'),
    ({"seen": "2024-03-01T06:00:00"}, "seen",
     'field "seen": "2024-03-01T06:00:00" is not a time with a zone, such as 2013-09-01T06:00:00Z, or null',
     "add Z for UTC, or the offset"),
    ({"wrad": "east"}, "wrad", 'field "wrad" is not known', 'did you mean "ward"?'),
    ({"ill": "yes"}, "ill", 'field "ill" is not known', "leave it out"),
])
def test_a_field_that_does_not_fit_is_named_with_what_came_and_what_was_expected(
    change: dict[str, Any], where: str, problem: str, hint: str
) -> None:
    assert refused(record(**change)) == (where, problem, hint)


def test_a_request_without_a_column_is_told_which() -> None:
    given = record()
    del given["dose"]
    assert refused(given) == ("dose", 'field "dose" is missing', "send a number, or null")


def test_the_record_of_a_list_that_is_wrong_is_counted_from_0() -> None:
    assert refused([record(), record(age="x")])[1] == 'record 1: field "age": "x" is not a number, or null'


def test_a_number_beyond_float64_is_named() -> None:
    body = msgspec.json.encode(record()).replace(b'"age":39', b'"age":1e999')
    assert refused(body) == ("age", 'field "age" is not a finite number', "send null if the value is unknown")


@pytest.mark.parametrize("body", [b"3", b'"x"', b"null", b"[3]", b"[[]]"])
def test_a_body_that_holds_no_record_is_refused(body: bytes) -> None:
    assert refused(body)[0] == "body"


@pytest.mark.parametrize("body", [
    b"", b"{", b"\xff\xfe", b'{"ward":"\xff"}', b'{"ward":"\\ud800"}', b"[1", b'{"age": 1}}'])
def test_malformed_json_is_told_apart_from_a_wrong_value(body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)) as caught:
        SHAPE.decode(body)
    assert not isinstance(caught.value, BadData)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_does_not_know_is_refused_by_its_field(word: str) -> None:
    field, told, hint = refused(b'[{"age": 3}, {"age":%s}]' % word.encode())
    assert field == "age"
    assert "is not a finite number" in told
    assert hint == "send null if the value is unknown"


def test_infinity_and_nan_in_plain_values_are_refused() -> None:
    for value in (float("inf"), float("-inf"), float("nan")):
        with pytest.raises(BadData, match="not a finite number"):
            SHAPE.convert([record(dose=value)])


def test_null_is_an_answer_everywhere() -> None:
    nothing = dict.fromkeys(record())
    records, single = SHAPE.decode(msgspec.json.encode(nothing))
    assert single
    assert SHAPE.columns(records) == {name: [None] for name in SHAPE.names}


def test_a_category_of_numbers_takes_numbers_and_text() -> None:
    assert [word(value) for value in (2, 2.0, "2", 2.5, True, None)] == ["2", "2", "2", "2.5", "true", None]
    for value in (2, 2.0, "2"):
        SHAPE.convert([record(grade=value)])


def test_a_very_long_text_is_shown_short() -> None:
    assert len(refused(record(age="9" * 10_000))[1]) < 120


def test_a_column_whose_name_is_no_identifier_is_a_field() -> None:
    assert "".join(field.key for field in SHAPE.fields).isalnum()


WIDE = Shape(small_model(), [*patients(1).schema.columns,
                             *(msgspec.structs.replace(patients(1).schema["age"], name=name, role="identifier")
                               for name in ("bed", "case"))])
ONE = msgspec.json.encode(record())
FIELDS = [*record(), "bed"]


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("rest", ["", '"case":null,', '"case":"\\":",', '"bed":":",', '"c\\u0061se":1,'])
def test_a_field_that_is_sent_twice_is_refused(name: str, rest: str) -> None:
    value = msgspec.json.encode(record(bed="7")[name]).decode()
    twice = f'{{"{name}":{value},"{name}": {value},{rest}'.encode() + ONE[1:]
    for body in (twice, b"[%s,%s]" % (ONE, twice)):
        with pytest.raises(BadData, match="is sent twice") as caught:
            WIDE.decode(body)
        assert caught.value.where in (name, "bed")


@pytest.mark.parametrize("more", [
    {}, {"bed": "7"}, {"bed": None}, {"bed": 7, "case": "8"}, {"bed": '":":":"'}, {"ward": '":'}, {"ward": '{"a":1}'}])
def test_a_field_that_is_sent_once_is_read_however_it_is_written(more: dict[str, Any]) -> None:
    given = record(**more)
    for body in (msgspec.json.encode(given), json.dumps(given, indent=1).encode(),
                 json.dumps(given, separators=(" ,", " : ")).encode()):
        assert WIDE.decode(body) == ([msgspec.convert(given, WIDE.type)], True)
        both = [msgspec.convert(one, WIDE.type) for one in (given, record())]
        assert WIDE.decode(b"[%s,%s]" % (body, ONE))[0] == both


def test_a_column_that_nobody_reads_may_hold_anything_but_one_key_twice() -> None:
    raw = Shape(small_model(), [*patients(1).schema.columns,
                                msgspec.structs.replace(patients(1).schema["age"], name="note", role="ignored")])
    assert raw.ignored == ("ill", "note")
    for value in (b"9" * 300, b'{"a":[{"b":1},{"b":2}]}', b"null"):
        assert len(raw.decode(b'{"note":' + value + b"," + ONE[1:])[0]) == 1
    with pytest.raises(BadData, match='field "b" is sent twice'):
        raw.decode(b'{"note":{"b":1,"b":2},' + ONE[1:])
