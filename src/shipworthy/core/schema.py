"""What every column of a table is: type, role, unit and meaning."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import msgspec

from shipworthy.core.canon import digest
from shipworthy.core.lazy import Lazy
from shipworthy.errors import BadData, one_of

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Lazy("pyarrow")

Kind = Literal["number", "category", "text", "boolean", "timestamp"]
Task = Literal["binary", "multiclass", "regression"]
Role = Literal["feature", "target", "time", "group", "identifier", "weight", "ignored", "suspect"]
MOST_CLASSES = 20


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column: its kind decides how it is encoded, its role whether a model may see it.

    protected: a characteristic by which fairness is measured; it may or may not also be a feature.
    """

    name: str
    kind: Kind
    role: Role = "feature"
    protected: bool = False
    integer: bool = False
    unit: str = ""
    meaning: str = ""
    reason: str = ""


class Schema(msgspec.Struct, frozen=True, dict=True):
    """The columns of a table, in order; names are unique."""

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for column in self.columns:
            if column.name in seen:
                raise BadData(f'two columns are named "{column.name}"', where="schema",
                              hint="rename one of them in the source")
            seen.add(column.name)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(self._named)

    @cached_property
    def _named(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that a model may see."""
        return self.having("feature")

    @property
    def protected(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.protected)

    @property
    def digest(self) -> str:
        return digest(self)

    def having(self, role: Role) -> tuple[Column, ...]:
        """The columns with a role, in order."""
        return tuple(column for column in self.columns if column.role == role)

    def one(self, role: Role) -> Column | None:
        """The first column with a role, or None."""
        found = self.having(role)
        return found[0] if found else None

    def __contains__(self, name: str) -> bool:
        return name in self._named

    def __getitem__(self, name: str) -> Column:
        if name in self._named:
            return self._named[name]
        raise BadData(f'column "{name}" is missing', where="schema", hint=one_of(name, self.names))

    def replace(self, name: str, **changes: object) -> Schema:
        """The same schema with one column changed."""
        changed = msgspec.structs.replace(self[name], **changes)
        return Schema(tuple(changed if column.name == name else column for column in self.columns))

    def only(self, names: list[str] | tuple[str, ...]) -> Schema:
        """The named columns, in the order named."""
        return Schema(tuple(self[name] for name in names))


def task_of(column: Column, distinct: int, *, positive: str = "") -> Task:
    """What it is to predict a column with so many values: two classes, more, or a number.

    A number is regressed if it has more than 20 values, or more than two where not all are whole; one that the project
    declares a number, [data.kinds], does not count as whole. positive: names a class, so that there are classes.
    """
    if column.kind == "number" and not positive and distinct > (MOST_CLASSES if column.integer else 2):
        return "regression"
    return "multiclass" if distinct > 2 else "binary"


def infer(schema: pa.Schema) -> Schema:
    """The schema that Arrow types alone suggest; every role is "feature"."""
    return Schema(tuple(_column(field) for field in schema))


def _column(field: pa.Field) -> Column:
    kind = kind_of(field.type)
    return Column(field.name, kind, integer=pa.types.is_integer(field.type))


def kind_of(arrow: pa.DataType) -> Kind:
    """The kind of an Arrow type; nested types are text."""
    if pa.types.is_boolean(arrow):
        return "boolean"
    if pa.types.is_integer(arrow) or pa.types.is_floating(arrow) or pa.types.is_decimal(arrow):
        return "number"
    if pa.types.is_temporal(arrow) and not pa.types.is_duration(arrow) and not pa.types.is_time(arrow):
        return "timestamp"
    if pa.types.is_dictionary(arrow) or pa.types.is_string(arrow) or pa.types.is_large_string(arrow):
        return "category"
    return "text"
