"""Features: the fitted, declared way from a row to the model's inputs, in training and at a request alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.canon import digest
from shipworthy.core.schema import Schema
from shipworthy.core.table import Floats, Table, to_numbers, to_words
from shipworthy.errors import BadData

MAX_LEVELS = 254
MIN_LEVEL_ROWS = 5
CYCLES = ("hour", "weekday")
Part = Literal["hour", "weekday", "day", "month", "seconds"]


class Number(msgspec.Struct, frozen=True, tag="number"):
    """One input: the number itself; null is NaN. booleans are 0 and 1."""

    column: str

    @property
    def name(self) -> str:
        return self.column


class Category(msgspec.Struct, frozen=True, tag="category"):
    """One input: the place of the value among levels seen in training; null and unseen values are NaN."""

    column: str
    levels: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.column


class Moment(msgspec.Struct, frozen=True, tag="moment"):
    """One input: a part of a UTC timestamp. hour 0–23, weekday 1–7 from Monday, day 1–31, month 1–12."""

    column: str
    part: Part

    @property
    def name(self) -> str:
        return f"{self.column}.{self.part}"


Encoder = Number | Category | Moment


class Input(msgspec.Struct, frozen=True):
    """What a program reads at one position: a number, or a code below `levels`."""

    name: str
    levels: int = 0

    @property
    def categorical(self) -> bool:
        return self.levels > 0


class Features(msgspec.Struct, frozen=True):
    """The encoders, in the order of the model's inputs.

    `matrix` and `row` give equal numbers for equal values. A request's single row is encoded by the answerer of
    deployment.integration.serve, for speed; the check served-equals-batch compares the two bit for bit.
    """

    encoders: tuple[Encoder, ...]

    @property
    def inputs(self) -> tuple[Input, ...]:
        return tuple(
            Input(encoder.name, len(encoder.levels) if isinstance(encoder, Category) else 0)
            for encoder in self.encoders
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a row must have, without repetition."""
        return tuple(dict.fromkeys(encoder.column for encoder in self.encoders))

    @property
    def digest(self) -> str:
        return digest(self)

    def matrix(self, table: Table) -> Floats:
        """Inputs of every row, (rows, inputs) float64; categories as codes, missing and unseen as NaN.

        Raises BadData naming the first column that is missing or does not hold what was trained on.
        """
        out = np.empty((table.rows, len(self.encoders)))
        for place, encoder in enumerate(self.encoders):
            out[:, place] = _encode(encoder, table.column(encoder.column))
        return out

    def row(self, record: Mapping[str, Any]) -> Floats:
        """Inputs of one record, (inputs,) float64, equal to the row of `matrix` for the same values."""
        out = np.empty(len(self.encoders))
        for place, encoder in enumerate(self.encoders):
            if encoder.column not in record:
                raise BadData(f'field "{encoder.column}" is missing', where=encoder.column,
                              hint="send null if the value is unknown")
            out[place] = _one(encoder, record[encoder.column])
        return out


def fit(table: Table, schema: Schema | None = None) -> Features:
    """Encoders for the feature columns of a table, fitted on these rows only; no label is read.

    Categories keep the 254 most frequent levels with at least 5 rows; a column without any such level,
    a constant column and free text are left out. Of the time column only the hour and the weekday are used: they come
    round again, while a date seen in training does not.
    """
    encoders: list[Encoder] = []
    chosen = schema or table.schema
    for column in (*chosen.features, *chosen.having("time")):
        values = table.column(column.name)
        if column.role == "time":
            encoders += [Moment(column.name, part) for part in _parts(values) if part in CYCLES]
        elif column.kind in ("number", "boolean"):
            if _varies(values):
                encoders.append(Number(column.name))
        elif column.kind == "timestamp":
            encoders += [Moment(column.name, part) for part in _parts(values)]
        elif column.kind == "category":
            levels = _levels(values)
            if levels:
                encoders.append(Category(column.name, levels))
    if not encoders:
        raise BadData("no column is left to learn from", where=table.name,
                      hint="every feature is constant, free text or set aside; see [data] set_aside")
    return Features(tuple(encoders))


