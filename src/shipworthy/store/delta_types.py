"""Which Arrow types a Delta table keeps, which it keeps as another type without loss, and which are refused.

Delta itself changes values silently: 2.9 appended to integers becomes 2, unsigned turns signed, zones go.
So every table passes here first: each change is lossless and named, everything else is an error with a hint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.types as is_
from deltalake import Schema as DeltaSchema

from shipworthy.errors import BadData, one_of

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")

_SAME: tuple[Callable[[Any], bool], ...] = (
    is_.is_int8, is_.is_int16, is_.is_int32, is_.is_int64, is_.is_float32, is_.is_float64, is_.is_boolean,
    is_.is_string, is_.is_binary, is_.is_date32, is_.is_decimal128,
)

_STORED_AS: tuple[tuple[Callable[[Any], bool], Any], ...] = (
    (is_.is_uint8, pa.int16()),
    (is_.is_uint16, pa.int32()),
    (is_.is_uint32, pa.int64()),
    (is_.is_float16, pa.float32()),
    (is_.is_large_string, pa.string()),
    (is_.is_string_view, pa.string()),
    (is_.is_large_binary, pa.binary()),
    (is_.is_binary_view, pa.binary()),
    (is_.is_fixed_size_binary, pa.binary()),
    (is_.is_date64, pa.date32()),
)

_REFUSED: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (is_.is_uint64, "cast it to int64 if the values fit, else to decimal128(20, 0)"),
    (is_.is_time, "store microseconds since midnight as int64 and say so in the unit"),
    (is_.is_duration, "store a number, such as seconds as float64, and say so in the unit"),
    (is_.is_null, "every value is missing: cast the column to the type it should have"),
    (is_.is_decimal256, "cast it to decimal128, which holds 38 digits"),
)


def fit(table: pa.Table, casts: Mapping[str, pa.DataType] | None = None) -> tuple[pa.Table, dict[str, str]]:
    """The table with the types a Delta table keeps, and every change made: column → "uint8 to int16".

    casts: changes the caller asks for by name, made before the others and only if no value changes.
    Raises `BadData` for a type that cannot be kept, a time without a zone, a value that a cast would change.
    """
    check_names(table.column_names)
    unknown = sorted(set(casts or {}) - set(table.column_names))
    if unknown:
        raise BadData(f'column "{unknown[0]}" is to be cast but is not in the table', where="casts",
                      hint=one_of(unknown[0], table.column_names))
    columns, fields, changed = [], [], {}
    for field, column in zip(table.schema, table.columns, strict=True):
        wanted = stored_type((casts or {}).get(field.name, field.type), field.name)
        if wanted != field.type:
            changed[field.name] = f"{field.type} to {wanted}"
            column = _cast(column, field, wanted)
        columns.append(column)
        fields.append(pa.field(field.name, wanted, field.nullable, _kept_metadata(field)))
    return pa.table(columns, schema=pa.schema(fields)), changed


def stored_type(kind: pa.DataType, column: str) -> pa.DataType:
    """The type by which a Delta table keeps an Arrow type without loss. Raises `BadData` if there is none."""
    if any(same(kind) for same in _SAME):
        return kind
    for known, stored in _STORED_AS:
        if known(kind):
            return stored
    if is_.is_timestamp(kind):
        return _stored_time(kind, column)
    for known, hint in _REFUSED:
        if known(kind):
            raise BadData(f'column "{column}" has type {kind}, which a Delta table cannot keep',
                          where=f"column {column}", hint=hint)
    if is_.is_nested(kind):
        return _stored_nested(kind, column)
    if is_.is_dictionary(kind) or is_.is_run_end_encoded(kind):
        return stored_type(kind.value_type, column)
    if is_.is_decimal(kind):
        return pa.decimal128(kind.precision, kind.scale)
    if isinstance(kind, pa.BaseExtensionType):
        return stored_type(kind.storage_type, column)
    raise BadData(f'column "{column}" has type {kind}, which a Delta table cannot keep', where=f"column {column}",
                  hint="cast it first")


def check_names(names: list[str]) -> None:
    """Refuse column names that a Delta table would confuse: empty, repeated, or equal but for case."""
    seen: dict[str, str] = {}
    for name in names:
        if not name:
            raise BadData("a column has no name", where=", ".join(names[:8]), hint="give every column a name")
        other = seen.get(name.lower())
        if other is not None:
            raise BadData(f'columns "{other}" and "{name}" have the same name for a Delta table, which ignores case',
                          where=", ".join(names[:8]), hint="rename one of them")
        seen[name.lower()] = name


def differences(stored: pa.Schema, offered: pa.Schema) -> list[str]:
    """What keeps rows of one schema out of a table of another, one sentence each; empty if nothing does.

    Names, order, types, nullability, and the meaning (role, unit, …) that both sides state.
    """
    if stored.names != offered.names:
        return _name_differences(stored.names, offered.names)
    found = []
    for old, new in zip(stored, as_delta_says(offered), strict=True):
        if old.type != new.type:
            found.append(f'column "{old.name}" is {old.type} in the table and {new.type} here')
        elif old.nullable != new.nullable:
            there, here = ("must not", "may") if new.nullable else ("may", "must not")
            found.append(f'column "{old.name}" {there} be missing in the table and {here} here')
        before, after = old.metadata or {}, new.metadata or {}
        for key in sorted(before.keys() & after.keys()):
            if before[key] != after[key]:
                told = f"{before[key].decode()!r} in the table and {after[key].decode()!r} here"
                found.append(f'column "{old.name}" has {key.decode()} {told}')
    return found


def as_delta_says(schema: pa.Schema) -> pa.Schema:
    """An Arrow schema as it comes back from a Delta table: the inner names of lists and maps are Delta's."""
    return pa.schema(DeltaSchema.from_arrow(schema).to_arrow())


