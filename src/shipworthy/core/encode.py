"""Encoding Python values as they arrive, one or a column of them: the numbers of `Model.inputs`, without Arrow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from shipworthy.core.cleaning import LARGEST, Cleaning, Numbers, Reading, Times, Truths, Words
from shipworthy.core.clock import micros
from shipworthy.core.features import NAN, Category, Encoder, Moment, Number, part_of, single
from shipworthy.core.table import Floats

NONE = type(None)
PLAIN = frozenset({float, int, bool, NONE})
TOLD_APART = (str, int)  # types of which equal values are the same value: 0.0 and -0.0 are not, as words
Read = Callable[[Any], float]
Fill = Callable[[Sequence[Any], Floats], None]


def value_reader(encoder: Encoder, reading: Reading | None) -> Read:
    """The function from one value as it arrived to its number in `Model.inputs`."""
    encode = single(encoder)
    if reading is None and isinstance(encoder, Moment):
        reading = Times(encoder.column)
    if reading is None:
        return encode
    one = reading.one
    if not isinstance(encoder, Category) or not isinstance(reading, Words):
        return lambda value: encode(one(value))
    at_once = {text: encode(one(text)) for text in (*encoder.levels, *reading.known)}

    def read(value: Any) -> float:
        found = at_once.get(value)
        return encode(one(value)) if found is None else found

    return read


def swift_reader(encoder: Encoder, reading: Reading | None, *, strict: bool) -> Read:
    """What `value_reader` gives, for one row at a time. strict: words come as text, numbers as floats, or None."""
    read = value_reader(encoder, reading)
    if not strict:
        return read
    if isinstance(encoder, Category) and (reading is None or isinstance(reading, Words)):
        known = {*encoder.levels, *(reading.known if reading else ())}
        return Known({None: NAN, **{text: read(text) for text in known}}, read).__getitem__
    if isinstance(encoder, Number) and isinstance(reading, Numbers) and not reading.gaps:
        return lambda value: value if value.__class__ is float and -LARGEST <= value <= LARGEST else read(value)
    return read


class Known(dict[Any, float]):
    """Values and their numbers; any other value is read when it comes, and not kept."""

    def __init__(self, known: Mapping[Any, float], read: Read) -> None:
        super().__init__(known)
        self._read = read

    def __missing__(self, value: Any) -> float:
        return self._read(value)


def fillers(encoders: Sequence[Encoder], cleaning: Cleaning) -> tuple[tuple[str, Fill], ...]:
    """Of every column its name and the function that writes its inputs: (values, out (n, inputs)) → None.

    A column whose values are of plain types is read by NumPy, or each distinct value of it once; any other one by one.
    """
    fills: list[tuple[str, Fill]] = []
    parts: dict[str, list[tuple[int, Moment]]] = {}
    for place, encoder in enumerate(encoders):
        if isinstance(encoder, Moment):
            parts.setdefault(encoder.column, []).append((place, encoder))
        else:
            fills.append((encoder.column, _filler(place, encoder, cleaning.of(encoder.column))))
    return (*fills, *((column, _times(each, cleaning.of(column))) for column, each in parts.items()))


def filled(fills: Iterable[tuple[str, Fill]], columns: Mapping[str, Sequence[Any]], width: int) -> Floats:
    """The inputs (n, width) of columns that are all there."""
    fills = tuple(fills)
    out = np.empty((len(columns[fills[0][0]]) if fills else 0, width))
    for column, fill in fills:
        fill(columns[column], out)
    return out


def _filler(place: int, encoder: Encoder, reading: Reading | None) -> Fill:
    read = value_reader(encoder, reading)
    numbers = _at_once(reading) if not isinstance(encoder, Category) else None

    def fill(values: Sequence[Any], out: Floats) -> None:
        types = set(map(type, values))
        found = numbers(values, types) if numbers else None
        out[:, place] = _each(read, values, types) if found is None else found

    return fill


def _each(read: Read, values: Sequence[Any], types: set[type]) -> Floats:
    """Every value read; a value that occurs again only once, where equal values are the same."""
    if len(types - {NONE}) == 1 and types - {NONE} <= set(TOLD_APART):
        read = {value: read(value) for value in set(values)}.__getitem__
    return np.fromiter(map(read, values), np.float64, len(values))


def _at_once(reading: Reading | None) -> Callable[[Sequence[Any], set[type]], Floats | None] | None:
    """The numbers of a whole column of them, None where a value is of another type; None for readings of words."""
    if not (reading is None or isinstance(reading, Numbers | Truths)):
        return None
    allowed = frozenset({bool, NONE}) if isinstance(reading, Truths) else PLAIN

    def numbers(values: Sequence[Any], types: set[type]) -> Floats | None:
        if not types <= allowed:
            return None
        try:
            found = np.array(values, np.float64)
        except OverflowError:  # a whole number beyond float64
            return None
        if isinstance(reading, Numbers):
            found[reading.gone(found)] = np.nan
        return found

    return numbers


def _times(places: Sequence[tuple[int, Moment]], reading: Reading | None) -> Fill:
    one: Callable[[Any], Any] = (reading or Times(places[0][1].column)).one

    def fill(values: Sequence[Any], out: Floats) -> None:
        stamps = map(one, values)
        ticks = (np.nan if stamp is None else micros(stamp) for stamp in stamps)
        seconds = np.fromiter(ticks, np.float64, len(values)) / 1e6
        for place, encoder in places:
            out[:, place] = part_of(seconds, encoder.part)

    return fill
