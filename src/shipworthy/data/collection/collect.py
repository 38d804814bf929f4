"""The collected table: base rows, looked-up columns, the target, and a role for every column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.cleaning import NAIVE
from shipworthy.core.project import RENEWED, Join, Project
from shipworthy.core.schema import Schema
from shipworthy.core.table import Table
from shipworthy.data.collection.tidy import as_kind, without_zone
from shipworthy.errors import BadData, BadProject, nearest

YES, NO = "yes", "no"


def collect(tables: Mapping[str, Table], project: Project) -> Table:
    """One table: the rows of the base table, in order, with every declared join looked up and every role set.

    tables: name → table, as in the project file. Rows are never multiplied or lost.
    Raises BadData when a join's right key is not unique or a column is missing; BadProject for an unknown table.
    """
    name = base_name(tables, project)
    table = tables[name]
    for join in project.join:
        table = look_up(table, _named(tables, join.table, "[[join]] table"), join)
    table = make_target(table, project)
    _differ_beyond_case(table)
    return with_roles(table, project)


def base_name(tables: Mapping[str, Table], project: Project) -> str:
    """The name of the base table: [data] table, else the first source, else the only table."""
    first = project.source[0].called if project.source else ""
    wanted = project.data.table or (first if first in tables else next(iter(tables), ""))
    _named(tables, wanted, "[data] table")
    return wanted


def look_up(left: Table, right: Table, join: Join) -> Table:
    """The left table with the columns of the right one, found by key; null where no key matches.

    Raises BadData when a key column is missing, two right rows share a key, or a name would appear twice.
    """
    keys = list(join.on.items())
    for ours, theirs in keys:
        left.column(ours)
        right.column(theirs)
    added = [column for column in right.schema.names if column not in join.on.values()]
    names = {column: join.prefix + column for column in added}
    clash = [new for new in names.values() if new in left.schema]
    if clash:
        raise BadData(f'the join of {join.table} would make a second column "{clash[0]}"',
                      where=f"[[join]] table = {join.table!r}", hint=f'set prefix = "{join.table}_"')
    place = positions(left, right, join)
    missing = pa.array(place, mask=place < 0)
    data = left.data
    schema = left.schema
    for column in added:
        data = data.append_column(names[column],
                                  right.data[column].combine_chunks().take(missing) if right.rows
                                  else pa.nulls(left.rows, right.data[column].type))
        entry = right.schema[column]
        schema = Schema((*schema.columns,
                         type(entry)(names[column], entry.kind, integer=entry.integer, unit=entry.unit)))
    notes = {**left.notes, **{join.prefix + key: note for key, note in right.notes.items()}}
    return Table(data, schema, left.name, left.origin, notes)


def positions(left: Table, right: Table, join: Join) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(left rows,) the right row that each left row finds, −1 for none. Raises BadData when a right key repeats."""
    ours, theirs = list(join.on), list(join.on.values())
    frame = pl.DataFrame({f"k{n}": _key(right, column) for n, column in enumerate(theirs)})
    frame = frame.with_row_index("at").drop_nulls()
    on = [f"k{n}" for n in range(len(theirs))]
    repeated = frame.filter(frame.select(on).is_duplicated())
    if repeated.height:
        example = ", ".join(str(value) for value in repeated.row(0)[1:])
        raise BadData(f"{repeated.height} rows of {join.table} share a key, such as {example}",
                      where=f"[[join]] table = {join.table!r}",
                      hint="join by more columns, or remove the repeated rows")
    base = pl.DataFrame({f"k{n}": _key(left, column) for n, column in enumerate(ours)})
    for n, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        _comparable(base[f"k{n}"], frame[f"k{n}"], a, b, join.table)
        if base.schema[f"k{n}"] != frame.schema[f"k{n}"]:
            base, frame = (each.with_columns(pl.col(f"k{n}").cast(pl.Float64)) for each in (base, frame))
    found = base.join(frame, on=on, how="left", maintain_order="left")["at"]
    return np.asarray(found.cast(pl.Int64).fill_null(-1).to_numpy(), np.int64)


def make_target(table: Table, project: Project) -> Table:
    """The table with the target column of [data.target_rule], "yes" above the limit; unchanged without a rule."""
    rule = project.data.target_rule
    if rule is None:
        table.column(project.data.target)
        return table
    numbers = table.numbers(rule.column)
    known = np.isfinite(numbers)
    answer = np.where(numbers > rule.above, YES, NO).astype(object)
    answer[~known] = {"positive": YES, "negative": NO, "drop": None}[rule.missing]
    return table.with_column(project.data.target, pa.array(answer, pa.string()), kind="category")


