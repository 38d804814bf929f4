"""Cleaning: how the values of every column are read, fitted on the learn rows and frozen into the model.

One reading serves a whole table (`all`) and one value of a request (`one`), with equal outcomes; reading what was
read already changes nothing. A value that training took for missing is missing at serving.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from shipworthy.core.clock import micros
from shipworthy.core.lazy import Lazy
from shipworthy.core.table import Floats, Mask, Table, is_text, to_numbers, to_words, word
from shipworthy.errors import BadData

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    pa, pc = Lazy("pyarrow"), Lazy("pyarrow.compute")

NOTHING = frozenset({"", "?", "??", "-", "--", ".", "n/a", "#n/a", "na", "nan", "null", "#null!", "#value!", "#ref!",
                     "missing", "not available", "not applicable", "<na>", "\\n"})
TRUTHS = {"true": True, "yes": True, "y": True, "1": True, "t": True,
          "false": False, "no": False, "n": False, "0": False, "f": False}
DATES, NAIVE = "dates are read as midnight UTC", "times without a zone are read as UTC"
LARGEST = float(np.finfo(np.float32).max)
LATEST = 253_402_214_400  # 9999-12-31, seconds since 1970: what systems write for "never"
_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_AROUND = re.compile(r"([€$£¥]\s?)?([+-]?[0-9.,]+(?:[eE][+-]?[0-9]+)?)\s?(%|[a-zA-Zµ°]{1,4}\.?(?:/[a-z]{1,3})?)?")


class Gap(msgspec.Struct, frozen=True):
    """Numbers from low to high, both included, that mean that there is none; why, and which voters said so."""

    low: float
    high: float
    reason: str
    voters: tuple[str, ...] = ()


class Numerals(msgspec.Struct, frozen=True):
    """How a column writes its numbers in words. comma: "1,5" is one and a half. codes: words for missing."""

    comma: bool = False
    unit: str = ""
    codes: tuple[str, ...] = ()

    def number(self, text: str) -> float | None:
        """The number that a word says; None where it says none, or one of another unit."""
        text = text.strip()
        found = None if is_missing(text, self.codes) else parsed(text, comma=self.comma)
        return found[0] if found and found[1] in ("", self.unit) else None


class Numbers(msgspec.Struct, frozen=True, omit_defaults=True, tag="numbers"):
    """A column of numbers. text: how words are read where the column arrived as words; else words are refused."""

    column: str
    gaps: tuple[Gap, ...] = ()
    text: Numerals | None = None

    kind = "number"

    @property
    def reads_text(self) -> bool:
        return self.text is not None

    def one(self, value: Any) -> float | None:
        if isinstance(value, str):
            value = self._text(value)
        try:
            number = float("nan") if value is None else float(value)
        except OverflowError:
            return None
        if not -LARGEST <= number <= LARGEST:
            return None
        for gap in self.gaps:
            if gap.low <= number <= gap.high:
                return None
        return number

    def all(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        if is_text(values.type):
            return _distinct(values, self.one, pa.float64())
        if pa.types.is_temporal(values.type):
            raise _unfit(self.column, "holds times, not numbers", "make it numbers in the source")
        gone = self.gone(to_numbers(values, self.column))
        return pc.if_else(pa.array(gone), pa.scalar(None, values.type), values) if gone.any() else values

    def gone(self, numbers: Floats) -> Mask:
        """(n,) true where a number means that there is none; NaN, which says so itself, is not counted."""
        found: Mask = np.abs(numbers) > LARGEST
        for gap in self.gaps:
            found |= (numbers >= gap.low) & (numbers <= gap.high)
        return found

    def _text(self, text: str) -> float | None:
        if self.text is None:
            raise _unfit(self.column, f"does not hold numbers: {text[:60]!r}", "send the number without quotes")
        return self.text.number(text)


class Words(msgspec.Struct, frozen=True, omit_defaults=True, tag="words"):
    """A column of words. codes: declared words for missing. known: words that training had → what they mean.

    folded: a frequent value without case and spaces → the value, for spellings that training did not have.
    prose: free text, of which only blanks are read.
    """

    column: str
    codes: tuple[str, ...] = ()
    known: dict[str, str] = {}
    folded: dict[str, str] = {}
    prose: bool = False

    reads_text = False

    @property
    def kind(self) -> str:
        return "text" if self.prose else "category"

    def one(self, value: Any) -> str | None:
        text = word(value)
        if text is None:
            return None
        plain = text.strip()
        if self.prose:
            return None if is_missing(plain, self.codes) else text
        found = self.known.get(text) or self.known.get(plain)
        if found is not None:
            return found
        return None if is_missing(plain, self.codes) else self.folded.get(fold(plain), plain)

    def all(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        return _distinct(values, self.one, pa.string())


class Truths(msgspec.Struct, frozen=True, omit_defaults=True, tag="truths"):
    """A column of true and false. text: it arrived as words, so "yes" and "no" are read too."""

    column: str
    text: bool = False

    kind = "boolean"

    @property
    def reads_text(self) -> bool:
        return self.text

    def one(self, value: Any) -> bool | None:
        if value is None or isinstance(value, bool):
            return value
        text = str(value).strip().lower()
        if self.text and text in TRUTHS:
            return TRUTHS[text]
        raise _unfit(self.column, f"holds {str(value)[:60]!r}, which is neither true nor false", "send true or false")

    def all(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        if is_text(values.type):
            return _distinct(values, self.one, pa.bool_())
        return values if pa.types.is_boolean(values.type) else pc.cast(values, pa.bool_())


class Times(msgspec.Struct, frozen=True, omit_defaults=True, tag="times"):
    """A column of times. naive: those without a zone are UTC, as training read them; else they are refused.

    text: it arrived as words. ends: a time at or after 9999-12-31 means that there is none.
    """

    column: str
    text: bool = False
    naive: bool = False
    ends: bool = False

    kind = "timestamp"

    @property
    def reads_text(self) -> bool:
        return self.text or self.naive

    def one(self, value: Any) -> datetime | None:
        stamp = None if value is None else moment(value, self.column, naive=self.naive)
        return None if stamp is None or (self.ends and micros(stamp) >= LATEST * 10**6) else stamp

    def all(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        if is_text(values.type):
            if not self.reads_text:
                raise _unfit(self.column, "does not hold times", "write times as 2013-09-01T06:00:00Z")
            return _distinct(values, self.one, _utc())
        if not (pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)):
            raise _unfit(self.column, f"holds {values.type} values, not times", "write times as 2013-09-01T06:00:00Z")
        if not getattr(values.type, "tz", None) and not self.naive:
            raise _unfit(self.column, "holds times without a zone", "add Z for UTC, or the offset")
        values = values if values.type == _utc() else _stamps(values)
        gone = pc.and_(self.ends, pc.greater_equal(pc.cast(values, pa.int64()), LATEST * 10**6))
        gone = pc.fill_null(gone, False)
        return pc.if_else(gone, pa.scalar(None, _utc()), values) if pc.any(gone).as_py() else values


Reading = Numbers | Words | Truths | Times


class Cleaning(msgspec.Struct, frozen=True, dict=True):
    """The reading of every column that training cleaned; a column without one is taken as it is."""

    readings: tuple[Reading, ...] = ()

    @cached_property
    def _named(self) -> dict[str, Reading]:
        return {reading.column: reading for reading in self.readings}

    def of(self, column: str) -> Reading | None:
        """The reading of a column, or None."""
        return self._named.get(column)

    def only(self, names: Iterable[str]) -> Cleaning:
        """The readings of these columns."""
        kept = set(names)
        return Cleaning(tuple(reading for reading in self.readings if reading.column in kept))

    def table(self, table: Table, names: Iterable[str] | None = None) -> Table:
        """The table as the model reads it; names: only these columns. Columns that it lacks are left out.

        Raises BadData naming the column whose values cannot be read as those of training were.
        """
        for name in self._named if names is None else names:
            reading = self._named.get(name)
            if reading is None or name not in table.schema:
                continue
            if reading.kind == "timestamp" and not reading.reads_text and table.notes.get(name) in (DATES, NAIVE):
                raise _unfit(name, "holds times without a zone", "add Z for UTC, or the offset")
            before = table.data[name]
            after = _empty(before, reading) if before.null_count == len(before) else reading.all(before)
            column = table.schema[name]
            if after is not before or column.kind != reading.kind:
                whole = column.integer and column.kind == reading.kind
                table = table.with_column(name, after, kind=reading.kind, integer=whole)
        return table


def is_missing(text: str, codes: tuple[str, ...] = ()) -> bool:
    """Whether a word says that there is no value. text: without spaces around it."""
    return text in codes or text.casefold() in NOTHING


def fold(text: str) -> str:
    """A word without case and superfluous spaces."""
    return " ".join(text.split()).casefold()


def parsed(text: str, *, comma: bool) -> tuple[float, str] | None:
    """The number and the unit of a word such as "1,234.5 kg"; None if it is no number. comma: "1,5" is 1.5."""
    match = _AROUND.fullmatch(text)
    if not match:
        return (float(text), "") if _PLAIN.fullmatch(text) else None
    core, unit = match.group(2), (match.group(1) or "").strip() + (match.group(3) or "")
    if _GROUPED.fullmatch(core) and not comma:
        return float(core.replace(",", "")), unit
    if comma and _COMMA.fullmatch(core):
        return float(core.replace(",", ".")), unit
    return (float(core), unit) if _PLAIN.fullmatch(core) else None


def has_comma(words: Iterable[str]) -> bool:
    """Whether a column writes "1,5" for one and a half: some comma cannot part thousands, and there is no point."""
    words = list(words)
    return any(_COMMA.fullmatch(w) and not _GROUPED.fullmatch(w) for w in words) and not any("." in w for w in words)


def moment(value: Any, column: str = "a column of times", *, naive: bool = False) -> datetime:
    """A UTC time from a datetime, a date or ISO 8601 text. naive: one without a zone is UTC.

    Raises BadData for what is no time, and for one without a zone unless naive.
    """
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        if value.tzinfo is None and naive:
            value = value.replace(tzinfo=UTC)
        if value.tzinfo is not None:
            stamp: datetime = value.astimezone(UTC)
            return stamp
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise BadData(f"{str(value)[:60]!r} is not a time", where=column,
                      hint="write it as 2013-09-01T06:00:00Z") from error
    raise BadData(f"{value.isoformat()!r} has no time zone", where=column, hint="add Z for UTC, or the offset")


def _distinct(values: pa.ChunkedArray, one: Callable[[Any], Any], kind: pa.DataType) -> pa.ChunkedArray:
    """Every value read once, however many rows hold it; the very same array where none changes."""
    if not pa.types.is_string(values.type):
        values = pa.chunked_array([pa.array(to_words(values), pa.string())])
    coded = values.combine_chunks().dictionary_encode()
    before = coded.dictionary.to_pylist()
    after = [one(each) for each in before]
    if kind == pa.string() and before == after:
        return values
    return pa.chunked_array([pa.array(after, kind).take(coded.indices)])


def _empty(values: pa.ChunkedArray, reading: Reading) -> pa.ChunkedArray:
    """A column without any value, of a type that its reading knows, whatever a file made of it."""
    kinds = {"number": pa.float64(), "boolean": pa.bool_(), "timestamp": _utc()}
    kind = kinds.get(reading.kind, pa.string())
    known = pa.types.is_integer(values.type) and reading.kind == "number"
    return values if known or values.type == kind else pa.chunked_array([pa.nulls(len(values), kind)])


def _stamps(values: pa.ChunkedArray) -> pa.ChunkedArray:
    zone = getattr(values.type, "tz", None)
    plain = pc.cast(values, pa.timestamp("us", zone), safe=False)
    return plain.cast(_utc()) if zone else pc.assume_timezone(plain, "UTC").cast(_utc())


def _unfit(column: str, problem: str, hint: str) -> BadData:
    return BadData(f'column "{column}" {problem}', where=column, hint=hint)


def _utc() -> pa.DataType:
    return pa.timestamp("us", "UTC")
