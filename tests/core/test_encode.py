"""Columns of Python values give the inputs that their rows give, whatever mixture of types they hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from shipworthy.core.cleaning import Cleaning, Gap, Numbers, Numerals, Reading, Times, Truths, Words
from shipworthy.core.encode import filled, fillers, value_reader
from shipworthy.core.features import Category, Encoder, Moment, Number
from shipworthy.errors import BadData

NOON = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
LEVELS = Category("c", ("0", "1", "1.5", "a", "true"))
COLUMNS: list[tuple[Encoder, Reading | None, list[Any]]] = [
    (Number("c"), None, [1, 2.5, None, True, float("nan"), -0.0, 2**53 + 1]),
    (Number("c"), Numbers("c", (Gap(-1, -1, "code"),)), [-1, -1.0, 3, None, 1e300, 10**400, False]),
    (Number("c"), Numbers("c", text=Numerals(codes=("none",))), ["1", "1,000", "none", "", "x", None, " 7 "]),
    (Number("c"), Numbers("c", text=Numerals(comma=True, unit="kg")), [1.5, "1,5", "2 kg", "2 lb", None, 3]),
    (Number("c"), Truths("c"), [True, None, False]),
    (Number("c"), Truths("c", text=True), ["yes", "no", None, True, "0", 1]),
    (LEVELS, None, ["a", "A", None, "", "1"]),
    (LEVELS, None, [1, 1.0, True, "1", None, 0.0, -0.0, 1.5]),
    (LEVELS, Words("c", known={"Ä": "a"}, folded={"a": "a"}), ["a", " A ", "Ä", "?", None, "zz", "a"]),
    (LEVELS, Words("c"), [1, 2, None, 1, 0]),
    (LEVELS, Words("c"), [1.0, 1, True, 0.0, -0.0, float("inf")]),
    *((Moment("c", part), Times("c", text=True, naive=True, ends=True),
       [NOON, None, "2024-12-31", "1969-12-31T23:59:59.5Z", "9999-12-31", NOON.replace(tzinfo=None),
        NOON.astimezone(timezone(timedelta(hours=-14)))]) for part in ("hour", "weekday", "day", "month", "seconds")),
    (Moment("c", "hour"), None, [NOON, None]),
]


@pytest.mark.parametrize(("encoder", "reading", "values"), COLUMNS)
def test_a_column_is_read_as_its_values_are(encoder: Encoder, reading: Reading | None, values: list[Any]) -> None:
    cleaning = Cleaning((reading,) if reading else ())
    read = value_reader(encoder, reading)
    for several in (values, values * 3, values[:1], []):
        found = filled(fillers([encoder], cleaning), {"c": several}, 1)
        wanted = np.array([read(value) for value in several], np.float64)
        assert found.shape == (len(several), 1) and found[:, 0].tobytes() == wanted.tobytes()


@pytest.mark.parametrize(("reading", "values", "problem"), [
    (Numbers("c"), [1.0, "2"], "does not hold numbers: '2'"),
    (Truths("c"), [True, 2], "holds '2', which is neither true nor false"),
    (Truths("c"), [True, 1.0], "holds '1.0', which is neither true nor false")])
def test_a_value_that_cannot_be_read_is_refused_in_a_column_too(reading: Any, values: list[Any], problem: str) -> None:
    with pytest.raises(BadData) as told:
        filled(fillers([Number("c")], Cleaning((reading,))), {"c": values}, 1)
    assert str(told.value).startswith(f'column "c" {problem}')
