"""The catalogue: every table with its keys, and every join between them verified exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import polars as pl

from shipworthy.core.found import Catalogue, JoinPath, Listed
from shipworthy.core.project import Project, Source, source_of
from shipworthy.core.table import Table
from shipworthy.data.collection.collect import base_name, trace
from shipworthy.data.collection.containment import ALIKE, Sketch, candidates, likeness, sketch
from shipworthy.data.collection.folder import list_sources
from shipworthy.data.collection.places import divide

__all__ = ["discover", "list_sources", "verify_join"]

VERIFIED = 50
EXAMPLES = 3
WIDEST = 3
Shared = Mapping[str, tuple[Table, Sequence[Sketch]]]


def discover(tables: Sequence[Table], project: Project | None = None) -> Catalogue:
    """Every table with its keys, and the joins between them, best first; the declared ones are marked as used.

    The best 50 candidates and every declared join are counted exactly. trace names the source of every column of
    the collected table.
    """
    named = {table.name: table for table in tables}
    sketches = {table.name: [sketch(table, column) for column in table.schema.names] for table in tables}
    sources = project.source if project else ()
    listed = tuple(_listed(table, sketches[table.name], source_of(sources, table.name, table.origin))
                   for table in tables)
    joins = _declared(named, project)
    known = {(join.left, join.right, tuple(sorted(join.on.items()))) for join in joins}
    every = [each for found in sketches.values() for each in found]
    for score, left, right, chance in candidates(every)[:VERIFIED]:
        on = {left.column: right.column}
        if (left.table, right.table, tuple(on.items())) not in known:
            joins.append(verify_join(named[left.table], named[right.table], on, score=score, by_chance=chance))
    joins += [join for join in _composite(named, sketches)
              if (join.left, join.right, tuple(sorted(join.on.items()))) not in known]
    joins.sort(key=lambda join: (not join.used, -join.score))
    traced = trace(named, project) if project and base_name_or_none(named, project) else {}
    return Catalogue(listed, tuple(joins), traced)


def verify_join(
    left: Table, right: Table, on: Mapping[str, str], *, score: float = 1.0, used: bool = False, by_chance: bool = False
) -> JoinPath:
    """The join counted exactly, every row: share of left rows with a key that find exactly one right row, orphans."""
    keys = [f"k{n}" for n in range(len(on))]
    ours = _frame(left, list(on), keys).drop_nulls()
    theirs = _frame(right, list(on.values()), keys).drop_nulls()
    ours, theirs = _alike(ours, theirs)
    counts = theirs.group_by(keys).len("found")
    mine = ours.group_by(keys).len("rows").join(counts, on=keys, how="left")
    orphans = mine.filter(pl.col("found").is_null()).sort(["rows", *keys], descending=[True] + [False] * len(keys))
    one = int(mine.filter(pl.col("found") == 1)["rows"].sum())
    examples = tuple(", ".join(str(value) for value in row[: len(keys)]) for row in orphans.head(EXAMPLES).iter_rows())
    return JoinPath(left.name, right.name, dict(on), coverage=one / ours.height if ours.height else 0.0,
                    orphans=orphans.height, orphan_rows=int(orphans["rows"].sum()),
                    many=counts.filter(pl.col("found") > 1).height, examples=examples, score=score, used=used,
                    by_chance=by_chance)


def base_name_or_none(tables: Mapping[str, Table], project: Project) -> str:
    """The name of the base table, or empty when the tables at hand do not hold it."""
    wanted = project.data.table or (project.source[0].called if project.source else "")
    return base_name(tables, project) if not wanted or wanted in tables else ""


def _declared(tables: Mapping[str, Table], project: Project | None) -> list[JoinPath]:
    base = base_name_or_none(tables, project) if project else ""
    if not project or not base:
        return []
    return [
        verify_join(
            tables[base], tables[join.table], join.on, used=True, by_chance=_by_chance(tables[join.table], join.on)
        )
        for join in project.join
        if join.table in tables
        and all(column in tables[base].schema for column in join.on)
        and all(column in tables[join.table].schema for column in join.on.values())
    ]


def _by_chance(right: Table, on: Mapping[str, str]) -> bool:
    """Whether one key of whole numbers without gaps is looked up under an unlike name."""
    (ours, theirs), *more = on.items()
    return not more and sketch(right, theirs).dense and likeness(ours, theirs, right.name) < ALIKE


def _composite(tables: Mapping[str, Table], sketches: Mapping[str, Sequence[Sketch]]) -> list[JoinPath]:
    """Joins by two or three columns of equal name and kind, into tables without a key of one column."""
    found = []
    for right, theirs in sketches.items():
        if any(each.is_key for each in theirs):
            continue
        for left, ours in sketches.items():
            shared = [
                each.column
                for each in theirs
                if left != right
                and each.nulls == 0
                and each.distinct > 1
                and any(o.column == each.column and o.family == each.family for o in ours)
            ]
            on = _least_key(tables[right], shared[:8])
            if on:
                join = verify_join(tables[left], tables[right], {column: column for column in on}, score=0.8)
                if join.coverage >= 0.5:
                    found.append(join)
    return found


def _least_key(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    frame = _frame(table, columns, columns)
    for width in range(2, WIDEST + 1):
        unique = [on for on in combinations(columns, width) if frame.select(on).n_unique() == frame.height]
        if unique:
            return unique[0]
    return ()


def _frame(table: Table, columns: Sequence[str], names: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series(table.data[column]) for name, column in zip(names, columns, strict=True)})


def _alike(left: pl.DataFrame, right: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    for name in left.columns:
        a, b = left.schema[name], right.schema[name]
        if a != b:
            kind = pl.Float64 if a.is_numeric() and b.is_numeric() else pl.String
            left, right = (each.with_columns(pl.col(name).cast(kind)) for each in (left, right))
    return left, right


def _listed(table: Table, sketches: Sequence[Sketch], source: Source | None) -> Listed:
    path = Path(divide(table.origin)[0])
    there = path.is_file()
    facts = path.stat() if there else None
    return Listed(table.name, table.origin, table.rows, table.schema.names,
                  tuple(each.column for each in sketches if each.is_key),
                  bytes=facts.st_size if facts else table.data.nbytes,
                  modified=datetime.fromtimestamp(facts.st_mtime, UTC).isoformat(timespec="seconds") if facts else "",
                  digest=table.digest, owner=source.owner if source else "", licence=source.licence if source else "")
