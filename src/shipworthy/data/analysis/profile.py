"""A table in one pass: every cell by cheap kernels, joint statistics on one sample of whole rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.found import ColumnProfile, Profile
from shipworthy.core.schema import Column
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.data.analysis.dependencies import dependencies
from shipworthy.data.analysis.impossible import impossible, may_be_impossible
from shipworthy.data.analysis.personal import personal_kind
from shipworthy.data.analysis.strength import codes_of
from shipworthy.data.analysis.suspects import near_copies, suspects
from shipworthy.errors import BadData, one_of

SAMPLE = 65_536
EXACT_ROWS = 131_072
FEW_LEVELS = 8_192
NEARLY_KEY = 0.95
POINTS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
BINS = 20
FREQUENT = 12
SEED = 20_240_607


def profile(table: Table, *, target: str = "") -> Profile:
    """The table in one pass: counts, ranges and moments over every cell, the rest from 65,536 whole rows.

    target: look for columns that give it away; the schema's target when it is left out. Quantiles are within 0.5 % of
    rank. Distinct counts are exact up to 131,072 rows; beyond, exact where a column has few levels or may be a key of
    words or whole numbers, else within 3 %. Linear in cells; memory beside the table is that of one column.
    """
    target = target or (found.name if (found := table.schema.one("target")) else "")
    if target and target not in table.schema:
        raise BadData(f'column "{target}" is missing', where=table.origin, hint=one_of(target, table.schema.names))
    frame = pl.DataFrame({name: _series(table.data[name]) for name in table.schema.names})
    place = sample_rows(table.rows)
    sample = table.take(place) if len(place) < table.rows else table
    columns = tuple(_column(column, table, frame[column.name], sample) for column in table.schema.columns)
    codes = {name: codes_of(sample.data[name]) for name in table.schema.names}
    return Profile(
        table.rows,
        columns,
        duplicates=0 if any(each.distinct == table.rows for each in columns) else table.rows - _distinct_rows(frame),
        suspects=suspects(sample, target, _without_target(table, target)) if target and table.rows else (),
        copies=near_copies(sample.data, codes),
        constant=tuple(each.name for each in columns if each.distinct <= 1),
        dependencies=dependencies(sample, codes),
    )


def sample_rows(rows: int) -> Ints:
    """(k,) positions of at most 65,536 rows, in order, by a seed and the row's place, never by its content."""
    if rows <= SAMPLE:
        return np.arange(rows, dtype=np.int64)
    return np.sort(np.random.default_rng(SEED).choice(rows, SAMPLE, replace=False)).astype(np.int64)


def _series(values: pa.ChunkedArray) -> pl.Series:
    return pl.Series(values) if len(values) else pl.Series(values=[], dtype=pl.String)


def _whole(values: pl.Series) -> dict[str, Any]:
    """Every figure of a column that needs every cell."""
    kind = values.dtype
    known = values.cast(pl.Float64).fill_nan(None) if kind.is_float() else values
    facts: dict[str, Any] = {"nulls": known.null_count(), "distinct": _distinct(known)}
    if kind.is_numeric():
        ends = {"minimum": _float(known.min()), "maximum": _float(known.max())}
        facts |= ends | {"mean": _float(known.mean()), "deviation": _float(known.std())}
    if kind.is_temporal() and known.null_count() < len(known):
        moments: Any = values.dt.timestamp("us")
        facts |= {"minimum": moments.min() / 1e6, "maximum": moments.max() / 1e6}
    if kind == pl.String:
        longest: Any = values.str.len_chars().max()
        facts["longest"] = longest or 0
    return facts


def _distinct(values: pl.Series) -> int:
    """How many values differ, null left out: by HyperLogLog where a table is long and nothing hangs on the figure.

    An estimate stays below the number of values, so that only a count proves a key.
    Source: Flajolet et al. (2007), "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm".
    """
    kind, gone = values.dtype, values.null_count()
    known = len(values) - gone
    if len(values) > EXACT_ROWS and (kind.is_numeric() or kind.is_temporal() or kind == pl.String):
        found: int = values.approx_n_unique()  # type: ignore[assignment]
        may_be_key = found > NEARLY_KEY * known and (kind.is_integer() or kind == pl.String)
        if found > FEW_LEVELS and not may_be_key:
            return min(found, known - 1)
    return values.n_unique() - (gone > 0)


