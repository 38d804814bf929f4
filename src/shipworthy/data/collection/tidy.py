"""Arrow from any source made plain: few types, UTC times, unique names, and a kind for every column."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.cleaning import DATES, NAIVE, TRUTHS, moment
from shipworthy.core.schema import Schema, infer
from shipworthy.core.table import Table, is_text, to_words
from shipworthy.errors import BadData

UTC = pa.timestamp("us", "UTC")
MOST_COLUMNS = 5_000
TEXT_DISTINCT = 1_000
TEXT_WORDS = 3.0
LOOK = 20_000
HEAD = 50
MOST = 2**63 - 1
_ZONE = r":\d\d(\.\d+)? ?([Zz]|[+-]\d\d(:?\d\d)?)\s*$"
_ISO = (r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
        r"([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d(:?\d\d)?)?)?$")
_TRUTHS = {"true": True, "false": False}


def tidied(data: pa.Table, *, name: str, origin: str, notes: dict[str, str] | None = None) -> Table:
    """A table with plain Arrow types, kinds decided, and notes of every conversion.

    Dates and naive times, also as ISO 8601 words, become UTC microseconds; decimals become floats; nested values and
    whole numbers above 2**63 − 1 become text.
    Raises BadData when there is no column, no row, or two columns share a name.
    """
    if not data.num_columns:
        raise BadData("the table has no columns", where=origin, hint="check that the export finished")
    if not data.num_rows:
        raise BadData("the table has a header but no rows", where=origin, hint="check that the export finished")
    if data.num_columns > MOST_COLUMNS:
        raise too_wide(data.num_columns, origin)
    _distinct_names(data.column_names, origin)
    said = dict(notes or {})
    columns = []
    for place, column in enumerate(data.column_names):
        values, note = _plain(data.column(place))
        columns.append(values)
        if note:
            said[column] = note
    plain = pa.table(dict(zip(data.column_names, columns, strict=True)))
    return Table(plain, decide(plain), name, origin, said)


def arrived(data: pa.Table, *, origin: str, words: Collection[str] = ()) -> Table:
    """A piece of a larger table with plain Arrow types, so that a model's cleaning reads it as it would the whole.

    words: columns whose words stay words, coded or not, whatever those of this piece look like.
    """
    said, columns = {}, []
    for name in data.column_names:
        values = data[name]
        plain, note = (values, "") if name in words and is_text(values.type) else _plain(values)
        columns.append(plain)
        if note:
            said[name] = note
    found = pa.table(dict(zip(data.column_names, columns, strict=True)))
    return Table(found, infer(found.schema), "piece", origin, said)


def may_change(head: pa.ChunkedArray) -> bool:
    """Whether a column of words would be read as times or truths, were all its words as these first ones."""
    return is_text(head.type) and not is_text(_plain(head.slice(0, HEAD))[0].type)


def too_wide(columns: int, origin: str) -> BadData:
    """The error about a table with too many columns; whoever meets one raises it."""
    return BadData(f"the table has {columns:,} columns, more than {MOST_COLUMNS:,}", where=origin,
                   hint="keep those that may matter: every check looks at every column")


def twice(names: Iterable[str]) -> list[str]:
    """The names that occur more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def decide(data: pa.Table) -> Schema:
    """The schema of plain Arrow columns; long, varied text is "text", other words are "category"."""
    schema = infer(data.schema)
    for column in schema.columns:
        if column.kind == "category" and _is_prose(data[column.name]):
            schema = schema.replace(column.name, kind="text")
    return schema


def as_kind(values: pa.ChunkedArray, kind: str, name: str) -> pa.ChunkedArray:
    """Values as Arrow of a declared kind. Raises BadData when a value cannot be read so."""
    words = pa.types.is_string(values.type)
    if kind == "timestamp" and not words and not pa.types.is_timestamp(values.type):
        raise BadData(f'column "{name}" holds {values.type} values, which are not times', where="[data.kinds]",
                      hint="write times as 2013-09-01T06:00:00Z in the source")
    try:
        if kind == "timestamp" and words:
            stamps = [None if word is None else moment(word, name, naive=True) for word in values.to_pylist()]
            return pa.chunked_array([pa.array(stamps, UTC)])
        if kind == "number" and (words or pa.types.is_boolean(values.type)):
            return pc.cast(values, pa.float64())
        if kind == "boolean" and words:
            return pa.chunked_array([pa.array([_truth(word, name) for word in values.to_pylist()], pa.bool_())])
        if kind == "boolean" and not pa.types.is_boolean(values.type):
            return pc.cast(values, pa.bool_())
        if kind in ("category", "text") and not words:
            return pa.chunked_array([pa.array(to_words(values), pa.string())])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadData(f'column "{name}" cannot be read as {kind}: {error}', where="[data.kinds]",
                      hint=f"make the values of the column {kind}s, or correct its kind") from error
    return values


