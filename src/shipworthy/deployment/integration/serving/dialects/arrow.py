"""Arrow IPC streams: typed columns in, typed columns out. pyarrow is loaded at the first such request, not before.

Numbers are read from the stream's own buffers and dictionary-encoded text word by word of its dictionary. Compressed
bodies are refused: they may grow to any size.
Source: Apache Arrow columnar format 1.5, "Encapsulated message format".
"""

from __future__ import annotations

import struct
from datetime import UTC
from typing import TYPE_CHECKING, Any

from shipworthy.deployment.integration.serving.answerer import Answerer
from shipworthy.deployment.integration.serving.dialects.asked import (
    NOTES,
    About,
    Answers,
    Headers,
    Question,
    Unreadable,
    Written,
    gathered,
)
from shipworthy.deployment.integration.serving.record import Field
from shipworthy.errors import BadData

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "application/vnd.apache.arrow.stream"
HINT = "write it with pyarrow.ipc.new_stream"
_RECORDS, _DICTIONARY = 3, 2


def read(body: bytes, headers: Headers, answerer: Answerer) -> Question:
    """The rows of a stream. Raises Unreadable where it is none, BadData naming the column whose type does not fit."""
    table = _table(body)
    if table.num_rows > answerer.serving.max_rows:
        raise BadData(f"{table.num_rows:,} records are more than the {answerer.serving.max_rows:,} allowed at once",
                      where="body", hint="send them in several requests")
    names = table.schema.names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadData(f'column "{twice[:60]}" is sent twice', where="body", hint="send every column once")
    fields = {field.name: field for field in answerer.shape.fields}
    columns = {name: _values(table[name], fields[name]) if name in fields else [None] * table.num_rows
               for name in names}
    return Question(gathered(columns, answerer))


def write(question: Question, answers: Answers, about: About) -> Written:
    """A stream of the answers, a row each, with the columns of `frame`."""
    import pyarrow as pa

    table = frame(answers, about, contributions=question.contributions)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Written(KIND, sink.getvalue().to_pybytes())


def frame(answers: Answers, about: About, *, contributions: bool) -> pa.Table:
    """prediction_id, release, prediction, probabilities (struct), set (list) or interval (struct), abstain, notes.

    unseen, missing and outside are lists of field names; contributions is a struct, there if it was asked for.
    """
    import pyarrow as pa

    floats, words = pa.float64(), pa.list_(pa.string())
    named = pa.struct([(name, floats) for name in about.classes])
    arrays = {"prediction_id": pa.array([a["prediction_id"] for a in answers], pa.string()),
              "release": pa.array([a["release"] for a in answers], pa.string()),
              "prediction": pa.array([a["prediction"] for a in answers], pa.string() if about.classes else floats)}
    if about.classes:
        arrays["probabilities"] = pa.array([a["probabilities"] for a in answers], named)
    if about.certain == "set":
        arrays["set"] = pa.array([a.get("set") for a in answers], words)
    if about.certain == "interval":
        ends = [a.get("interval", (None, None)) for a in answers]
        arrays["interval"] = pa.array([{"low": low, "high": high} for low, high in ends],
                                      pa.struct([("low", floats), ("high", floats)]))
    arrays["abstain"] = pa.array([a["abstain"] for a in answers], pa.bool_())
    arrays |= {name: pa.array([a.get(name, []) for a in answers], words) for name in NOTES}
    if contributions:
        kind = pa.struct([(name, floats) for name in about.inputs])
        arrays["contributions"] = pa.array([a["contributions"] for a in answers], kind)
    return pa.table(arrays)


def _table(body: bytes) -> pa.Table:
    """The stream as a table over its own buffers, every offset checked."""
    import pyarrow as pa

    try:
        for message in pa.ipc.MessageReader.open_stream(body):
            if _compressed(message.metadata.to_pybytes()):
                raise Unreadable("the stream is compressed", where="body", hint="write it without compression")
        with pa.ipc.open_stream(body) as reader:
            table = reader.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        told = str(error).splitlines() or ["nothing in it"]
        raise Unreadable(f"the body is no Arrow stream: {told[0][:200]}", where="body", hint=HINT) from error
    return table


