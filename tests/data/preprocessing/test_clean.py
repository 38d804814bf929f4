"""Cleaning changes what two voters doubt, writes it down, and can take it back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from shipworthy.core.found import Ledger
from shipworthy.core.project import Project, parse
from shipworthy.core.table import Table
from shipworthy.data.analysis.profile import profile
from shipworthy.data.collection.collect import with_roles
from shipworthy.data.collection.read import read
from shipworthy.data.preprocessing.clean import clean, undo
from shipworthy.data.preprocessing.words import numerals, spaces, spellings


def project(data: str = "") -> Project:
    return parse(f'[project]\nname = "x"\n[data]\ntarget = "y"\n{data}')


def cleaned(columns: dict[str, object], data: str = "", train: list[int] | None = None) -> tuple[Table, Ledger, Table]:
    size = len(next(iter(columns.values())))  # type: ignore[arg-type]
    raw = with_roles(Table.of({**columns, "y": ["a", "b"] * (size // 2)}), project(data))
    table, ledger = clean(raw, profile(raw), project(data), None if train is None else np.array(train))
    return table, ledger, raw


def test_a_question_mark_and_a_blank_become_missing() -> None:
    table, ledger, _ = cleaned({"job": ["cook", "?", " ", "nurse"] * 5})
    assert table.words("job").tolist() == ["cook", None, None, "nurse"] * 5
    assert {change.reason for change in ledger.changes} == {"missing written as '?'", "missing written as blank"}


def test_unknown_is_a_value_until_it_is_declared_missing() -> None:
    job = ["cook", "unknown"] * 5
    assert cleaned({"job": job})[0].words("job").tolist() == job
    table, ledger, _ = cleaned({"job": job}, '[data.missing_codes]\njob = ["unknown"]')
    assert table.words("job").tolist() == ["cook", None] * 5
    assert {change.reason for change in ledger.changes} == {"declared missing code"}


def test_numbers_written_as_text_become_numbers() -> None:
    words = [f"{n},{n:03d}.5" for n in range(1, 41)]
    table, ledger, _ = cleaned({"price": [*words, " ", "7"]})
    assert table.schema["price"].kind == "number"
    assert table.numbers("price")[:2].tolist() == [1001.5, 2002.5]
    assert np.isnan(table.numbers("price")[40])
    assert len(ledger.changes) == 41


def test_a_postcode_stays_text() -> None:
    assert cleaned({"zip": [str(10_000 + n) for n in range(40)]})[0].schema["zip"].kind == "category"


def test_a_slip_of_one_letter_is_mended_only_beside_a_frequent_value() -> None:
    assert spellings({"married": 500, "single": 400, "mariied": 1})["mariied"].after == "married"
    assert spellings({"Newton": 50, "Newtown": 1}) == {}
    assert spellings({"N725MQ": 500, "N722MQ": 1}) == {}


def test_case_and_spaces_follow_the_frequent_value() -> None:
    assert {word: fix.after for word, fix in spaces({"Female": 90, "female": 2, " Female": 1}).items()} == {
        "female": "Female", " Female": "Female"}
    assert spaces({"a": 50, "A": 40}) == {}


def test_units_and_separators_are_read_one_way() -> None:
    comma, kilograms = numerals(dict.fromkeys(["1,5", "2,5", "3,25"], 1), "x"), ["1.5 kg", "12 kg", "7 kg"]
    assert comma is not None and comma.number(" 2,5") == 2.5
    weight = numerals(dict.fromkeys(kilograms, 1), "x")
    assert weight is not None and [weight.number(word) for word in (*kilograms, "12 lb")] == [1.5, 12.0, 7.0, None]
    assert numerals(dict.fromkeys(["1.5 kg", "12 lb", "7 kg"], 1), "x") is None


def test_a_sentinel_far_from_all_others_becomes_missing() -> None:
    values = [float(n % 50 + 1) for n in range(200)]
    values[::40] = [-999.0] * 5
    table, ledger, _ = cleaned({"speed": values})
    assert np.isnan(table.numbers("speed")).sum() == 5
    assert {change.reason for change in ledger.changes} == {"missing written as -999"}


def test_honest_negative_numbers_stay() -> None:
    values = [float(n % 9 - 4) for n in range(200)]
    assert cleaned({"change": values})[1].changes == ()


def test_a_row_without_a_label_is_dropped_and_the_target_never_changed() -> None:
    raw = with_roles(Table.of({"a": [1.0, 2.0, 3.0], "y": pa.array(["?", None, "b"])}), project())
    table, ledger = clean(raw, profile(raw), project())
    assert table.words("y").tolist() == ["?", "b"]
    assert ledger.dropped_rows == ((1, "no label"),)


def test_only_training_rows_decide() -> None:
    job = ["cook"] * 30 + ["COOK"] * 2 + ["nurse"] * 8
    _, ledger, _ = cleaned({"job": job}, train=list(range(32, 40)))
    assert ledger.changes == ()


def test_notes_outside_training_rows_cost_no_number_of_a_training_row() -> None:
    pay = [f"{n},500" for n in range(1, 61)] + ["see the file", "-", "7 kg", "1.234,5"] * 10
    table, ledger, _ = cleaned({"pay": pay}, train=list(range(60)))
    assert table.numbers("pay")[:60].tolist() == [1000.0 * n + 500 for n in range(1, 61)]
    assert np.isnan(table.numbers("pay")[60:]).all()
    assert {change.reason for change in ledger.changes if change.row >= 60} == {
        "no number in a column of numbers", "missing written as '-'"}


def test_what_is_impossible_is_decided_by_training_rows_and_holds_for_all() -> None:
    age = [float(n % 60 + 20) for n in range(200)] + [400.0, -3.0]
    table, ledger, _ = cleaned({"age": age}, train=list(range(200)))
    assert np.isnan(table.numbers("age")[200:]).all()
    assert {change.reason for change in ledger.changes} == {"nobody is older than 130 or younger than 0"}
    lone = [float(n % 60 + 20) for n in range(300)] + [70_000.0, 7.0]
    assert cleaned({"speed": lone}, train=list(range(300)))[1].changes == ()


def test_a_time_at_the_end_of_the_calendar_is_missing() -> None:
    ends = [datetime(2024, 1, 1 + n % 28, tzinfo=UTC) for n in range(39)] + [datetime(9999, 12, 31, tzinfo=UTC)]
    table, ledger, _ = cleaned({"left": ends})
    assert table.data["left"].null_count == 1
    assert [(change.row, change.reason) for change in ledger.changes] == [(39, "missing written as 9999-12-31")]


def test_constants_and_copies_are_set_aside_with_a_reason() -> None:
    table, ledger, _ = cleaned({"a": [1, 2, 3, 4] * 5, "b": ["p", "q", "r", "s"] * 5, "one": [7] * 20})
    assert dict(ledger.dropped_columns) == {"one": "constant in the training rows", "b": "says the same as a"}
    assert table.schema["b"].role == "ignored"


def test_undo_gives_back_every_cell() -> None:
    columns = {"job": ["cook", "?", " cook", "nurse"] * 10, "age": [30.0, 400.0, 20.0, 50.0] + [40.0] * 36,
               "price": [f"1,{n:03d}" for n in range(39)] + [""]}
    table, ledger, raw = cleaned(columns)
    assert ledger.changes
    assert undo(table, ledger).data.select(["job", "age", "price"]).equals(raw.data.select(["job", "age", "price"]))


def test_only_the_blanks_of_a_real_table_are_changed(shared: Callable[[str], Path]) -> None:
    raw = read(str(shared("business/telco_churn/Telco-Customer-Churn.csv")))
    project = parse('[project]\nname = "x"\n[data]\ntarget = "Churn"\nidentifiers = ["customerID"]')
    raw = with_roles(raw, project)
    table, ledger = clean(raw, profile(raw), project)
    assert table.schema["TotalCharges"].kind == "number"
    assert {(change.column, change.after) for change in ledger.changes} == {("TotalCharges", None)}
    assert len(ledger.changes) == 11
