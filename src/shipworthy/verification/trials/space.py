"""What a request may hold, field by field: read from the model's schema and the contract, and drawn from.

Legal rows hold what training could have held: levels it knew, numbers within the contract's range, times with a zone,
and nothing at all. Illegal ones are legal but for one fault, which is known: an answer must name that field.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from shipworthy.core.features import Category
from shipworthy.core.found import Contract
from shipworthy.core.model import Model
from shipworthy.core.schema import Kind

Random = np.random.Generator
Record = dict[str, Any]
MISSING = 0.1
EPOCH, SPAN = datetime(2000, 1, 1, tzinfo=UTC), 30 * 365 * 86_400


@dataclass(frozen=True)
class Field:
    """What one field may hold. low, high: of a number, finite. levels: of a category. loose: text may be read as it."""

    name: str
    kind: Kind
    integer: bool = False
    low: float = -1e6
    high: float = 1e6
    levels: tuple[str, ...] = ()
    loose: bool = False

    def draw(self, random: Random) -> Any:
        """A legal value as JSON holds it, null once in ten."""
        if random.random() < MISSING:
            return None
        if self.kind == "number":
            value = float(random.choice([random.uniform(self.low, self.high), self.low, self.high]))
            return int(min(max(round(value), math.ceil(self.low)), math.floor(self.high))) if self.integer else value
        if self.kind == "boolean":
            return bool(random.random() < 0.5)
        if self.kind == "timestamp":
            return (EPOCH + timedelta(seconds=int(random.integers(SPAN)))).isoformat()
        return str(random.choice(self.levels)) if self.levels else "text"

    @property
    def wrong(self) -> tuple[Any, ...]:
        """Values that cannot be read as the field: of another type, or times without a zone."""
        values: dict[str, tuple[Any, ...]] = {
            "number": ("twelve", "12 kg", True, [1.0], {"$gt": 0}), "boolean": ("maybe", 2, [True]),
            "timestamp": ("yesterday", "2024-01-01T00:00:00", [1]), "category": ({"$gt": 0}, [1], ["a"]),
            "text": ([1], {"a": 1})}
        if not self.loose:
            return values[self.kind]
        return tuple(value for value in values[self.kind] if isinstance(value, list | dict))  # text may be read as it


class Request(NamedTuple):
    """One generated record. fault: what is wrong with it, empty if it is legal. field: the one that is wrong."""

    record: Record
    fault: str = ""
    field: str = ""


def space(model: Model, contract: Contract) -> tuple[Field, ...]:
    """The fields that a model reads, with what each may hold."""
    ranges = {rule.column: (rule.low, rule.high) for rule in contract.rules if rule.kind == "range"}
    levels = {one.column: one.levels for one in model.features.encoders if isinstance(one, Category)}
    found = []
    for name in model.features.columns:
        column, reading = model.sheet.schema[name], model.sheet.cleaning.of(name)
        low, high = (end if end is not None and math.isfinite(end) else default
                     for end, default in zip(ranges.get(name, (None, None)), (-1e6, 1e6), strict=True))
        whole = column.integer and math.ceil(low) <= math.floor(high)
        found.append(Field(name, column.kind, whole, low, max(low, high), tuple(levels.get(name, ())),
                           reading is not None and reading.reads_text))
    return tuple(found)


def legal(fields: tuple[Field, ...], random: Random) -> Record:
    """One legal record."""
    return {field.name: field.draw(random) for field in fields}


def illegal(fields: tuple[Field, ...], random: Random) -> Iterator[Request]:
    """One request for each kind of fault, in a field drawn anew."""
    lost, bad = (fields[int(place)] for place in random.integers(len(fields), size=2))
    base, value = legal(fields, random), bad.wrong[int(random.integers(len(bad.wrong)))]
    yield Request({name: value for name, value in base.items() if name != lost.name}, "a lost field", lost.name)
    yield Request({**legal(fields, random), bad.name: value}, f"no {bad.kind}", bad.name)
    yield Request({**legal(fields, random), "never_declared": 1}, "a field that nobody declared", "never_declared")
    numbers = [field for field in fields if field.kind == "number"]
    if numbers:
        field = numbers[int(random.integers(len(numbers)))]
        infinite = float(random.choice([math.nan, math.inf, -math.inf]))
        yield Request({**legal(fields, random), field.name: infinite}, "no finite number", field.name)
