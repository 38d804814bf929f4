"""Many draws of rows from one table: what is computed row by row is computed once, for the whole, and looked up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from shipworthy.core.table import Ints, Table

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Drawn(Table):
    """Rows of a table that know their places in it. kept: what was computed of the whole, shared by all its draws.

    Taking rows keeps the places; a changed column makes a plain table.
    """

    whole: Table | None = None
    places: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    kept: dict[Any, Array] = field(default_factory=dict)

    def take(self, rows: Any) -> Table:
        """The rows at these positions (integers), or where a mask is true, with their places."""
        index = np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == np.bool_ else index
        return replace(self, data=self.data.take(index), places=self.places[index])

    def head(self, rows: int) -> Table:
        return self.take(np.arange(min(rows, self.rows)))

    def with_column(self, name: str, values: Any, **facts: Any) -> Table:
        """A plain table with one column replaced or added."""
        return Table(self.data, self.schema, self.name, self.origin, self.notes).with_column(name, values, **facts)


def draw(whole: Table, places: Ints, kept: dict[Any, Array]) -> Drawn:
    """The rows at these places. kept: one dictionary for all draws from this table."""
    taken = whole.take(places)
    return Drawn(taken.data, taken.schema, taken.name, taken.origin, taken.notes, whole, places, kept)


def rowwise(table: Table, key: Any, compute: Callable[[Table], Array]) -> Array:
    """(n, …) what is computed of each row by itself; of a draw, looked up in the whole. key: names what is computed."""
    if not isinstance(table, Drawn) or table.whole is None:
        return compute(table)
    if key not in table.kept:
        table.kept[key] = compute(table.whole)
    return table.kept[key][table.places]
