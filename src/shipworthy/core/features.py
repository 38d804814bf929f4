"""Features: the fitted, declared way from a row to the model's inputs, in training and at a request alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from shipworthy.core.canon import digest
from shipworthy.core.clock import EPOCH, micros
from shipworthy.core.lazy import Lazy
from shipworthy.core.schema import Schema
from shipworthy.core.table import Floats, Table, to_numbers, to_words, word
from shipworthy.errors import BadData

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    pa, pc = Lazy("pyarrow"), Lazy("pyarrow.compute")

MAX_LEVELS = 254
MIN_LEVEL_ROWS = 5
MOST_RARE = 10_000
DAY = 86_400
NAN = float("nan")
CYCLES = ("hour", "weekday")
Part = Literal["hour", "weekday", "day", "month", "seconds"]


class Number(msgspec.Struct, frozen=True, tag="number"):
    """One input: the number itself; null is NaN. booleans are 0 and 1."""

    column: str

    @property
    def name(self) -> str:
        return self.column


class Category(msgspec.Struct, frozen=True, tag="category"):
    """One input: the place of the value among levels seen in training; null and all other values are NaN.

    rare: values that training had too, but too few of, so that nobody is told that they were never seen.
    """

    column: str
    levels: tuple[str, ...]
    rare: tuple[str, ...] = ()

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
    """The encoders, in the order of the model's inputs. `matrix` and `single` give equal numbers for equal values."""

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

    def matrix(self, table: Table, readers: Mapping[str, Callable[[Any], float]] | None = None) -> Floats:
        """Inputs of every row, (rows, inputs) float64; categories as codes, missing and unseen as NaN.

        readers: of columns of words, the function from a word to its code, if it is more than a look among the levels.
        Raises BadData naming the first column that is missing or does not hold what was trained on.
        """
        out, readers = np.empty((table.rows, len(self.encoders))), readers or {}
        for place, encoder in enumerate(self.encoders):
            values, read = table.column(encoder.column), readers.get(encoder.column)
            out[:, place] = _encode(encoder, values) if read is None else _distinct(values, read)
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
            encoders += [Moment(column.name, part) for part in _parts(values, column.name) if part in CYCLES]
        elif column.kind in ("number", "boolean"):
            if _varies(to_numbers(values, column.name)):
                encoders.append(Number(column.name))
        elif column.kind == "timestamp":
            encoders += [Moment(column.name, part) for part in _parts(values, column.name)]
        elif column.kind == "category":
            levels, rare = _levels(values)
            if levels:
                encoders.append(Category(column.name, levels, rare))
    if not encoders:
        raise BadData("no column is left to learn from", where=table.name,
                      hint="every feature is constant, free text or set aside; see [data] set_aside")
    return Features(tuple(encoders))


def _varies(numbers: Floats) -> bool:
    finite = numbers[np.isfinite(numbers)]
    return bool(finite.size) and (bool(np.any(finite != finite[0])) or finite.size < numbers.size)


def _levels(values: pa.ChunkedArray) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The levels, and the most frequent of the values that are none."""
    words = to_words(values)
    present, counts = np.unique(np.array([w for w in words if w is not None], dtype=object).astype(str),
                                return_counts=True)
    ordered = sorted((int(-count), str(word)) for word, count in zip(present, counts, strict=True))
    least = min(MIN_LEVEL_ROWS, max(1, len(words) // 20))
    levels = [word for count, word in ordered[:MAX_LEVELS] if -count >= least]
    return tuple(sorted(levels)), tuple(word for _, word in ordered[len(levels) : len(levels) + MOST_RARE])


def _parts(values: pa.ChunkedArray, name: str) -> list[Part]:
    kinds: tuple[Part, ...] = ("hour", "weekday", "day", "month", "seconds")
    return [part for part in kinds if _varies(_moments(values, part, name))]


def _encode(encoder: Encoder, values: pa.ChunkedArray) -> Floats:
    if isinstance(encoder, Number):
        return to_numbers(values, encoder.column)
    if isinstance(encoder, Moment):
        return _moments(values, encoder.part, encoder.column)
    words = pa.array(to_words(values), pa.string()) if not pa.types.is_string(values.type) else values
    codes = pc.index_in(words, value_set=pa.array(encoder.levels, pa.string()))
    return np.asarray(pc.cast(codes, pa.float64()).to_numpy(zero_copy_only=False)
                      if isinstance(codes, pa.Array) else pc.cast(codes, pa.float64()).to_numpy(), np.float64)


def _distinct(values: pa.ChunkedArray, read: Callable[[Any], float]) -> Floats:
    """Words through a function of one word, called once for each word that a chunk holds."""
    found = [np.empty(0)]
    for chunk in values.chunks:
        if pa.types.is_dictionary(chunk.type) and len(chunk.dictionary) > len(chunk):
            chunk = pc.cast(chunk, chunk.type.value_type)
        coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        codes = np.fromiter(map(read, (*coded.dictionary.to_pylist(), None)), np.float64)
        found.append(codes[pc.fill_null(pc.cast(coded.indices, pa.int64()), len(codes) - 1).to_numpy()])
    return np.concatenate(found)


def _moments(values: pa.ChunkedArray, part: Part, name: str) -> Floats:
    return part_of(to_numbers(values, name), part)


def part_of(seconds: Floats, part: Part) -> Floats:
    """A part of UTC times given as seconds since 1970; NaN where there is none."""
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


def single(encoder: Encoder) -> Callable[[Any], float]:
    """The encoder of one value, equal to its column of `Features.matrix`; times are datetimes with a zone."""
    if isinstance(encoder, Number):
        return _number
    if isinstance(encoder, Moment):
        return _moment(encoder.part)
    codes: dict[str | None, float] = {level: float(place) for place, level in enumerate(encoder.levels)}
    return lambda value: codes.get(word(value), NAN)


def _number(value: float | None) -> float:
    return NAN if value is None else float(value)


def _moment(part: Part) -> Callable[[datetime | None], float]:
    def one(value: datetime | None) -> float:
        if value is None:
            return NAN
        seconds = float(micros(value)) / 1e6
        if part == "seconds":
            return seconds
        day, rest = divmod(int(seconds // 1), DAY)
        if part == "hour":
            return float(rest // 3_600)
        if part == "weekday":
            return float((day + 3) % 7 + 1)
        date = EPOCH + timedelta(days=day)
        return float(date.month if part == "month" else date.day)

    return one
