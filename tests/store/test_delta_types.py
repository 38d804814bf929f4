"""What a Delta table keeps, changes without loss, or refuses."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipworthy.errors import BadData
from shipworthy.store import Store
from shipworthy.store.delta_types import differences, fit

KEPT: list[tuple[Any, list[Any]]] = [
    (pa.int8(), [-128, None]),
    (pa.int64(), [2**63 - 1, None]),
    (pa.float32(), [0.5, None]),
    (pa.float64(), [0.1, float("inf"), None]),
    (pa.bool_(), [True, None]),
    (pa.string(), ["é", "", None]),
    (pa.binary(), [b"\x00", None]),
    (pa.date32(), [date(1, 1, 1), None]),
    (pa.timestamp("us", "UTC"), [datetime(1969, 1, 1, tzinfo=UTC), None]),
    (pa.decimal128(10, 2), [Decimal("1.25"), None]),
    (pa.list_(pa.int32()), [[1, None], [], None]),
    (pa.struct([("a", pa.int32()), ("b", pa.string())]), [{"a": 1, "b": None}, None]),
    (pa.map_(pa.string(), pa.int32()), [[("a", 1)], None]),
]

CHANGED: list[tuple[Any, Any, list[Any]]] = [
    (pa.uint8(), pa.int16(), [255, None]),
    (pa.uint16(), pa.int32(), [2**16 - 1]),
    (pa.uint32(), pa.int64(), [2**32 - 1]),
    (pa.float16(), pa.float32(), [0.5]),
    (pa.large_string(), pa.string(), ["x", None]),
    (pa.string_view(), pa.string(), ["x", None]),
    (pa.large_binary(), pa.binary(), [b"x"]),
    (pa.binary(2), pa.binary(), [b"xy", None]),
    (pa.date64(), pa.date32(), [date(2020, 1, 2), None]),
    (pa.timestamp("ns", "UTC"), pa.timestamp("us", "UTC"), [datetime(2020, 1, 1, tzinfo=UTC)]),
    (pa.timestamp("ms", "Asia/Karachi"), pa.timestamp("us", "UTC"), [datetime(2020, 1, 1, 7, tzinfo=UTC)]),
    (pa.dictionary(pa.int8(), pa.string()), pa.string(), ["a", "b", "a", None]),
    (pa.large_list(pa.uint8()), pa.list_(pa.int16()), [[1], None]),
    (pa.list_(pa.float32(), 2), pa.list_(pa.float32()), [[1.0, 2.0]]),
    (
        pa.struct([("t", pa.timestamp("s", "UTC"))]),
        pa.struct([("t", pa.timestamp("us", "UTC"))]),
        [{"t": None}],
    ),
]


@pytest.mark.parametrize(("kind", "values"), KEPT, ids=[str(k) for k, _ in KEPT])
def test_a_kept_type_comes_back_equal(store: Store, kind: Any, values: list[Any]) -> None:
    table = pa.table({"x": pa.array(values, kind)})
    store.tables.write("t", table)
    assert store.tables.read("t").column("x").to_pylist() == values
    assert fit(table)[1] == {} or pa.types.is_list(kind)


@pytest.mark.parametrize(("kind", "stored", "values"), CHANGED, ids=[str(k) for k, _, _ in CHANGED])
def test_a_changed_type_keeps_every_value_and_is_noted(store: Store, kind: Any, stored: Any, values: list[Any]) -> None:
    table = pa.table({"x": pa.array(values, kind)})
    store.tables.write("t", table)
    back = store.tables.read("t")
    assert back.schema.field("x").type == stored
    assert back.column("x").to_pylist() == table.column("x").to_pylist()
    assert store.tables.history("t")[0].casts["x"].startswith(f"{kind} to ")


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        (pa.uint64(), "cast it to int64 if the values fit, else to decimal128(20, 0)"),
        (pa.time64("us"), "store microseconds since midnight as int64 and say so in the unit"),
        (pa.duration("s"), "store a number, such as seconds as float64, and say so in the unit"),
        (pa.null(), "every value is missing: cast the column to the type it should have"),
        (pa.decimal256(50, 2), "cast it to decimal128, which holds 38 digits"),
        (pa.month_day_nano_interval(), "cast it first"),
        (pa.list_(pa.uint64()), "cast it to int64 if the values fit, else to decimal128(20, 0)"),
    ],
    ids=str,
)
def test_a_type_without_a_place_is_refused_with_a_hint(kind: Any, hint: str) -> None:
    with pytest.raises(BadData) as error:
        fit(pa.table({"x": pa.array([], kind)}))
    assert 'column "x"' in error.value.problem
    assert error.value.hint == hint


def test_a_time_without_a_zone_is_refused_wherever_it_hides() -> None:
    for kind in (pa.timestamp("us"), pa.list_(pa.timestamp("ns")), pa.struct([("a", pa.timestamp("s"))])):
        with pytest.raises(BadData) as error:
            fit(pa.table({"seen": pa.array([], kind)}))
        assert "times without a zone" in error.value.problem
        assert error.value.hint == (
            "say once, where the data comes in, which zone they are in, and convert them to UTC"
        )


def test_nanoseconds_that_would_be_cut_are_refused() -> None:
    with pytest.raises(BadData) as error:
        fit(pa.table({"x": pa.array([1], pa.timestamp("ns", "UTC"))}))
    assert error.value.hint == "round the times to microseconds first"


def test_names_equal_but_for_case_are_refused() -> None:
    with pytest.raises(BadData) as error:
        fit(pa.table({"Age": [1], "age": [2]}))
    assert error.value.problem == ('columns "Age" and "age" have the same name for a Delta table, which ignores case')


def test_a_repeated_or_empty_name_is_refused() -> None:
    with pytest.raises(BadData, match="same name"):
        fit(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]))
    with pytest.raises(BadData, match="no name"):
        fit(pa.table({"": [1]}))


def test_role_and_unit_stay_and_file_marks_go() -> None:
    field = pa.field("x", pa.int64(), metadata={"unit": "kg", "PARQUET:field_id": "1"})
    fitted, _ = fit(pa.table([pa.array([1])], schema=pa.schema([field], metadata={"pandas": "{}"})))
    assert fitted.schema.field("x").metadata == {b"unit": b"kg"}


def test_each_difference_is_a_sentence() -> None:
    stored = pa.schema([pa.field("a", pa.int64(), False, {"unit": "kg"}), pa.field("b", pa.string())])
    assert differences(stored, stored) == []
    other = pa.schema([pa.field("a", pa.int64(), True, {"unit": "lb"}), pa.field("b", pa.int8())])
    assert differences(stored, other) == [
        'column "a" must not be missing in the table and may here',
        "column \"a\" has unit 'kg' in the table and 'lb' here",
        'column "b" is string in the table and int8 here',
    ]
    assert differences(stored, pa.schema([("b", pa.string()), ("c", pa.int8())])) == [
        'column "a" is in the table and missing here',
        'column "c" is here and not in the table',
    ]
    assert differences(stored, pa.schema([stored.field("b"), stored.field("a")])) == [
        "the columns are in another order: the table has a, b"
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.none(), st.integers(0, 2**32 - 1)), max_size=5))
def test_fitting_changes_no_value_and_fitting_again_changes_nothing(values: list[int | None]) -> None:
    once, _ = fit(pa.table({"x": pa.array(values, pa.uint32())}))
    assert once.column("x").to_pylist() == values
    assert fit(once)[1] == {}