def _varies(values: pa.ChunkedArray) -> bool:
    numbers = to_numbers(values)
    finite = numbers[np.isfinite(numbers)]
    return bool(finite.size) and (bool(np.any(finite != finite[0])) or finite.size < numbers.size)


def _levels(values: pa.ChunkedArray) -> tuple[str, ...]:
    words = to_words(values)
    present, counts = np.unique(np.array([w for w in words if w is not None], dtype=object).astype(str),
                                return_counts=True)
    frequent = [(int(-count), str(word)) for word, count in zip(present, counts, strict=True)
                if count >= min(MIN_LEVEL_ROWS, max(1, len(words) // 20))]
    return tuple(sorted(word for _, word in sorted(frequent)[:MAX_LEVELS]))


def _parts(values: pa.ChunkedArray) -> list[Part]:
    kinds: tuple[Part, ...] = ("hour", "weekday", "day", "month", "seconds")
    return [part for part in kinds if _varies(pa.chunked_array([pa.array(_moments(values, part), from_pandas=True)]))]


def _encode(encoder: Encoder, values: pa.ChunkedArray) -> Floats:
    if isinstance(encoder, Number):
        return to_numbers(values, encoder.column)
    if isinstance(encoder, Moment):
        return _moments(values, encoder.part)
    words = pa.array(to_words(values), pa.string()) if not pa.types.is_string(values.type) else values
    codes = pc.index_in(words, value_set=pa.array(encoder.levels, pa.string()))
    return np.asarray(pc.cast(codes, pa.float64()).to_numpy(zero_copy_only=False)
                      if isinstance(codes, pa.Array) else pc.cast(codes, pa.float64()).to_numpy(), np.float64)


def _moments(values: pa.ChunkedArray, part: Part) -> Floats:
    seconds = to_numbers(values)
    if part == "seconds":
        return seconds
    known = np.isfinite(seconds)
    whole = np.floor(np.where(known, seconds, 0)).astype("<i8")
    days = whole // 86_400
    if part == "hour":
        found = (whole - days * 86_400) // 3_600
    elif part == "weekday":
        found = (days + 3) % 7 + 1
    else:
        dates = days.astype("datetime64[D]")
        months = dates.astype("datetime64[M]")
        found = months.astype("<i8") % 12 + 1 if part == "month" else (dates - months).astype("<i8") + 1
    return np.where(known, found.astype(np.float64), np.nan)


def _one(encoder: Encoder, value: Any) -> float:
    if value is None:
        return np.nan
    if isinstance(encoder, Number):
        return float(value)
    if isinstance(encoder, Category):
        word = value if isinstance(value, str) else to_words(pa.array([value]))[0]
        place = _codes(encoder.levels).get(word)
        return np.nan if place is None else float(place)
    return float(_moments(pa.chunked_array([pa.array([moment(value)], pa.timestamp("us", "UTC"))]), encoder.part)[0])


def moment(value: Any) -> datetime:
    """A UTC time from a datetime or ISO 8601 text. Raises BadData for one without a zone."""
    try:
        stamp = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadData(f"{value!r} is not a time", where="a column of times",
                      hint="write it as 2013-09-01T06:00:00Z") from error
    if stamp.tzinfo is None:
        raise BadData(f"{value!r} has no time zone", where="a column of times", hint="add Z for UTC, or the offset")
    return stamp.astimezone(UTC)


_CODES: dict[tuple[str, ...], dict[str, int]] = {}


def _codes(levels: tuple[str, ...]) -> dict[str, int]:
    if levels not in _CODES:
        _CODES[levels] = {level: place for place, level in enumerate(levels)}
    return _CODES[levels]
