"""What a request may hold: one strict type per column, and a sentence for everything that does not fit.

Text is no number, neither is true; a field that is missing, unknown, infinite or a time without a zone is refused by
name. What training had to read from text (numbers such as "2,500", "yes" and "no", times without a zone) may come as
that text here too. null is a known answer everywhere: the model learnt what a missing value means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from math import isfinite
from typing import Annotated, Any

import msgspec
from msgspec.structs import astuple

from shipworthy.core.features import Category
from shipworthy.core.model import Model
from shipworthy.core.schema import Column
from shipworthy.errors import BadData, nearest

Stamp = Annotated[datetime, msgspec.Meta(tz=True)]
LONGEST = 1e308
SHOWN = 60
MOST_NAMED = 20
WORDS = {"number": "a number", "boolean": "true or false", "category": "text", "text": "text",
         "timestamp": "a time with a zone, such as 2013-09-01T06:00:00Z"}
SAID = {"number": "one", "boolean": "so", "timestamp": "one in UTC"}


class Field(msgspec.Struct, frozen=True):
    """One field of a record. key: its attribute. required: the model reads it. words: numbers are names here too.

    text: training read the column from text, and so does the server.
    """

    name: str
    key: str
    kind: str
    required: bool
    words: bool = False
    text: bool = False

    @property
    def wanted(self) -> str:
        more = " or a number" if self.words else f", or text that says {SAID[self.kind]}" if self.text else ""
        return WORDS[self.kind] + more + ", or null"

    @property
    def loose(self) -> bool:
        """Whether values of several types may come: words and numbers, or text to be read."""
        return self.words or self.text

    @property
    def kept(self) -> str:
        """The kind in which the log keeps it: numbers that may be text are kept as they came, as text."""
        return "text" if self.text and self.kind == "number" else self.kind


class Shape:
    """The compiled type of a record: decodes JSON and dictionaries strictly.

    fields: first those that the model reads, then columns that it was told about and does not read (kept in the log).
    entity: those of them that say whose row it is, so that a label can name it.
    ignored: further columns of the training table, so that a raw row of it can be asked; nobody looks at them.
    """

    def __init__(self, model: Model, told: Sequence[Column] = ()) -> None:
        read = model.features.columns
        known = [c for c in model.sheet.schema.columns if c.name not in read and c.role != "target"
                 and (c.protected or c.role != "ignored")]
        known += [_unread(c) for c in told if c.name not in model.sheet.schema and _is_kept(c)]
        ordered = [model.sheet.schema[name] for name in read] + known
        self.fields = tuple(_field(model, place, column, place < len(read)) for place, column in enumerate(ordered))
        self.entity = tuple(c.name for c in ordered if c.role in ("group", "identifier"))
        self.ignored = tuple(c.name for c in told if c.name not in {column.name for column in ordered})
        self._least = len(read)
        self.names = tuple(field.name for field in self.fields)
        self._read = {reading.column: reading.one for reading in model.sheet.cleaning.only(self.names).readings
                      if reading.reads_text and reading.kind != "number"}
        self.type: type[msgspec.Struct] = msgspec.defstruct(
            "Record", [*map(_entry, self.fields), *((f"x{n}", Any, None) for n in range(len(self.ignored)))],
            rename={f.key: f.name for f in self.fields} | {f"x{n}": name for n, name in enumerate(self.ignored)},
            forbid_unknown_fields=True, frozen=True, gc=False,
        )
        self._json = msgspec.json.Decoder(self.type | list[self.type])  # type: ignore[name-defined]

    def decode(self, body: bytes) -> tuple[list[Any], bool]:
        """The records of a JSON body and whether it was a single one.

        A field that is sent twice is seen by counting keys: as many as there are required fields, or fields with a
        value, are each sent once; only where it is neither is the body read again, pair by pair. It misses a body that
        has white space before the colon of one key and none before that of another, sent twice.

        Raises msgspec.DecodeError or UnicodeDecodeError for malformed JSON, BadData naming the field otherwise.
        """
        try:
            found = self._json.decode(body)
        except msgspec.ValidationError as error:
            raise self._refusal(_loose(body, error), error) from error
        except msgspec.DecodeError as error:
            raise _named_constant(body) or error from None
        records, single = (found, False) if isinstance(found, list) else ([found], True)
        keys = body.count(b'":')
        if keys != self._least * len(records) and keys != sum(map(self._named, records)):
            json.loads(body, object_pairs_hook=_once)
        return records, single

    def convert(self, records: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The records of plain dictionaries. Raises BadData naming the field."""
        try:
            found: list[Any] = msgspec.convert(records, list[self.type])  # type: ignore[name-defined]
        except msgspec.ValidationError as error:
            raise self._refusal(list(records), error) from error
        for place, record in enumerate(found):
            for field in self.fields:
                value = getattr(record, field.key)
                if isinstance(value, float) and not -LONGEST < value < LONGEST:
                    raise _bad(field.name, value, place, "is not a finite number", "send null if the value is unknown")
        return found

    def adapted(self, records: Sequence[Any], shape: Shape) -> Sequence[Any]:
        """Records of another release's type as this one reads them: what it does not know is left out.

        shape: of the records. Raises BadData where a value is of another kind here.
        """
        if self.fields == shape.fields:
            return records
        keys = [*((field.key, field.name) for field in shape.fields),
                *((f"x{n}", name) for n, name in enumerate(shape.ignored))]
        known = [(key, name) for key, name in keys if name in self.names]
        wanted = dict.fromkeys(field.name for field in self.fields if field.required)
        return self.convert([wanted | {name: getattr(record, key) for key, name in known} for record in records])

    def columns(self, records: Sequence[Any]) -> dict[str, list[Any]]:
        """The values of every field as they came, by name, in the order of the fields; times and truths without text.

        Raises BadData for text that says neither.
        """
        values = zip(*map(astuple, records), strict=True) if records else [()] * len(self.fields)
        found = {name: list(column) for name, column in zip(self.names, values, strict=False)}
        return {**found, **{name: list(map(read, found[name])) for name, read in self._read.items()}}

    def kept(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The values of one record's fields as `columns` has them, of all its attributes in order."""
        own = values[: len(self.fields)] if len(values) > len(self.fields) else values
        if not self._read:
            return own
        return tuple(self._read[name](value) if name in self._read else value
                     for name, value in zip(self.names, own, strict=True))

    def _named(self, record: Any) -> int:
        """How many keys a record has at least: every required one, and each of the others that has a value."""
        values = msgspec.structs.astuple(record)
        return len(values) - values[self._least :].count(None)

    def _refusal(self, body: Any, error: Exception) -> BadData:
        """The first thing wrong, in plain words."""
        if not isinstance(body, dict | list):
            return BadData(f"the body is {_shown(body)}", where="body", hint="send a record or a list of records")
        for place, record in enumerate(body if isinstance(body, list) else [body]):
            if not isinstance(record, dict):
                return BadData(f"{_at(place)}a record is {_shown(record)}", where="body",
                               hint='send {"field": value, …}')
            found = self._wrong(record, place)
            if found:
                return found
        return BadData(str(error), where="body",
                       hint="send one JSON object for a row, with the fields that GET /v1/schema lists")

    def _wrong(self, record: dict[str, Any], place: int) -> BadData | None:
        for field in self.fields:
            if field.name not in record:
                if field.required:
                    return BadData(f'{_at(place)}field "{field.name}" is missing', where=field.name,
                                   hint=f"send {field.wanted}")
            elif not _fits(field, value := record[field.name]):
                return _bad(field.name, value, place, f"is not {field.wanted}", _advice(field, value))
        unknown = [name[:SHOWN] for name in record if name not in self.names and name not in self.ignored]
        if len(unknown) == 1:
            return BadData(f'{_at(place)}field "{unknown[0]}" is not known', where=unknown[0],
                           hint=nearest(unknown[0], self.names) or "leave it out")
        if unknown:
            listed = ", ".join(f'"{name}"' for name in unknown[:MOST_NAMED])
            more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
            return BadData(f"{_at(place)}fields {listed}{more} are not known", where=unknown[0],
                           hint=nearest(unknown[0], self.names) or "leave them out")
        return None


def _once(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for name, _ in pairs:
        if name in seen:
            raise BadData(f'field "{name[:SHOWN]}" is sent twice', where=name[:SHOWN], hint="send it once")
        seen.add(name)


def _named_constant(body: bytes) -> BadData | None:
    """The first field that holds NaN or Infinity, which many clients write and JSON does not know; else None."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for place, record in enumerate(found if isinstance(found, list) else [found]):
        for name, value in record.items() if isinstance(record, dict) else ():
            if isinstance(value, float) and not isfinite(value):
                return _bad(name[:SHOWN], value, place, "is not a finite number", "send null if the value is unknown")
    return None


def _is_kept(column: Column) -> bool:
    """Whether the log keeps a column that the model does not read: what fairness is judged by, and whose row it is."""
    told = column.protected or column.role in ("group", "identifier")
    return told and column.role != "target" and column.kind != "timestamp"


def _unread(column: Column) -> Column:
    """A column that nothing reads may come as it stands in the table: a category of numbers as numbers."""
    name = column.kind == "text" or column.role == "identifier"  # a number of more than 15 digits is kept whole
    return msgspec.structs.replace(column, integer=True, kind="category") if name else (
        msgspec.structs.replace(column, integer=True))


def _field(model: Model, place: int, column: Column, required: bool) -> Field:
    categories = {e.column: e.levels for e in model.features.encoders if isinstance(e, Category)}
    levels = categories.get(column.name, ())
    numeric = column.kind == "category" and (column.integer or (bool(levels) and all(map(_numeric, levels))))
    reading = model.sheet.cleaning.of(column.name)
    text = reading is not None and reading.reads_text
    return Field(column.name, f"f{place}", column.kind, required, numeric, text)


def _entry(field: Field) -> tuple[str, Any] | tuple[str, Any, Any]:
    kinds: dict[str, Any] = {"number": float | None, "boolean": bool | None, "timestamp": Stamp | None,
                             "category": str | None, "text": str | None}
    loose: dict[str, Any] = {"number": float | str | None, "boolean": bool | str | None, "timestamp": Any}
    kind = str | int | float | bool | None if field.words else (loose if field.text else kinds)[field.kind]
    return (field.key, kind) if field.required else (field.key, kind, None)


def _fits(field: Field, value: Any) -> bool:
    if value is None or (field.text and isinstance(value, str)):
        return True
    if field.text and field.kind == "timestamp":
        return isinstance(value, date)
    if field.kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool) and -LONGEST < value < LONGEST
    if field.kind == "boolean":
        return isinstance(value, bool)
    if field.kind == "timestamp":
        return _stamp(value) is not None
    return isinstance(value, str) or (field.words and isinstance(value, int | float))


def _stamp(value: Any) -> datetime | None:
    try:
        found: datetime = msgspec.convert(value, Stamp)
    except msgspec.ValidationError:
        return None
    return found


def _advice(field: Field, value: Any) -> str:
    if field.kind == "number" and isinstance(value, str):
        return f"send the number without quotes: {value}" if _numeric(value) else "send null if the value is unknown"
    if field.kind == "number" and isinstance(value, bool):
        return f"send {int(value)} if that is the number meant"
    if field.kind == "timestamp":
        return "add Z for UTC, or the offset"
    if field.kind in ("category", "text") and isinstance(value, int | float):
        return f'send it as text: "{value}"'
    return f"send {field.wanted}"


def _bad(name: str, value: Any, place: int, problem: str, hint: str) -> BadData:
    return BadData(f'{_at(place)}field "{name}": {_shown(value)} {problem}', where=name, hint=hint)


def _at(place: int) -> str:
    return f"record {place}: " if place else ""


def _loose(body: bytes, error: msgspec.ValidationError) -> Any:
    """The body without its types; a number beyond float64 cannot be read even so, and the first error names it."""
    try:
        return msgspec.json.decode(body)
    except msgspec.ValidationError:
        found = re.search(r"at `\$(?:\[(?:\d+|\.\.\.)\])?\.(.+)`$", str(error))
        name = found.group(1) if found else "body"
        raise BadData(f'field "{name}" is not a finite number', where=name,
                      hint="send null if the value is unknown") from error
    except msgspec.DecodeError as malformed:
        raise _named_constant(body) or malformed from None


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = msgspec.json.encode(value, enc_hook=str).decode()
    text = str(value) if text == "null" and value is not None else text
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _numeric(text: str) -> bool:
    try:
        return abs(float(text)) < LONGEST
    except ValueError:
        return False
