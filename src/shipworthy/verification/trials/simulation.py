"""Scenarios of trouble, made from real rows: a stream of batches drawn from the holdout, and one change of the world.

A stream is drawn without replacement, so that a refusal is never owed to rows that the simulation itself repeated; one
that is longer than the holdout draws again for every batch. It runs in time where rows have a time; else every batch
is a sample of the whole holdout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from shipworthy.core.model import Model
from shipworthy.core.project import Value
from shipworthy.core.table import Floats, Ints, Table

Random = np.random.Generator
TILTS, ODDS, COSTS, FACTORS = (-1.5, 1.5), (1 / 3, 3.0), (1.5, 2.0), (1_000.0, 0.001, 1.8)
CHANGED, NEW = 0.6, 0.3


@dataclass(frozen=True)
class World:
    """What scenarios change. rows: a stream as it arrives, with the target as it turns out; batch: rows of a delivery.

    value: what decisions earn. delay: how many rows are served until a label is known. accepted: labels come only for
    rows decided for.
    """

    model: Model
    rows: Table
    batch: int
    value: Value | None = None
    delay: int = 0
    accepted: bool = False
    name: str = field(default="no trouble")

    def batches(self) -> list[Table]:
        """The stream as it is delivered, in order."""
        starts = range(0, self.rows.rows, self.batch)
        return [replace(self.rows, data=self.rows.data.slice(start, self.batch)) for start in starts]


Transform = Callable[[World, Random], World | None]


def redraw(table: Table, size: int, random: Random) -> Table:
    """Rows drawn without replacement, in order: the generator that every scenario starts from."""
    return table.take(np.sort(random.permutation(table.rows)[:size]))


def stream(table: Table, *, rows: int, batch: int, random: Random) -> Table:
    """So many rows, each batch in the order of the table, and all of them if it has a time and rows enough."""
    if rows <= table.rows and table.schema.one("time") is not None:
        return redraw(table, rows, random)
    laps = [random.permutation(table.rows) for _ in range(-(-rows // table.rows) + 1)]
    whole = table.rows // batch * batch  # so that no batch has rows of two laps
    places = np.concatenate([lap[:whole] for lap in laps] if rows > table.rows else laps)[:rows]
    return table.take(np.concatenate([np.sort(places[start : start + batch]) for start in range(0, rows, batch)]))


def in_time(table: Table) -> Table:
    """The rows by their time column, oldest first; as they are where there is none."""
    column = table.schema.one("time")
    return table if column is None else table.take(np.argsort(table.numbers(column.name), kind="stable"))


def _pick(world: World, random: Random, *kinds: str) -> str | None:
    schema = world.rows.schema
    names = [name for name in world.model.features.columns if name in schema and schema[name].kind in kinds]
    return str(random.choice(names)) if names else None


def _changed(world: World, name: str, values: Any) -> World:
    return replace(world, rows=world.rows.with_column(name, values))


def _weighted(world: World, weight: Floats, random: Random) -> World:
    """As many rows, drawn by weight within each batch."""
    kept: list[Ints] = []
    for start in range(0, world.rows.rows, world.batch):
        w = weight[start : start + world.batch]
        kept.append(start + np.sort(random.choice(len(w), len(w), p=w / w.sum())))
    return replace(world, rows=world.rows.take(np.concatenate(kept)))


def _rank(values: Floats) -> Floats:
    known = np.isfinite(values)
    middle = float(np.median(values[known])) if known.any() else 0.0
    order = np.argsort(np.argsort(np.where(known, values, middle), kind="stable"), kind="stable")
    return np.asarray(order / max(1, len(values) - 1), np.float64)


def _tilt(world: World, random: Random) -> World | None:
    name = _pick(world, random, "number", "category", "boolean")
    if name is None:
        return None
    values = world.rows.numbers(name) if world.rows.schema[name].kind == "number" else np.unique(
        world.rows.words(name).astype(str), return_inverse=True)[1].astype(np.float64)
    return _weighted(world, np.exp(float(random.choice(TILTS)) * _rank(values)), random)


def _prior(world: World, random: Random) -> World:
    truth = np.asarray(world.model.truth(world.rows), np.float64)
    rank = _rank(truth) if world.model.task == "regression" else truth / max(1, len(world.model.classes) - 1)
    return _weighted(world, float(random.choice(ODDS)) ** rank, random)


def _concept(world: World, random: Random) -> World | None:
    """On one side of a column most rows turn out otherwise than they did before."""
    name = _pick(world, random, "number", "category", "boolean")
    if name is None:
        return None
    rows, model = world.rows, world.model
    side = (rows.numbers(name) if rows.schema[name].kind == "number" else np.unique(
        rows.words(name).astype(str), return_inverse=True)[1].astype(np.float64))
    hit = (_rank(side) >= 0.5) & (random.random(rows.rows) < CHANGED)
    truth = model.truth(rows)
    if model.task == "regression":
        return _changed(world, model.sheet.target, np.where(hit, 2 * truth.mean() - truth, truth))
    other = (np.asarray(truth, np.int64) + hit * random.integers(1, len(model.classes), rows.rows)) % len(model.classes)
    return _changed(world, model.sheet.target, pa.array([model.classes[code] for code in other]))


def _outage(world: World, random: Random) -> World | None:
    """A column is missing, is not there at all, hangs at its last value, or is missing in part."""
    name = _pick(world, random, "number", "category", "boolean", "timestamp")
    if name is None:
        return None
    data = world.rows.data[name]
    way = int(random.integers(4))
    if way == 0:
        return replace(world, rows=world.rows.drop(name))
    known = data.drop_null()
    last = known[0] if way == 1 and len(known) else pa.scalar(None, data.type)
    gone = random.random(world.rows.rows) < (0.4 if way == 3 else 1.0)
    return _changed(world, name, pa.compute.if_else(pa.array(gone), last, data))


def _unit(world: World, random: Random) -> World | None:
    name = _pick(world, random, "number")
    if name is None:
        return None
    return _changed(world, name, pa.array(world.rows.numbers(name) * float(random.choice(FACTORS)), from_pandas=True))


def _late(world: World, random: Random) -> World | None:
    """Labels take twice as long as declared, while the rows change too."""
    tilted = _tilt(world, random)
    return None if tilted is None else replace(tilted, delay=2 * world.delay)


def _selective(world: World, random: Random) -> World:
    """Only rows decided for are ever labelled, while the share of classes changes."""
    return replace(_prior(world, random), accepted=True)


def _new_level(world: World, random: Random) -> World | None:
    name = _pick(world, random, "category")
    if name is None:
        return None
    words = np.where(random.random(world.rows.rows) < NEW, "a level of tomorrow", world.rows.words(name))
    return _changed(world, name, pa.array(list(words), pa.string()))


def _twice(world: World, random: Random) -> World:
    """The first batch comes again and again."""
    first = np.arange(min(world.batch, world.rows.rows))
    return replace(world, rows=world.rows.take(np.resize(first, world.rows.rows)))


def _costs(world: World, random: Random) -> World | None:
    """Whatever costs, costs half as much again, or twice; the threshold stays."""
    if world.value is None:
        return None
    times = float(random.choice(COSTS))
    names = ("true_positive", "false_positive", "false_negative", "true_negative", "per_unit_under", "per_unit_over")
    unit = ("per_unit_under", "per_unit_over")
    dearer = {name: times * getattr(world.value, name) for name in names
              if name in unit or getattr(world.value, name) < 0}
    return replace(world, value=msgspec.structs.replace(world.value, **dearer))


def _capacity(world: World, random: Random) -> World | None:
    """Half as many rows may be decided for as the model decides for now, or as may be so far."""
    if world.value is None or world.model.task != "binary":
        return None
    decided = float(np.mean(world.model.decide(world.model.score(world.rows))))
    return replace(world, value=msgspec.structs.replace(world.value, capacity=min(world.value.capacity, decided) / 2))


SCENARIOS: dict[str, Transform] = {
    "covariate tilt": _tilt,
    "prior shift": _prior,
    "concept change": _concept,
    "column outage": _outage,
    "unit change": _unit,
    "late labels": _late,
    "selective labels": _selective,
    "new category": _new_level,
    "duplicate batch": _twice,
    "cost shock": _costs,
    "half the capacity": _capacity,
}
