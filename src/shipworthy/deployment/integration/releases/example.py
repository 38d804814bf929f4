"""A record to try a model with: the usual value of every input, and nobody's row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from shipworthy.core.features import Category, Moment, Number
from shipworthy.core.model import Model

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def example(model: Model) -> dict[str, Any]:
    """Field → value as JSON takes it, for every column that the model needs; null where nothing is usual.

    It is decoded from `model.sheet.reference`, the medians and most frequent levels that explanations compare with.
    """
    record: dict[str, Any] = dict.fromkeys(model.features.columns)
    times: dict[str, dict[str, int]] = {}
    for encoder, value in zip(model.features.encoders, model.sheet.reference, strict=False):
        if value is None:
            continue
        if isinstance(encoder, Moment):
            times.setdefault(encoder.column, {})[encoder.part] = int(value)
        elif isinstance(encoder, Category):
            record[encoder.column] = encoder.levels[int(value)]
        elif isinstance(encoder, Number):
            record[encoder.column] = _number(model, encoder.column, value)
    return record | {column: _moment(parts).isoformat().replace("+00:00", "Z") for column, parts in times.items()}


def _number(model: Model, name: str, value: float) -> bool | float | int:
    column = model.sheet.schema[name]
    if column.kind == "boolean":
        return value >= 0.5
    return int(value) if column.integer and value.is_integer() else value


def _moment(parts: dict[str, int]) -> datetime:
    """A time with these parts; the weekday decides where a day of the month would contradict it."""
    if "seconds" in parts:
        return MONDAY + timedelta(seconds=parts["seconds"] - MONDAY.timestamp())
    stamp = MONDAY.replace(month=parts.get("month", 1), hour=parts.get("hour", 0))
    if "weekday" in parts:
        return stamp + timedelta(days=(parts["weekday"] - 1 - stamp.weekday()) % 7)
    return stamp + timedelta(days=parts.get("day", 1) - 1)
