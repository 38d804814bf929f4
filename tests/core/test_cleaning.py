"""What was cleaned in training is cleaned alike at serving: a table, one record, and the same again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.core.canon import canonical
from shipworthy.core.cleaning import NAIVE as NAIVE_NOTE
from shipworthy.core.cleaning import Cleaning, Gap, Numbers, Numerals, Times, Truths, Words
from shipworthy.core.features import fit
from shipworthy.core.model import Model, Sheet
from shipworthy.core.program import Linear, Program, Term
from shipworthy.core.project import parse
from shipworthy.core.table import Table
from shipworthy.data.analysis.profile import profile
from shipworthy.data.collection.collect import with_roles
from shipworthy.data.preprocessing.clean import clean
from shipworthy.errors import BadData

PROJECT = parse('[project]\nname = "x"\n[data]\ntarget = "y"\n[data.missing_codes]\njob = ["unknown"]\nage = ["-7"]\n'
                '[data.kinds]\nok = "boolean"\n')
ROWS = 400
START = datetime(2024, 1, 1)
NAIVE, ZONED = pa.timestamp("us"), pa.timestamp("us", "UTC")
TYPES = {"age": pa.float64(), "pay": pa.string(), "job": pa.string(), "hired": NAIVE, "seen": ZONED, "ok": pa.string(),
         "grade": pa.int64()}


def raw() -> Table:
    random = np.random.default_rng(0)
    age = random.integers(18, 80, ROWS).astype(float)
    age[::20], age[1] = -999.0, 400.0
    job = random.choice(["Cook", "nurse", "?", " Cook ", "unknown", "Ärztin"], ROWS, p=[.5, .3, .05, .02, .1, .03])
    job[:3] = ["cook", "nurze", "Cook"]
    pay = [f"{n:,}" for n in random.integers(900, 90_000, ROWS)]
    pay[5:9] = ["NA", "", "-9,999", "none of it"]
    hours = [START + timedelta(hours=7 * n, microseconds=n) for n in range(ROWS)]
    later = [hour.replace(tzinfo=UTC) for hour in random.permutation(np.array(hours, object)).tolist()]
    data = {"age": age, "pay": pay, "job": job, "hired": pa.array(hours, NAIVE),
            "seen": pa.array(later, ZONED),
            "ok": random.choice(["true", "no", "T"], ROWS), "grade": random.integers(1, 9, ROWS),
            "y": random.choice(["a", "b"], ROWS)}
    return with_roles(Table.of(data), PROJECT)


def model() -> Model:
    table, ledger = clean(raw(), profile(raw()), PROJECT, np.arange(300))
    features = fit(table.take(np.arange(300)))
    size = len(features.inputs)
    term = Term(Linear(), {"place": np.arange(size), "fill": np.zeros(size), "weight": np.ones((size, 1)),
                           "missing": np.ones((size, 1)), "intercept": np.zeros(1)})
    program = Program(features.inputs, (term,), "logistic", ("a", "b"))
    return Model(Sheet(features, table.schema.only(features.columns), "binary", "y", ("a", "b"),
                       cleaning=ledger.cleaning), program)


MODEL = model()
WORDS = st.sampled_from(["?", " Cook ", "COOK", "cook", "nurze", "NA", "", " ", "-999", "2,500", "1234.5", "1e400",
                         "nan", "unknown", " unknown", "Baker", " Baker", "-9,999", "7 kg", "0"]) | st.text(max_size=6)
NUMBERS = st.sampled_from([-999.0, -7.0, 400.0, 130.0, 1e39, 1e308, float("inf"), -float("inf"), float("nan"), -0.0,
                           0.1]) | st.floats() | st.integers(-10**4, 10**4).map(float)
STAMPS = st.datetimes(datetime(1800, 1, 1), datetime(9999, 12, 31, 22))
RECORD = st.fixed_dictionaries({
    "age": st.none() | NUMBERS, "pay": st.none() | WORDS, "job": st.none() | WORDS, "hired": st.none() | STAMPS,
    "seen": st.none() | STAMPS.map(lambda t: t.replace(tzinfo=UTC)),
    "ok": st.none() | st.sampled_from(["yes", "no", " True", "F"]),
    "grade": st.none() | st.sampled_from([2**63 - 1, 2**53 + 1, -1, 5]),
})


def table(rows: list[dict[str, Any]]) -> Table:
    return Table.of(pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in TYPES.items()}))


def test_the_inputs_cover_every_column() -> None:
    assert set(MODEL.features.columns) == set(TYPES)


@given(rows=st.lists(RECORD, min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_a_table_and_its_rows_one_by_one_have_equal_inputs_however_they_arrive(rows: list[dict[str, Any]]) -> None:
    inputs = MODEL.inputs(table(rows))
    assert np.array_equal(inputs, np.array([MODEL.row(row) for row in rows]), equal_nan=True)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    assert np.array_equal(inputs, MODEL.rows(columns), equal_nan=True)
    again = msgspec.json.decode(canonical(MODEL.sheet), type=Sheet)
    assert np.array_equal(inputs, Model(again, MODEL.program).inputs(table(rows)), equal_nan=True)


@given(rows=st.lists(RECORD, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_what_is_clean_stays_as_it_is(rows: list[dict[str, Any]]) -> None:
    once = MODEL.cleaned(table(rows))
    assert MODEL.cleaned(once) is once
    assert np.array_equal(MODEL.inputs(once), MODEL.inputs(table(rows)), equal_nan=True)


def test_the_rows_that_were_judged_are_what_their_raw_rows_become() -> None:
    cleaned, _ = clean(raw(), profile(raw()), PROJECT, np.arange(300))
    assert np.array_equal(MODEL.features.matrix(cleaned), MODEL.inputs(raw()), equal_nan=True)


@pytest.mark.parametrize(("reading", "value", "expected"), [
    (Numbers("x", (Gap(-999.0, -999.0, ""),)), -999, None),
    (Numbers("x"), 10**400, None),
    (Numbers("x", text=Numerals(comma=True, unit="kg")), " 1,5 kg", 1.5),
    (Numbers("x", text=Numerals(unit="kg")), "1.5 lb", None),
    (Numbers("x", text=Numerals(codes=("none",))), "none", None),
    (Words("x"), 1.0, "1"),
    (Words("x"), "N/A", None),
    (Words("x", known={"cook": "Cook", "Cook": "Cook"}), " cook", "Cook"),
    (Words("x", prose=True), " as it was ", " as it was "),
    (Truths("x", text=True), "Yes", True),
    (Times("x", naive=True), "2013-09-01", datetime(2013, 9, 1, tzinfo=UTC)),
    (Times("x"), "2013-09-01T06:00:00+02:00", datetime(2013, 9, 1, 4, tzinfo=UTC)),
    (Times("x"), datetime(2013, 9, 1, tzinfo=timezone(timedelta(hours=-1))), datetime(2013, 9, 1, 1, tzinfo=UTC)),
    (Times("x", ends=True), datetime(9999, 12, 31, tzinfo=UTC), None),
])
def test_one_value_is_read_as_training_read_it(reading: Any, value: Any, expected: Any) -> None:
    assert reading.one(value) == expected
    assert reading.one(None) is None


@pytest.mark.parametrize(("reading", "value", "problem"), [
    (Numbers("x"), "12", "does not hold numbers"),
    (Truths("x"), "yes", "neither true nor false"),
    (Times("x"), "2013-09-01T06:00:00", "has no time zone"),
    (Times("x", naive=True), 5, "is not a time"),
])
def test_text_that_training_did_not_have_to_read_is_refused(reading: Any, value: Any, problem: str) -> None:
    with pytest.raises(BadData, match=problem) as caught:
        reading.one(value)
    assert caught.value.where == "x"


def test_a_column_without_any_value_is_read_whatever_type_the_file_gave_it() -> None:
    empty = Table.of(pa.table({name: pa.nulls(2, pa.float64()) for name in TYPES}))
    assert np.isnan(MODEL.inputs(empty)).all()


def test_a_column_of_text_where_training_had_numbers_is_refused() -> None:
    with pytest.raises(BadData, match='column "x" does not hold numbers'):
        Cleaning((Numbers("x"),)).table(Table.of({"x": ["12", "13"]}))


def test_a_file_of_times_without_a_zone_is_refused_where_training_had_one() -> None:
    told = Table(pa.table({"at": pa.array([START], ZONED)}), Table.of({"at": [START]}).schema, notes={"at": NAIVE_NOTE})
    with pytest.raises(BadData, match='column "at" holds times without a zone'):
        Cleaning((Times("at"),)).table(told)
    assert Cleaning((Times("at", naive=True),)).table(told) is told