def _name_differences(old: list[str], new: list[str]) -> list[str]:
    missing, extra = [n for n in old if n not in new], [n for n in new if n not in old]
    found = [f'column "{name}" is in the table and missing here' for name in missing]
    found += [f'column "{name}" is here and not in the table' for name in extra]
    return found or [f"the columns are in another order: the table has {', '.join(old)}"]


def _stored_time(kind: pa.DataType, column: str) -> pa.DataType:
    if kind.tz is None:
        raise BadData(f'column "{column}" has times without a zone', where=f"column {column}",
                      hint="say once, where the data comes in, which zone they are in, and convert them to UTC")
    return UTC_MICROSECONDS


def _stored_nested(kind: pa.DataType, column: str) -> pa.DataType:
    if is_.is_struct(kind):
        inner = [kind.field(i) for i in range(kind.num_fields)]
        check_names([f.name for f in inner])
        return pa.struct([f.with_type(stored_type(f.type, f"{column}.{f.name}")) for f in inner])
    if is_.is_map(kind):
        return pa.map_(stored_type(kind.key_type, column), stored_type(kind.item_type, column))
    if is_.is_union(kind):
        raise BadData(f'column "{column}" is a union, which a Delta table cannot keep', where=f"column {column}",
                      hint="use a struct")
    return pa.list_(pa.field("element", stored_type(kind.value_type, column), kind.value_field.nullable))


def _cast(column: pa.ChunkedArray, field: pa.Field, wanted: pa.DataType) -> pa.ChunkedArray:
    if isinstance(field.type, pa.BaseExtensionType):
        column = pa.chunked_array([c.storage for c in column.chunks], type=field.type.storage_type)
    try:
        return column.cast(wanted, safe=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        finer = is_.is_timestamp(field.type) and field.type.unit == "ns"
        raise BadData(
            f'column "{field.name}" cannot become {wanted} without changing a value: {error}',
            where=f"column {field.name}",
            hint="round the times to microseconds first" if finer else "choose a type that holds every value",
        ) from error


def _kept_metadata(field: pa.Field) -> dict[bytes, bytes] | None:
    """Role, unit and meaning stay; what file formats and extensions note for themselves goes."""
    kept = {k: v for k, v in (field.metadata or {}).items() if not k.startswith((b"PARQUET:", b"ARROW:"))}
    return kept or None
