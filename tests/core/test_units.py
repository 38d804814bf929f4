"""A number in another unit is restated, or refused; never taken for what it is not."""

from __future__ import annotations

from typing import Any

import pytest

from shipworthy.core.table import Table
from shipworthy.core.units import factor, restated
from shipworthy.errors import BadData


def weights(unit: str, *values: float) -> Table:
    table = Table.of({"weight": list(values)})
    return table.with_schema(table.schema.replace("weight", unit=unit))


@pytest.mark.parametrize(("given", "wanted", "times"), [
    ("g", "kg", 0.001), ("h", "s", 3_600.0), ("km", "mm", 1e6), ("%", "1", 0.01), ("kg", "m", None), ("kg", "x", None)])
def test_a_factor_is_known_within_a_family(given: str, wanted: str, times: float | None) -> None:
    assert factor(given, wanted) == (None if times is None else pytest.approx(times))


def test_grams_become_kilograms_to_the_last_bit() -> None:
    values = (0.1, 72.3, 1e5 / 3)
    table = restated(weights("g", *(1000 * one for one in values)), weights("kg").schema, ["weight"])
    assert table.numbers("weight").tolist() == pytest.approx(values, rel=1e-15)
    assert table.schema["weight"].unit == "kg"


def test_a_unit_that_nobody_declared_is_taken_as_it_is() -> None:
    for given, wanted in (("", "kg"), ("kg", ""), ("kg", "kg")):
        assert restated(weights(given, 3.0), weights(wanted).schema, ["weight"]).numbers("weight").tolist() == [3.0]


def test_a_model_refuses_a_unit_that_it_cannot_restate(clean: dict[str, Any]) -> None:
    model, rows = clean["model"], clean["parts"].holdout
    told = model.with_sheet(schema=model.sheet.schema.replace("num1", unit="kg"))
    with pytest.raises(BadData) as caught:
        told.score(rows.with_schema(rows.schema.replace("num1", unit="m")))
    assert str(caught.value) == ('column "num1" is in m, and the model reads kg\n  at: num1\n'
                                 "  hint: restate it in kg")
