"""A table: Arrow data, the schema that says what it means, where it came from, and its digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from shipworthy.core.canon import digest_parts
from shipworthy.core.lazy import Lazy
from shipworthy.core.schema import Role, Schema, infer
from shipworthy.core.shown import COLUMNS, shown
from shipworthy.errors import BadData, one_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    pa, pc = Lazy("pyarrow"), Lazy("pyarrow.compute")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Table:
    """Rows with a meaning. Never changed: every verb returns another table.

    data: Arrow columns. schema: one entry per column, same order. origin: where the rows came from.
    """

    data: pa.Table
    schema: Schema
    name: str = "table"
    origin: str = ""
    notes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if tuple(self.data.column_names) != self.schema.names:
            raise BadData("the schema does not name the table's columns, in order", where=self.origin,
                          hint="make the schema from the table: infer(data.schema)")

    @classmethod
    def of(cls, rows: Any, *, schema: Schema | None = None, name: str = "table", origin: str = "memory") -> Table:
        """A table from anything that speaks Arrow: pandas, Polars, PyArrow, DuckDB, or a dict of columns.

        Words are held in one way, whether they came as Arrow's string, large_string or string_view.
        Raises BadData when the value holds no table, two columns share a name, or the schema does not fit.
        """
        data = _arrow(rows, origin)
        repeated = sorted({column for column in data.column_names if data.column_names.count(column) > 1})
        if repeated:
            raise BadData(f'two columns are named "{repeated[0]}"', where=origin, hint="rename one in the source")
        data = _one_text(data)
        return cls(data, schema or infer(data.schema), name, origin)

    @property
    def rows(self) -> int:
        return int(self.data.num_rows)

    def __len__(self) -> int:
        return self.rows

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names, types and values; the same however the rows are chunked."""
        return digest_parts(part for name in self.data.column_names for part in _bytes(name, self.data[name]))

    def column(self, name: str) -> pa.ChunkedArray:
        """The values of one column. Raises BadData naming the nearest column when it is missing."""
        if name not in self.schema:
            raise BadData(
                f'column "{name}" is missing', where=self.origin or self.name, hint=one_of(name, self.schema.names)
            )
        return self.data[name]

    def numbers(self, name: str) -> Floats:
        """One column as float64, null as NaN; timestamps as seconds since 1970 UTC, text refused."""
        return to_numbers(self.column(name), name)

    def words(self, name: str) -> npt.NDArray[np.object_]:
        """One column as Python strings, null as None."""
        return to_words(self.column(name))

    def take(self, rows: npt.NDArray[Any] | Sequence[int]) -> Table:
        """The rows at these positions (integers), or where a mask is true."""
        index = np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == np.bool_ else index
        return replace(self, data=self.data.take(pa.array(index, pa.int64())))

    def head(self, rows: int) -> Table:
        return replace(self, data=self.data.slice(0, rows))

    def spread(self, rows: int) -> Table:
        """At most this many rows, evenly spaced over the table, so that a table in time is seen from end to end."""
        return self if self.rows <= rows else self.take(np.linspace(0, self.rows - 1, rows).astype(np.int64))

    def drop(self, *names: str) -> Table:
        kept = [name for name in self.schema.names if name not in names]
        return self.select(kept)

    def select(self, names: Sequence[str]) -> Table:
        return replace(self, data=self.data.select(list(names)), schema=self.schema.only(tuple(names)))

    def having(self, role: Role) -> Table:
        """The columns with a role."""
        return self.select([column.name for column in self.schema.having(role)])

    def with_schema(self, schema: Schema) -> Table:
        return replace(self, schema=schema)

    def with_column(self, name: str, values: Any, **facts: Any) -> Table:
        """The table with one column replaced or added; facts go into its schema entry."""
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True)
        if name in self.schema:
            at = self.schema.names.index(name)
            schema = self.schema.replace(name, **facts) if facts else self.schema
            return replace(self, data=self.data.set_column(at, name, array), schema=schema)
        added = infer(pa.schema([(name, array.type)])).columns
        schema = Schema(self.schema.columns + added)
        schema = schema.replace(name, **facts) if facts else schema
        return replace(self, data=self.data.append_column(name, array), schema=schema)

    def records(self) -> list[dict[str, Any]]:
        """The rows as dictionaries of Python values."""
        return list(self.data.to_pylist())

    def __repr__(self) -> str:
        names = ", ".join(self.schema.names[:COLUMNS]) + (", …" if len(self.schema.names) > COLUMNS else "")
        return f"Table({self.name}: {self.rows:,} rows × {len(self.schema.columns)} columns: {names})"

    def _repr_html_(self) -> str:
        size = f"{self.rows:,} rows × {len(self.schema.columns)} columns"
        rows = [list(row.values()) for row in self.head(8).select(self.schema.names[: COLUMNS + 1]).records()]
        return shown(f"{self.name}: {size}", rows, head=self.schema.names)


