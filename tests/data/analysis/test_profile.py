"""One pass over a table: counts, personal data, impossible values, copies."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipworthy.core.table import Table
from shipworthy.data.analysis.impossible import impossible, may_be_impossible
from shipworthy.data.analysis.personal import iban, luhn, personal_kind
from shipworthy.data.analysis.profile import profile
from shipworthy.errors import BadData


def test_a_column_is_counted_exactly() -> None:
    column = profile(Table.of({"a": pa.array([1.0, 2.0, None, 2.0])}))["a"]
    assert (column.rows, column.nulls, column.distinct, column.minimum, column.maximum) == (4, 1, 2, 1.0, 2.0)
    assert column.frequent == (("2", 2 / 3), ("1", 1 / 3))


@pytest.mark.parametrize(
    "data",
    [
        {"a": pa.nulls(3, pa.float64())},
        {"a": pa.array([], pa.string())},
        {"a": pa.array([np.nan, np.inf, 1.0])},
        {"a": pa.array(["x" * 10_000])},
        {"a": pa.array([True, None])},
        {"a": pa.array([7] * 5)},
    ],
)
def test_awkward_columns_are_profiled(data: dict[str, pa.Array]) -> None:
    assert profile(Table.of(data)).columns[0].rows == len(data["a"])


@given(st.lists(st.one_of(st.none(), st.integers(-5, 5)), min_size=1, max_size=60))
def test_counts_agree_with_python(values: list[int | None]) -> None:
    column = profile(Table.of({"a": pa.array(values, pa.int64())}))["a"]
    known = [value for value in values if value is not None]
    assert column.nulls == values.count(None)
    assert column.distinct == len(set(known))
    assert column.mean == (pytest.approx(sum(known) / len(known)) if known else None)


def test_a_long_table_counts_keys_and_few_levels_exactly_and_the_rest_closely() -> None:
    random = np.random.default_rng(0)
    rows = 140_000
    levels, numbers = random.integers(0, 3_000, rows), np.round(random.normal(size=rows), 4)
    key = random.permutation(rows)
    almost = np.where(key == 1, 0, key)
    data = {"level": levels, "number": numbers, "key": key, "almost": almost, "real": random.normal(size=rows)}
    data["word"] = pa.array([f"w{each}" for each in key])
    found = profile(Table.of(data))
    counted = [found[name].distinct for name in ("level", "key", "almost", "word")]
    assert counted == [3_000, rows, rows - 1, rows]
    for name in ("number", "real"):
        assert found[name].distinct == pytest.approx(len(np.unique(data[name])), rel=0.03)
        assert found[name].distinct < rows
    assert found.duplicates == 0


def test_the_most_frequent_come_first_and_equals_in_order() -> None:
    frequent = profile(Table.of({"a": [3.0, np.nan, 1.0, 3.0, 2.0, *np.arange(4.0, 30.0)]}))["a"].frequent
    assert [value for value, _ in frequent] == ["3", "1", "2", *map(str, range(4, 13))]
    assert frequent[0][1] == 2 / 30


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 3, 40]), st.sampled_from(["x", "age", "wind_speed"]))
def test_a_column_that_is_not_looked_at_long_holds_nothing_impossible(seed: int, wild: int, name: str) -> None:
    random = np.random.default_rng(seed)
    scale = random.choice([1, 10, 1_000], 1_000, p=[0.9, 0.09, 0.01])
    numbers = random.normal(20, random.choice([1, 30]), 1_000) * scale
    numbers[:wild] *= 10.0 ** random.integers(1, 5)
    if not may_be_impossible(name, numbers, float(numbers.min()), float(numbers.max())):
        assert impossible(name, numbers) == ()


def test_copies_constants_duplicates_and_dependencies_are_named() -> None:
    rows = {
        "city": ["x", "y", "z", "x"] * 30,
        "country": ["A", "B", "B", "A"] * 30,
        "zip": [1, 2, 3, 1] * 30,
        "one": [1] * 120,
    }
    found = profile(Table.of(rows))
    assert ("city", "zip") in found.copies
    assert found.constant == ("one",)
    assert found.duplicates == 117
    assert ("city", "country", 1.0) in found.dependencies


def test_a_target_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(BadData) as caught:
        profile(Table.of({"outcome": [1]}), target="outcom")
    assert caught.value.hint == 'did you mean "outcome"?'


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("x", ["ana@example.org", "b.c@example.com"], "e-mail"),
        ("x", ["4111111111111111", "5500005555555559"], "card number"),
        ("x", ["4111111111111112", "5500005555555551"], ""),
        ("x", ["GB82WEST12345698765432", "DE89370400440532013000"], "bank account"),
        ("mobile", ["0171 1234567", "0160 7654321"], "phone number"),
        ("amount", ["1712345", "1607654"], ""),
        ("x", ["192.168.0.1", "10.0.0.7"], "network address"),
        ("surname", ["Meyer", "Lee"], "name"),
        ("name", ["Mary Smith", "John Jones"], "name"),
        ("name", ["Lansdowne Airport", "Chicago Ohare Intl"], ""),
        ("date_of_birth", ["1980-01-01"], "date of birth"),
        ("code", ["12-345", "99-000"], ""),
    ],
)
def test_personal_data_needs_a_checksum_a_pattern_or_its_name(name: str, values: list[str], kind: str) -> None:
    assert personal_kind(name, values) == kind


def test_check_digits_are_checked() -> None:
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")
    assert iban("GB82 WEST 1234 5698 7654 32")
    assert not iban("GB82 WEST 1234 5698 7654 33")


def test_an_impossible_wind_is_found_by_its_name() -> None:
    wind = np.append(np.random.default_rng(0).gamma(4, 3, 1_000), 1048.36)
    assert [int(odd.rows.sum()) for odd in impossible("weather_wind_speed", wind)] == [1]
    assert impossible("weather_wind_speed", wind[:-1] * 100) == ()


def test_standardised_ages_are_possible() -> None:
    assert impossible("age", np.random.default_rng(0).normal(size=1_000)) == ()
