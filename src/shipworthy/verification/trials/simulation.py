"""Scenarios of trouble, made from real rows: some of the holdout and one change of the world each.

Rows are drawn without replacement, so that a refusal is never owed to rows that the simulation itself repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shipworthy.core.table import Floats, Ints, Table

Random = np.random.Generator


@dataclass(frozen=True)
class Scene:
    """One simulated batch: what it is, its rows as they arrive, and the truth that they will turn out to have."""

    name: str
    rows: Table
    truth: Floats | Ints


Transform = Callable[[Table, Random], tuple[Table, npt.NDArray[np.int64]] | None]


def redraw(table: Table, size: int, random: Random) -> Table:
    """Rows drawn without replacement, in order: the generator that every scenario starts from."""
    return table.take(np.sort(random.permutation(table.rows)[:size]))


def scene(name: str, rows: Table, truth: Floats | Ints, size: int, random: Random) -> Scene | None:
    """One scenario from the table and its truth; None where it does not fit the columns."""
    drawn = np.sort(random.permutation(rows.rows)[:size])
    made = SCENARIOS[name](rows.take(drawn), random)
    if made is None:
        return None
    table, kept = made
    return Scene(name, table, truth[drawn][kept])


def _all(table: Table) -> npt.NDArray[np.int64]:
    return np.arange(table.rows)


def _pick(table: Table, random: Random, *kinds: str) -> str | None:
    names = [column.name for column in table.schema.features if column.kind in kinds]
    return str(random.choice(names)) if names else None


def _outage(table: Table, random: Random) -> tuple[Table, npt.NDArray[np.int64]] | None:
    name = _pick(table, random, "number", "category", "boolean", "timestamp")
    if name is None:
        return None
    return table.with_column(name, pa.nulls(table.rows, table.data[name].type)), _all(table)


def _lost(table: Table, random: Random) -> tuple[Table, npt.NDArray[np.int64]] | None:
    name = _pick(table, random, "number", "category", "boolean", "timestamp")
    return None if name is None else (table.drop(name), _all(table))


def _unit(table: Table, random: Random) -> tuple[Table, npt.NDArray[np.int64]] | None:
    name = _pick(table, random, "number")
    if name is None:
        return None
    factor = float(random.choice([1000.0, 0.001, 1.8]))
    return table.with_column(name, pa.array(table.numbers(name) * factor, from_pandas=True)), _all(table)


def _stuck(table: Table, random: Random) -> tuple[Table, npt.NDArray[np.int64]] | None:
    name = _pick(table, random, "number", "category")
    if name is None:
        return None
    last = next((v for v in table.column(name).to_pylist() if v is not None), None)
    return table.with_column(name, pa.array([last] * table.rows, table.data[name].type)), _all(table)


def _new_level(table: Table, random: Random) -> tuple[Table, npt.NDArray[np.int64]] | None:
    name = _pick(table, random, "category")
    if name is None:
        return None
    words = np.where(random.random(table.rows) < 0.3, "a level of tomorrow", table.words(name))
    return table.with_column(name, pa.array(list(words), pa.string())), _all(table)


def _tilt(table: Table, random: Random) -> tuple[Table, npt.NDArray[np.int64]] | None:
    name = _pick(table, random, "number")
    if name is None:
        return None
    values = table.numbers(name)
    rank = np.argsort(np.argsort(np.nan_to_num(values, nan=float(np.nanmedian(values))))) / max(1, table.rows - 1)
    weight = np.exp(float(random.choice([-1.5, 1.5])) * rank)
    kept = np.sort(random.choice(table.rows, table.rows // 2, replace=False, p=weight / weight.sum()))
    return table.take(kept), np.asarray(kept, np.int64)


def _repeated(table: Table, random: Random) -> tuple[Table, npt.NDArray[np.int64]] | None:
    kept = np.tile(np.arange(table.rows), 2)
    return table.take(kept), kept


def _late(table: Table, random: Random) -> tuple[Table, npt.NDArray[np.int64]] | None:
    """Only the older half of the truth has come in by the time it is looked at."""
    kept = np.arange(table.rows // 2)
    return table.take(kept), kept


def _partly_missing(table: Table, random: Random) -> tuple[Table, npt.NDArray[np.int64]] | None:
    name = _pick(table, random, "number", "category", "boolean")
    if name is None:
        return None
    gone = random.random(table.rows) < 0.4
    values = [None if hit else value for value, hit in zip(table.column(name).to_pylist(), gone, strict=True)]
    return table.with_column(name, pa.array(values, table.data[name].type)), _all(table)


def _calm(table: Table, random: Random) -> tuple[Table, npt.NDArray[np.int64]] | None:
    return table, _all(table)


CALM = "no trouble"
SCENARIOS: dict[str, Transform] = {
    CALM: _calm,
    "column outage": _outage,
    "column lost": _lost,
    "column stuck": _stuck,
    "values partly missing": _partly_missing,
    "unit change": _unit,
    "new level": _new_level,
    "population tilt": _tilt,
    "batch twice": _repeated,
    "late labels": _late,
}
