"""The groups that fairness is measured by: every protected column, and their intersections."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.metrics.arrays import Array

LEAST = 50
BANDS = 4
MOST_TIMES = 1_000.0
MOST_HELD_OUT = 0.5


@dataclass(frozen=True)
class Grouping:
    """One way to group the rows. label: (n,) group of every row, in words. kept: rows of groups large enough.

    small: the groups under the least number of rows; nothing is said of them.
    """

    columns: tuple[str, ...]
    label: Array
    kept: Mask
    small: tuple[str, ...]

    @property
    def name(self) -> str:
        return " × ".join(self.columns)

    @property
    def groups(self) -> int:
        return len(np.unique(self.label[self.kept]))


def no_people(project: Project, table: Table) -> str:
    """Why fairness does not apply: a declared thing as subject and no protected column; empty if it does apply."""
    if project.project.subject == "thing" and not table.schema.protected and not project.data.protected:
        return 'rows are declared to be about things, [project] subject = "thing", and no column is protected'
    return ""


def groupings(table: Table, *, least: int = LEAST, depth: int = 2) -> list[Grouping]:
    """Groupings by each protected column and by pairs; numbers are cut at their quartiles, missing is a group."""
    labels = {column.name: _labels(table, column.name) for column in table.schema.protected}
    sets = [names for size in range(1, depth + 1) for names in combinations(labels, size)]
    return [_grouping(names, [labels[name] for name in names], least) for names in sets]


def _labels(table: Table, name: str) -> Array:
    if table.schema[name].kind == "number":
        values = table.numbers(name)
        known = values[np.isfinite(values)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BANDS + 1)[1:-1])) if known.size else np.zeros(0)
        if len(np.unique(known)) > BANDS:
            cuts = [f"{edge:g}" for edge in edges]
            told = [f"{name} ≤ {cuts[0]}", *(f"{low} < {name} ≤ {high}" for low, high in pairwise(cuts)),
                    f"{name} > {cuts[-1]}"]
            cell = np.searchsorted(edges, values, side="left")
            return np.array([told[c] if x == x else f"{name} missing" for c, x in zip(cell, values, strict=True)])
    return np.array([f"{name} missing" if word is None else f"{name} = {word}" for word in table.words(name)])


def _grouping(columns: tuple[str, ...], labels: list[Array], least: int) -> Grouping:
    joined = labels[0] if len(labels) == 1 else np.array([" and ".join(words) for words in zip(*labels, strict=True)])
    values, place, count = np.unique(joined, return_inverse=True, return_counts=True)
    return Grouping(columns, joined, np.asarray(count[place] >= least),
                    tuple(f"{value} ({rows})" for value, rows in zip(values, count, strict=True) if rows < least))


def favourable(model: Model, score: Floats) -> Ints:
    """1 where a row is selected, (n,): decided for the second class; for a regression scored above the median.

    Source for the median: 6 RCNY 5-301 (New York City), scoring rate.
    """
    return np.asarray(score > np.median(score), np.int64) if model.task == "regression" else model.decide(score)


def came_true(model: Model, truth: Floats | Ints) -> Ints:
    """1 where the favourable outcome came true, (n,); for a regression above the median."""
    return np.asarray(truth > np.median(truth) if model.task == "regression" else truth == 1, np.int64)


def mend(way: Grouping, model: Model, row: str) -> str:
    """What the project file can do about a gap between groups, and how to accept it. row: of the survey."""
    read = [name for name in way.columns if name in model.features.columns]
    if read:
        listed = ", ".join(f'"{name}"' for name in read)
        first = f"add {listed} to [data] set_aside and run again (the gap is measured all the same)"
    else:
        first = f"the model does not read {way.name}: add the columns that stand in for it to [data] set_aside"
    return f"{first}; or {_waive(row)}"


def _waive(row: str) -> str:
    return f"accept it for a time: shipworthy waive {row} --by WHO --reason WHY --until DAY"


def enough(rows: int, *, value: float, end: float, limit: float, row: str, share: float) -> tuple[str, str]:
    """How many rows of the smaller group would settle a figure that chance leaves open, in a sentence; and a remedy.

    rows: those it has. end: of the interval, beyond the limit. row: of the survey. share: of all rows, held out now.
    An interval narrows with the root of the rows.
    """
    waive = _waive(row)
    room, width = abs(limit - value), abs(end - value)
    if not room * MOST_TIMES**0.5 >= width:
        return "It is so near what is allowed that no number of rows in reach would tell.", waive
    times = (width / room) ** 2
    told = f"The smaller group has {rows:,} rows here; about {int(np.ceil(rows * times)):,} would tell."
    if share * times <= MOST_HELD_OUT:
        return told, f"hold out a larger share, [split] holdout = {np.ceil(100 * share * times) / 100:.2f}; or {waive}"
    return told, f"that takes more rows than there are to hold out: gather more, or {waive}"
