"""A user's own figure of traffic: rows → integers that add up → a value. What a plugin marks with @meter, and its
contract: any split and any order of the rows gives the same sums, and an empty table adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from shipworthy.core.canon import digest
from shipworthy.core.registry import Marked, Registry
from shipworthy.core.table import Ints, Table
from shipworthy.errors import FAULTS, Misuse, ShipworthyError

SPLITS = 8


@dataclass(frozen=True)
class OwnMeter:
    """A marked function. of: what it counts. cells: how many integers. code: digest of what it is computed by."""

    name: str
    of: Literal["rows", "labels"]
    cells: int
    function: Callable[[Table], Any]
    figure: Callable[[Ints], float]
    code: str = ""

    @property
    def family(self) -> str:
        """Of its alarms."""
        return f"meter {self.name}"

    @property
    def layout(self) -> str:
        """Its name among the sums: another code counts another thing, so their sums are never added."""
        return f"meter {self.name} {self.code[:8]}"

    def count(self, table: Table) -> Ints:
        """The integers of a table, (cells,). Raises Misuse where the function fails, or does not return them."""
        try:
            found = np.asarray(self.function(table))
        except ShipworthyError:
            raise
        except FAULTS as error:
            raise self._wrong(f"fails: {type(error).__name__}: {error}") from error
        if found.shape != (self.cells,) or found.dtype.kind not in "iu":
            raise self._wrong(f"gives {found.dtype} of shape {found.shape}, and says it counts {self.cells} integers")
        return found.astype(np.int64)

    def value(self, sums: Ints) -> float:
        """The figure that sums stand for; NaN where they say nothing. Raises Misuse where that fails."""
        try:
            with np.errstate(all="ignore"):
                return float(self.figure(sums))
        except ZeroDivisionError:
            return float("nan")
        except FAULTS as error:
            raise self._wrong(f"has a value that fails: {type(error).__name__}: {error}") from error

    def _wrong(self, what: str) -> Misuse:
        return Misuse(f'the meter "{self.name}" {what}', where=str(getattr(self.function, "__module__", "")),
                      hint="mend it, or take its file out of `plugins` in shipworthy.toml")


def own_meters(known: Registry) -> tuple[OwnMeter, ...]:
    """The meters that plugins mark, in the order of their names."""
    return tuple(own_meter(marked) for _, marked in sorted(known.of("meter").items()))


def own_meter(marked: Marked) -> OwnMeter:
    """A meter by its mark."""
    facts, code = marked.facts, getattr(marked.function, "__code__", None)
    told = [marked.name, facts["of"], facts["cells"], marked.module, code.co_code.hex() if code else ""]
    return OwnMeter(marked.name, facts["of"], facts["cells"], marked.function, facts["value"], digest(told))


def conform(meter: OwnMeter, table: Table, *, splits: int = SPLITS, seed: int = 0) -> list[str]:
    """What of its contract a meter breaks on a table, one sentence each; empty if it keeps it.

    Any split and any order of the rows must give the same integers, and no rows none.
    """
    try:
        whole = meter.count(table)
        empty = meter.count(table.head(0))
    except ShipworthyError as error:
        return [error.problem]
    found = [] if not empty.any() else [f'the meter "{meter.name}" counts {empty.tolist()} in an empty table']
    if (np.abs(whole) >= 2**53).any():
        found.append(f'the meter "{meter.name}" counts beyond 2^53 in {table.rows:,} rows')
    random = np.random.default_rng(seed)
    for turn in range(splits):
        order = random.permutation(table.rows)
        if (meter.count(table.take(order)) != whole).any():
            return [*found, f'the meter "{meter.name}" depends on the order of the rows']
        cuts = np.sort(random.integers(0, table.rows + 1, 1 + turn))
        parts = sum((meter.count(table.take(part)) for part in np.split(order, cuts)), np.zeros_like(whole))
        if (parts != whole).any():
            return [*found, f'the meter "{meter.name}" does not merge: parts of the rows add up to {parts.tolist()}, '
                            f"all of them are {whole.tolist()}"]
    again = meter.value(whole)
    if not isinstance(again, float):
        found.append(f'the value of the meter "{meter.name}" is no number')
    return found


def slices(table: Table, order: Ints, starts: Ints) -> list[Table]:
    """Parts of a table, its rows in an order, each from one start to the next; no row is copied twice."""
    sorted_rows = table.take(order)
    ends = [*starts[1:].tolist(), len(order)]
    return [replace(sorted_rows, data=sorted_rows.data.slice(start, end - start))
            for start, end in zip(starts.tolist(), ends, strict=True)]