def _distinct_rows(frame: pl.DataFrame) -> int:
    return int(frame.hash_rows(seed=1).n_unique()) if frame.width and frame.height else frame.height


def _without_target(table: Table, target: str) -> Table | None:
    gone = np.flatnonzero(np.asarray(table.data[target].is_null().to_numpy(), np.bool_))
    return table.take(gone[:: max(1, len(gone) // 10_000)]) if len(gone) else None


def _column(column: Column, table: Table, whole: pl.Series, sample: Table) -> ColumnProfile:
    name, values = column.name, sample.data[column.name]
    facts = _whole(whole)
    if column.kind in ("number", "timestamp", "boolean") and not pa.types.is_string(values.type):
        numbers = sample.numbers(name)
        facts["quantiles"], facts["histogram"] = _spread(numbers)
        if column.kind == "number" and may_be_impossible(name, numbers, facts.get("minimum"), facts.get("maximum")):
            facts["impossible"] = tuple(_in_words(table.numbers(name), name))
    facts["frequent"] = _frequent(values)
    if column.kind in ("category", "text", "number", "timestamp") and not (
        column.kind == "number" and not column.integer
    ):
        facts["personal"] = personal_kind(name, _some(values))
    return ColumnProfile(name, column.kind, table.rows, **facts)


def _spread(numbers: Floats) -> tuple[tuple[float, ...], tuple[int, ...]]:
    finite = np.sort(numbers[np.isfinite(numbers)])
    if not len(finite):
        return (), ()
    points = tuple(float(value) for value in finite[np.round(np.array(POINTS) * (len(finite) - 1)).astype(np.int64)])
    low, wide = points[1], points[-2] - points[1]
    place = np.floor((finite - low) / wide * BINS) if wide > 0 else np.zeros(len(finite))
    counts = np.bincount(np.clip(place, 0, BINS - 1).astype(np.int64), minlength=BINS)
    return points, tuple(int(count) for count in counts)


def _frequent(values: pa.ChunkedArray) -> tuple[tuple[str, float], ...]:
    known = values.drop_null()
    if pa.types.is_floating(known.type):
        known = known.filter(pc.invert(pc.is_nan(known)))
    if not len(known):
        return ()
    counts = _counted(known)
    keys = [("count", "descending"), ("value", "ascending")]
    top = counts.take(pc.select_k_unstable(counts, k=FREQUENT, sort_keys=keys))
    words = Table.of(top.select(["value"])).words("value")
    return tuple((str(word), count / len(known)) for word, count in zip(words, top["count"].to_pylist(), strict=True))


def _counted(known: pa.ChunkedArray) -> pa.Table:
    """How often each value occurs; numbers and times are sorted and cut, which is several times faster than hashing."""
    if pa.types.is_primitive(known.type) and not pa.types.is_boolean(known.type):
        ordered = np.sort(known.to_numpy())
        start = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        values, counts = pa.array(ordered[start], known.type), np.diff(start, append=len(ordered))
        return pa.table({"value": values, "count": counts})
    found = known.value_counts()
    return pa.table({"value": found.field("values"), "count": found.field("counts")})


def _some(values: pa.ChunkedArray) -> list[str | None]:
    head = values.slice(0, 5_000).unique().slice(0, 1_000)
    return list(Table.of({"value": head}).words("value"))


def _in_words(numbers: Floats, name: str) -> list[str]:
    said = []
    for odd in impossible(name, numbers):
        worst = numbers[odd.rows]
        said.append(f"{int(odd.rows.sum())} impossible, such as {worst[np.argmax(np.abs(worst))]:g}: {odd.reason}")
    return said


def _float(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