def with_roles(table: Table, project: Project) -> Table:
    """The table with kinds, units and roles of the project file. Raises BadData naming the nearest column."""
    data = project.data
    _are_there(table, project)
    for name, kind in data.kinds.items():
        words = table.column(name)
        table = table.with_column(name, as_kind(words, kind, name), kind=kind)
        if kind == "timestamp" and without_zone(words):
            table = replace(table, notes={**table.notes, name: NAIVE})
    schema = table.schema
    for name, unit in data.units.items():
        schema = schema.replace(name, unit=unit)
    for name in data.protected:
        schema = schema.replace(name, protected=True)
    for name in data.identifiers:
        schema = schema.replace(name, role="identifier", reason="names a row or a person: [data] identifiers")
    for name in data.set_aside:
        schema = schema.replace(name, role="ignored", reason="set aside by the project: [data] set_aside")
    if data.weight in schema:
        schema = schema.replace(data.weight, role="ignored", reason="how much the row weighs: [data] weight")
    if data.group:
        schema = schema.replace(data.group, role="group", reason="rows of one group stay together: [data] group")
    if data.time:
        _is_time(schema, data.time)
        schema = schema.replace(data.time, role="time", reason="when the row was known: [data] time")
    counted = schema[data.target].integer and data.kinds.get(data.target) != "number"
    schema = schema.replace(data.target, role="target", integer=counted, reason="what is predicted")
    return table.with_schema(schema)


def trace(tables: Mapping[str, Table], project: Project) -> dict[str, str]:
    """Column of the collected table → name of the source table that it comes from."""
    name = base_name(tables, project)
    found = dict.fromkeys(tables[name].schema.names, name)
    for join in project.join:
        if join.table in tables:
            found |= {join.prefix + column: join.table for column in tables[join.table].schema.names
                      if column not in join.on.values()}
    if project.data.target_rule:
        found.setdefault(project.data.target, found.get(project.data.target_rule.column, name))
    return found


def _named(tables: Mapping[str, Table], name: str, where: str) -> Table:
    if name not in tables:
        raise BadProject(f'there is no table "{name}"', where=where,
                         hint=nearest(name, tables) or f"[[source]] names are {', '.join(tables) or 'missing'}")
    return tables[name]


def _key(table: Table, column: str) -> pl.Series:
    values = table.data[column]
    return pl.Series(column, pc.cast(values, pa.string()) if pa.types.is_dictionary(values.type) else values)


def _comparable(left: pl.Series, right: pl.Series, a: str, b: str, table: str) -> None:
    both_numbers = left.dtype.is_numeric() and right.dtype.is_numeric()
    if left.dtype != right.dtype and not both_numbers:
        raise BadData(f'column "{a}" holds {left.dtype} and "{b}" of {table} holds {right.dtype}',
                      where=f"[[join]] table = {table!r}",
                      hint="make them one kind with [data.kinds], or join by other columns")


def _are_there(table: Table, project: Project) -> None:
    """Every column that the project names must be in the table. Raises BadProject that says where it is named."""
    data = project.data
    for key in ("kinds", "units", "protected", "identifiers", "set_aside", "group", "time", "weight", "target"):
        named = "" if key == "weight" and data.table == RENEWED else getattr(data, key)  # no log need have weighed
        for name in (named,) if isinstance(named, str) else named:
            if name and name not in table.schema:
                raise BadProject(f'column "{name}" is missing', where=f"[data] {key}, {table.origin}",
                                 hint=nearest(name, table.schema.names)
                                 or f"the table has {', '.join(table.schema.names[:8])}")


def _differ_beyond_case(table: Table) -> None:
    """Before anything is learnt: the stored training table holds "a" and "A" for one. Raises BadData."""
    seen: dict[str, str] = {}
    for name in table.schema.names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise BadData(f'columns "{other}" and "{name}" differ only in case', where=table.origin or table.name,
                          hint="rename one of them in the source")


def _is_time(schema: Schema, name: str) -> None:
    if schema[name].kind != "timestamp":
        raise BadData(f'the time column "{name}" holds {schema[name].kind} values', where="[data] time",
                      hint="name a column of times, or set [data.kinds] " + f'{name} = "timestamp"')
