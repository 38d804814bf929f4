"""The same values give the same inputs, in a table and in a request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.core.features import Category, Features, Moment, Number, fit, single
from shipworthy.core.table import Table
from shipworthy.errors import BadData

CODES = Category("code", ("-1", "1", "2.5"))
FEATURES = Features((Number("n"), Number("flag"), Category("word", ("", "a", "é")), CODES,
                     *(Moment("at", part) for part in ("hour", "weekday", "day", "month", "seconds"))))
ROW = st.fixed_dictionaries({
    "n": st.none() | st.floats(allow_nan=False) | st.integers(-10**6, 10**6).map(float),
    "flag": st.none() | st.booleans(), "word": st.none() | st.sampled_from(["", "a", "é", "zz", "A"]),
    "code": st.none() | st.sampled_from([-1.0, 1.0, 2.5, 7.0]),
    "at": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.replace(tzinfo=UTC)),
})


def inputs(features: Features, record: dict[str, Any]) -> list[float]:
    return [single(encoder)(record[encoder.column]) for encoder in features.encoders]


@given(rows=st.lists(ROW, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_a_row_of_a_table_and_the_same_record_have_equal_inputs(rows: list[dict[str, Any]]) -> None:
    types = {"n": pa.float64(), "flag": pa.bool_(), "word": pa.string(), "code": pa.float64()}
    types["at"] = pa.timestamp("us", "UTC")
    table = Table.of(pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in types.items()}))
    alone = np.array([inputs(FEATURES, row) for row in rows])
    assert np.array_equal(FEATURES.matrix(table), alone, equal_nan=True)


def table(rows: int = 200) -> Table:
    random = np.random.default_rng(0)
    return Table.of({
        "n": random.normal(size=rows), "same": [1.0] * rows, "word": random.choice(["a", "b", "c"], rows).tolist(),
        "unique": [f"id{n}" for n in range(rows)], "flag": (random.random(rows) < 0.5).tolist(),
        "when": [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=7 * n) for n in range(rows)],
    })


def test_constant_columns_and_identifiers_are_left_out() -> None:
    assert {encoder.column for encoder in fit(table()).encoders} == {"n", "word", "flag", "when"}


def test_unseen_and_missing_values_are_both_missing() -> None:
    features = fit(table())
    record = {"n": 1.0, "word": "new", "flag": None, "when": None}
    row = np.array(inputs(features, record))
    assert np.isnan(row[[kind.name != "n" for kind in features.inputs]]).all()


def test_rare_values_are_remembered_and_are_no_levels() -> None:
    words = ["a"] * 60 + ["b"] * 38 + ["c", "d"]
    (encoder,) = fit(Table.of({"word": words})).encoders
    assert encoder == Category("word", ("a", "b"), ("c", "d"))


def test_no_usable_column_is_an_error() -> None:
    with pytest.raises(BadData, match="no column is left to learn from"):
        fit(Table.of({"same": [1.0] * 50}))