def to_numbers(values: pa.ChunkedArray | pa.Array, name: str = "") -> Floats:
    """Values as float64, null as NaN; booleans as 0 and 1, timestamps as seconds since 1970 UTC.

    Raises BadData for text, even text that looks like numbers: whoever wants it read says how (core.cleaning).
    """
    try:
        if is_text(values.type):
            raise _no_numbers(values, name)
        if pa.types.is_temporal(values.type):
            stamps = pc.cast(values, pa.timestamp("us", getattr(values.type, "tz", None)), safe=False)
            return _floats(pc.cast(stamps, pa.int64())) / 1e6
        return _floats(values)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise _no_numbers(values, name) from error


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds words, coded or not."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _one_text(data: pa.Table) -> pa.Table:
    """The table with all uncoded words as Arrow's `string`."""
    for place, name in enumerate(data.column_names):
        kind = data.schema.field(place).type
        if is_text(kind) and not pa.types.is_dictionary(kind) and not pa.types.is_string(kind):
            data = data.set_column(place, name, pc.cast(data.column(place), pa.string()))
    return data


def to_words(values: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.object_]:
    """Values as Python strings (see `word`), null and NaN as None."""
    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    if pa.types.is_floating(values.type):
        return np.array([None if v != v else word(v) for v in values.to_pylist()], dtype=object)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        values = pc.cast(values, pa.string())
    return np.array(values.to_pylist(), dtype=object)


def word(value: Any) -> str | None:
    """A value as the word by which a category knows it: 1 and 1.0 are "1", a float is written in full, true "true"."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(value, ".0f") if value % 1 == 0 else float.__repr__(value)
    return str(value)


def _no_numbers(values: pa.ChunkedArray | pa.Array, name: str) -> BadData:
    known = values.drop_null()
    such = f", such as {str(known[0].as_py())[:60]!r}" if len(known) else ""
    what = f'column "{name}"' if name else "a column"
    return BadData(f"{what} does not hold numbers", where=what,
                   hint=f"it holds {'text' if is_text(values.type) else values.type}{such}: write numbers in the "
                        "source, or say what it holds in [data.kinds]")


def _floats(values: pa.ChunkedArray | pa.Array) -> Floats:
    array = pc.cast(values, pa.float64(), safe=not pa.types.is_integer(values.type))
    return np.asarray(
        array.to_numpy(zero_copy_only=False) if isinstance(array, pa.Array) else array.to_numpy(), np.float64
    )


def _arrow(rows: Any, origin: str) -> pa.Table:
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, dict):
        return pa.table(rows)
    if hasattr(rows, "__arrow_c_stream__"):
        return pa.table(rows)
    raise BadData(
        f"a {type(rows).__name__} is not a table",
        where=origin,
        hint="give a pandas, Polars, PyArrow or DuckDB table, a dict of columns, or a file",
    )


def _bytes(name: str, column: pa.ChunkedArray) -> list[bytes]:
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    head = [name.encode(), str(column.type).encode(), str(len(column)).encode()]
    valid = np.packbits(np.asarray(column.is_valid().to_numpy(), np.bool_)).tobytes()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        filled = pc.fill_null(column, "")
        lengths = np.asarray(pc.binary_length(filled).to_numpy(), "<i8").tobytes()
        flat = filled.combine_chunks()
        joined = b"".join(chunk_bytes(flat))
        return [*head, valid, lengths, joined]
    if pa.types.is_temporal(column.type) and not pa.types.is_duration(column.type):
        column = pc.cast(
            column, pa.int32() if pa.types.is_date32(column.type) or pa.types.is_time32(column.type) else pa.int64()
        )
    if pa.types.is_primitive(column.type) and not pa.types.is_null(column.type):
        zero = pa.scalar(False if pa.types.is_boolean(column.type) else 0).cast(column.type)
        return [*head, valid, np.ascontiguousarray(pc.fill_null(column, zero).to_numpy()).tobytes()]
    return [*head, valid, repr(column.to_pylist()).encode()]


def chunk_bytes(strings: pa.Array | pa.ChunkedArray) -> list[bytes]:
    """The text bytes of string chunks, without offsets."""
    chunks = strings.chunks if isinstance(strings, pa.ChunkedArray) else [strings]
    found = []
    for chunk in chunks:
        width = 8 if pa.types.is_large_string(chunk.type) else 4
        offsets = np.frombuffer(chunk.buffers()[1], f"<i{width}")[chunk.offset : chunk.offset + len(chunk) + 1]
        if len(offsets) and chunk.buffers()[2] is not None:
            found.append(chunk.buffers()[2][int(offsets[0]) : int(offsets[-1])].to_pybytes())
    return found
