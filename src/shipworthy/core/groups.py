"""The groups that fairness is measured by: every protected column, and their intersections."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from shipworthy.core.table import Mask, Table
from shipworthy.metrics.arrays import Array

LEAST = 50
BANDS = 4
DEPTH = 3


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


def groupings(table: Table, *, least: int = LEAST, depth: int = DEPTH) -> list[Grouping]:
    """Groupings by each protected column and their intersections; numbers are cut at their quartiles, missing is a
    group."""
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