def _values(column: pa.ChunkedArray, field: Field) -> list[Any]:
    """The values of a column as records hold them. Raises BadData where its type is not the field's."""
    import pyarrow as pa

    kind = column.type
    dictionary = kind.value_type if pa.types.is_dictionary(kind) else None
    if pa.types.is_null(kind):
        return [None] * len(column)
    if not _fits(dictionary or kind, field):
        raise BadData(f'column "{field.name}" has the type {str(kind)[:60]}, not {field.wanted}', where=field.name,
                      hint=f"cast it to {_ARROW[field.kind]}")
    if dictionary is not None:
        return [value for chunk in column.chunks for value in _words(chunk)]
    if pa.types.is_timestamp(kind):
        return _times(column, field)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return [None if value != value else value for value in column.cast(pa.float64()).to_numpy().tolist()]
    found: list[Any] = column.to_numpy().tolist() if pa.types.is_integer(kind) and not column.null_count else (
        column.to_pylist())
    return found


def _fits(kind: pa.DataType, field: Field) -> bool:
    import pyarrow as pa

    types = pa.types
    number = bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
    word = bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
    if field.kind == "number":
        return number or (field.text and word)
    if field.kind == "boolean":
        return bool(types.is_boolean(kind)) or (field.text and word)
    if field.kind == "timestamp":
        return bool(types.is_timestamp(kind)) or word
    return word or (field.words and number)


def _words(chunk: pa.DictionaryArray) -> list[Any]:
    words = [None if word != word else word for word in chunk.dictionary.to_pylist()]
    return [None if place is None else words[place] for place in chunk.indices.to_pylist()]


def _times(column: pa.ChunkedArray, field: Field) -> list[Any]:
    import pyarrow as pa

    if column.type.tz is None and not field.text:
        raise BadData(f'column "{field.name}" holds times without a zone', where=field.name,
                      hint="cast it to timestamp with the zone UTC")
    try:  # NumPy has whole numbers for times before the year 1 or after 9999
        found = column.cast(pa.timestamp("us", "UTC"), safe=False).to_numpy().tolist()
        return [None if value is None else value.replace(tzinfo=UTC) for value in found]
    except AttributeError as error:
        raise BadData(f'column "{field.name}" holds a time that no calendar has', where=field.name,
                      hint="send null if the time is unknown") from error


_ARROW = {"number": "float64", "boolean": "bool", "category": "string", "text": "string",
          "timestamp": "timestamp[us, tz=UTC]"}


def _compressed(metadata: bytes) -> bool:
    """Whether the flatbuffer of a message says that its body is compressed."""
    message = _Flat(metadata, struct.unpack_from("<I", metadata)[0])
    kind = message.byte(1)
    if kind == _RECORDS:
        return message.table(2).has(3)
    return kind == _DICTIONARY and message.table(2).table(1).has(3)


class _Flat:
    """A table of a flatbuffer: as much of the format as is needed to see one field."""

    def __init__(self, raw: bytes, place: int) -> None:
        self.raw, self.place = raw, place
        self.known = place - struct.unpack_from("<i", raw, place)[0]
        if self.known < 0:
            raise ValueError("a table lies before its beginning")

    def _at(self, slot: int) -> int:
        size = struct.unpack_from("<H", self.raw, self.known)[0]
        offset = struct.unpack_from("<H", self.raw, self.known + 4 + 2 * slot)[0] if 4 + 2 * slot < size else 0
        return self.place + offset if offset else 0

    def has(self, slot: int) -> bool:
        return self._at(slot) > 0

    def byte(self, slot: int) -> int:
        at = self._at(slot)
        return self.raw[at] if at and at < len(self.raw) else 0

    def table(self, slot: int) -> _Flat:
        at = self._at(slot)
        return _Flat(self.raw, at + struct.unpack_from("<I", self.raw, at)[0])
