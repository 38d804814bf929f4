"""Units of numbers: a column that says another unit than the model reads is restated, or refused; never mistaken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shipworthy.core.lazy import Lazy
from shipworthy.core.schema import Schema
from shipworthy.core.table import Table
from shipworthy.errors import BadData

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Lazy("pyarrow")

FAMILIES: tuple[dict[str, float], ...] = (
    {"mg": 1e-6, "g": 1e-3, "kg": 1.0, "t": 1e3},
    {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "km": 1e3},
    {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0},
    {"ml": 1e-3, "l": 1.0, "m3": 1e3},
    {"Wh": 1e-3, "kWh": 1.0, "MWh": 1e3},
    {"%": 1e-2, "1": 1.0},
)


def factor(given: str, wanted: str) -> float | None:
    """What a number in one unit is multiplied by to be in another; None where neither says.

    >>> factor("g", "kg"), factor("kg", "g"), factor("kg", "m")
    (0.001, 1000.0, None)
    """
    family = next((one for one in FAMILIES if given in one and wanted in one), None)
    return None if family is None else family[given] / family[wanted]


def restated(table: Table, schema: Schema, names: Iterable[str]) -> Table:
    """The table with its numbers in the units of a schema; a column without a declared unit is taken as it is.

    Raises BadData naming the column whose unit cannot be turned into that of the schema.
    """
    for name in names:
        if name not in table.schema or name not in schema:
            continue
        given, wanted = table.schema[name].unit, schema[name].unit
        if not given or not wanted or given == wanted:
            continue
        times = factor(given, wanted)
        if times is None:
            raise BadData(f'column "{name}" is in {given}, and the model reads {wanted}', where=name,
                          hint=f"restate it in {wanted}")
        numbers = table.numbers(name)
        values = numbers * times if times >= 1 else numbers / (1 / times)  # the whole factor: rounded once
        table = table.with_column(name, pa.array(values, from_pandas=True), unit=wanted)
    return table