def _plain(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str]:
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _plain(pc.cast(values, kind.value_type))
    if pa.types.is_string(kind):
        return _worded(values)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _worded(pc.cast(values, pa.string()))
    if pa.types.is_date(kind):
        return pc.cast(pc.cast(values, pa.timestamp("us")), UTC), DATES
    if pa.types.is_timestamp(kind):
        note = "" if kind.tz else NAIVE
        plain = pc.cast(values, pa.timestamp("us", kind.tz), safe=False)
        return pc.cast(plain, UTC) if kind.tz else pc.assume_timezone(plain, "UTC").cast(UTC), note
    if pa.types.is_duration(kind):
        return pc.divide(pc.cast(pc.cast(values, pa.duration("us")), pa.int64()), 1e6), "durations are read as seconds"
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        return pc.cast(values, pa.float64()), ""
    if pa.types.is_null(kind):
        return pc.cast(values, pa.float64()), "no value at all"
    if kind == pa.uint64() and (pc.max(values).as_py() or 0) > MOST:
        return pc.cast(values, pa.string()), "whole numbers beyond 64 bits with a sign are read as text"
    if pa.types.is_integer(kind) and kind != pa.int64():
        return pc.cast(values, pa.int64()), ""
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return values, ""
    return _nested(values), "nested values are read as JSON text"


def _worded(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str]:
    """Words as they are, or as truths or times where every one of them is one."""
    head = values.slice(0, HEAD).drop_null()
    if len(head) and pc.all(pc.match_substring_regex(head, _ISO)).as_py():
        return _times(values)
    return _truths(values)


def _times(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str]:
    """ISO 8601 words as times, as a CSV file's are read; the words where one of them is no time after all."""
    coded = values.combine_chunks().dictionary_encode()
    words = coded.dictionary
    if not pc.all(pc.match_substring_regex(words, _ISO)).as_py():
        return values, ""
    try:
        stamps = pa.array([moment(word, naive=True) for word in words.to_pylist()], UTC)
    except BadData:
        return values, ""
    note = DATES if pc.all(pc.equal(pc.utf8_length(words), 10)).as_py() else NAIVE if without_zone(words) else ""
    return pa.chunked_array([stamps.take(coded.indices)]), note


def _truths(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str]:
    head = [word for word in values.slice(0, HEAD).to_pylist() if word is not None]
    if not head or any(word.lower() not in _TRUTHS for word in head):
        return values, ""
    lower = pc.utf8_lower(values)
    if not pc.all(pc.is_in(lower.drop_null(), value_set=pa.array(list(_TRUTHS)))).as_py():
        return values, ""
    return pc.equal(lower, "true"), ""


def _nested(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_time(values.type) or pa.types.is_binary(values.type):
        return pc.cast(values, pa.string())
    words = [None if value is None else json.dumps(value, default=str, sort_keys=True) for value in values.to_pylist()]
    return pa.chunked_array([pa.array(words, pa.string())])


def _is_prose(values: pa.ChunkedArray) -> bool:
    head = values.slice(0, LOOK).drop_null()
    if len(head) == 0 or len(head.unique()) <= min(TEXT_DISTINCT, max(20, len(head) // 2)):
        return False
    spaces = pc.mean(pc.count_substring(head, " ")).as_py()
    return spaces is not None and spaces + 1 > TEXT_WORDS


def _distinct_names(names: list[str], origin: str) -> None:
    for place, name in enumerate(names):
        if not str(name).strip():
            raise BadData(f"column {place + 1} has no name", where=origin, hint="name every column in the header")
    repeated = twice(names)
    if repeated:
        raise BadData(f'two columns are named "{repeated[0]}"', where=origin, hint="rename one in the source")


def without_zone(values: pa.ChunkedArray) -> bool:
    """Whether words that are times leave their zone unsaid; they are read as UTC."""
    known = values.drop_null()
    return pa.types.is_string(known.type) and not pc.all(pc.match_substring_regex(known, _ZONE)).as_py()


def _truth(word: str | None, name: str) -> bool | None:
    if word is None:
        return None
    if word.strip().lower() not in TRUTHS:
        raise BadData(f'column "{name}" holds {word!r}, which is neither true nor false', where="[data.kinds]",
                      hint="correct [data.kinds]")
    return TRUTHS[word.strip().lower()]
