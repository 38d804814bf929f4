"""What a label may say, in every form it may come in; a refusal names the row and the field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shipworthy.deployment.integration.log.labels import Label
from shipworthy.deployment.integration.log.told import Rules, read_body, read_rows
from shipworthy.errors import BadData

RULES = Rules(("no", "yes"), {"Yes.": "yes"}, ("customer", "shop"), 30.0, 5)
ID = "018f0000-0000-7000-8000-000000000001"
SEEN = "2024-03-01T06:00:00Z"
AT = 1_709_276_400_000_000
ONE = {"prediction_id": ID, "label": "yes", "observed_at": SEEN, "source": "clinic"}
NAMED = {"entity": {"shop": "web", "customer": 17}, "label": "no", "observed_at": SEEN, "at": "2024-03-01T07:00:00Z"}


def read(value: Any, rules: Rules = RULES) -> list[Label]:
    return read_body(value if isinstance(value, bytes) else msgspec.json.encode(value), rules)


def test_one_a_list_lines_and_csv_say_the_same() -> None:
    line = msgspec.json.encode(ONE)
    csv = f"prediction_id,label,observed_at,source\n{ID},yes,{SEEN},clinic\n".encode()
    found = read(ONE)
    assert found[0].prediction_id == ID
    assert read([ONE]) == read(line + b"\n") == read(csv) == read(b"\xef\xbb\xbf" + csv) == found
    assert read(line + b"\n\n" + line + b"\n") == read([ONE, ONE]) == found * 2


def test_an_entity_and_its_time_are_kept_as_words_in_one_order() -> None:
    (found,) = read(NAMED)
    assert found.entity == (("customer", "17"), ("shop", "web"))
    assert (found.since, found.until) == (AT - 30 * 86_400_000_000, AT)
    csv = f"customer,shop,label,observed_at,at\n17,web,no,{SEEN},2024-03-01T08:00:00+01:00\n".encode()
    assert read(csv) == [found]
    (windowed,) = read({**NAMED, "since": "2024-03-01T06:30:00Z"})
    assert windowed.since == AT - 1_800_000_000


def test_labels_of_a_regression_are_numbers() -> None:
    rules = Rules(())
    assert read({**ONE, "label": 2}, rules)[0].label == 2.0
    assert read(f"prediction_id,label,observed_at,weight\n{ID},2.5,{SEEN},\n".encode(), rules)[0].label == 2.5
    with pytest.raises(BadData, match="row 1: 'many' is no label of this model"):
        read(f"prediction_id,label,observed_at\n{ID},many,{SEEN}\n".encode(), rules)


@pytest.mark.parametrize("change, field, problem", [
    ({"label": "maybe"}, "label", "'maybe' is no label of this model"),
    ({"observed_at": "2024-03-01T06:00:00"}, "observed_at", "observed_at 2024-03-01T06:00:00 has no zone"),
    ({"observed_at": "2999-01-01T00:00:00Z"}, "observed_at", "observed_at 2999-01-01T00:00:00+00:00 has not come yet"),
    ({"prediction_id": "7"}, "prediction_id", "'7' is no prediction id"),
    ({"prediction_id": ""}, "prediction_id", "the label names no answer"),
    ({"weight": -1}, "weight", "-1.0 is no weight"),
    ({"entity": {"customer": "a"}}, "entity", "a label is given by prediction_id, or by entity and at, not by both"),
    ({"extra": 1}, "labels", "the label cannot be read: Object contains unknown field `extra`"),
])
def test_a_label_that_does_not_fit_is_refused_by_field(change: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(BadData) as caught:
        read({**ONE, **change})
    assert (caught.value.where, caught.value.problem) == (field, problem)


@pytest.mark.parametrize("body", [
    {**ONE, "observed_at": "2024-03-01"}, f"prediction_id,label,observed_at\n{ID},yes,2024-03-01\n".encode(),
    {**ONE, "observed_at": "2024-03-01T06:00:00"}, {**NAMED, "at": "2024-03-01"}],
    ids=["json", "csv", "no zone", "at"])
def test_a_date_where_a_time_is_wanted_is_told_with_an_example(body: Any) -> None:
    with pytest.raises(BadData) as caught:
        read(body)
    assert "2024-07-09T08:00:00Z" in caught.value.hint


@pytest.mark.parametrize("change, field, problem, hint", [
    ({"entity": {"custmer": "a"}}, "entity", '"custmer" names no entity in this log', 'did you mean "customer"?'),
    ({"entity": {"customer": ""}}, "entity", '"customer" is empty', "send whose answer it was"),
    ({"at": None}, "at", "at is missing", "send the time up to which the answer was given"),
    ({"at": "2024-03-01T07:00:00"}, "at", "at 2024-03-01T07:00:00 has no zone",
     "add Z for UTC, as in 2024-07-09T08:00:00Z"),
    ({"since": "2024-03-02T07:00:00Z"}, "since", "since lies behind at", "send a since that is earlier than at"),
])
def test_an_entity_that_does_not_fit_is_refused_by_field(
    change: dict[str, Any], field: str, problem: str, hint: str
) -> None:
    with pytest.raises(BadData) as caught:
        read({**NAMED, **change})
    assert (caught.value.where, caught.value.problem, caught.value.hint) == (field, problem, hint)


def test_without_a_column_that_names_anything_the_refusal_says_how_to_get_one() -> None:
    with pytest.raises(BadData) as caught:
        read(NAMED, Rules(("no", "yes")))
    assert caught.value.hint == "send prediction_id; or name a column in [data] identifiers or group and build again"


def test_the_label_of_a_list_and_the_row_of_a_table_are_named() -> None:
    with pytest.raises(BadData, match="label 1: 'maybe' is no label of this model"):
        read([ONE, {**ONE, "label": "maybe"}])
    with pytest.raises(BadData, match="line 2: the label cannot be read: Object contains unknown field `x`"):
        read(msgspec.json.encode(ONE) + b'\n{"x": 1}\n')
    rows = f"prediction_id,label,observed_at\n{ID},yes,{SEEN}\n{ID},yes,yesterday\n".encode()
    with pytest.raises(BadData) as caught:
        read(rows)
    assert caught.value.problem == 'row 2: column "observed_at": \'yesterday\' cannot be read'
    assert caught.value.hint == "write a time with a zone, such as 2024-07-09T08:00:00Z"


@pytest.mark.parametrize("body, field, problem", [
    (b"prediction_id,label\n1,yes\n", "observed_at", 'the column "observed_at" is missing'),
    (b"prediction_id,label,observd_at\n1,yes,2\n", "observd_at", 'the column "observd_at" is no part of a label'),
    (b"prediction_id,label,observed_at\n1,yes\n", "body", "row 1: 2 values for 3 columns"),
    (b"prediction_id,label,observed_at\n1,,2\n", "label", 'row 1: column "label": it is empty'),
])
def test_a_table_that_does_not_fit_is_refused_by_column(body: bytes, field: str, problem: str) -> None:
    with pytest.raises(BadData) as caught:
        read(body)
    assert (caught.value.where, caught.value.problem) == (field, problem)


def test_more_labels_than_allowed_are_refused_whole() -> None:
    with pytest.raises(BadData, match="6 labels are more than the 5 allowed at once"):
        read([ONE] * 6)
    with pytest.raises(BadData, match="6 labels are more than the 5 allowed at once"):
        read_rows(list(ONE), [list(ONE.values())] * 6, RULES)
    assert len(read_rows(list(ONE), [list(ONE.values())] * 6, RULES, most=6)) == 6


@pytest.mark.parametrize("body", [b"[", b'{"label":', b"nothing", b"", b'{"a"}\n{"a": 1}'])
def test_what_is_no_json_is_told_apart(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError) as caught:
        read(body)
    assert not isinstance(caught.value, msgspec.ValidationError)
