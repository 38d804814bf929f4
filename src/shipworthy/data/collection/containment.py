"""Which columns could look up which: candidates by containment of their distinct values.

Sketch: the k minimum hash values (KMV) of Beyer et al. (2007), "On synopses for distinct-value estimation under
multiset operations"; a column with fewer than k distinct values is held whole, so its estimate is exact.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
import numpy.typing as npt
import polars as pl

from shipworthy.core.table import Table

K = 4_096
LEAST_SHARED = 30
DENSE = 0.9
ALIKE = 0.7
COMMON = frozenset({"year", "month", "day", "hour", "minute", "time", "date", "age", "count", "n", "row", "index"})
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Sketch:
    """One column. hashes: the k least hashes of its distinct values, sorted. dense: whole numbers without gaps."""

    table: str
    column: str
    family: str
    rows: int
    nulls: int
    distinct: int
    hashes: Hashes
    dense: bool
    whole: bool

    @property
    def is_key(self) -> bool:
        """Whether every value is there, once."""
        return self.nulls == 0 and self.distinct == self.rows and self.whole

    @property
    def nearly_key(self) -> bool:
        """Whether 99 % of the known values are different."""
        return self.distinct >= 0.99 * (self.rows - self.nulls) > 0


def sketch(table: Table, column: str) -> Sketch:
    """The sketch of one column; numbers that are equal hash alike whatever their Arrow type."""
    series = pl.Series(column, table.data[column])
    family = _family(series.dtype)
    if family == "number" and not series.dtype.is_integer():
        whole = series.cast(pl.Int64, strict=False)
        series = whole if bool((whole.cast(pl.Float64) == series).all()) else series
    distinct = series.drop_nulls().unique()
    hashes = np.sort(distinct.hash(seed=0).to_numpy())[:K]
    dense = False
    if distinct.dtype.is_integer() and len(distinct):
        low, high = distinct.min(), distinct.max()
        dense = len(distinct) >= DENSE * (int(high) - int(low) + 1)  # type: ignore[arg-type]
    return Sketch(table.name, column, family, len(series), series.null_count(), len(distinct), hashes, dense,
                  not distinct.dtype.is_float())


def containment(left: Sketch, right: Sketch) -> float:
    """Estimated share of the left distinct values that the right has, in [0, 1]; NaN if the sketches say too little."""
    if not left.distinct or not right.distinct:
        return 0.0
    if left.distinct <= K and right.distinct <= K:
        return len(np.intersect1d(left.hashes, right.hashes, assume_unique=True)) / left.distinct
    edge = min(left.hashes[-1] if left.distinct > K else np.uint64(2**64 - 1),
               right.hashes[-1] if right.distinct > K else np.uint64(2**64 - 1))
    ours = left.hashes[left.hashes <= edge]
    if len(ours) < LEAST_SHARED:
        return float("nan")
    return len(np.intersect1d(ours, right.hashes, assume_unique=True)) / len(ours)


def likeness(left: str, right: str, table: str = "") -> float:
    """How alike two column names are, in [0, 1]; "customer_id" is like "id" of the table "customers".

    >>> likeness("tailnum", "tailnum")
    1.0
    """
    a, b = words_of(left), words_of(right)
    owner = [word.rstrip("s") for word in words_of(table)]
    if a == b:
        return 1.0
    if "".join(a) == "".join(owner + b) or "".join(a) == "".join(owner):
        return 0.95
    if "".join(a).endswith("".join(b)) or "".join(b).endswith("".join(a)):
        return 0.7
    shared = len(set(a) & set(b)) / len(set(a) | set(b)) if a and b else 0.0
    return max(shared, 0.8 * SequenceMatcher(None, "".join(a), "".join(b)).ratio() ** 2)


def words_of(name: str) -> list[str]:
    """The lower-case words of a name: "CustomerID" is ["customer", "id"]."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def candidates(sketches: Sequence[Sketch], *, least: float = 0.5) -> list[tuple[float, Sketch, Sketch, bool]]:
    """(score, left, right, by chance), best first: pairs in which the right column is nearly a key and holds most
    of the left column's values. A pair of gapless whole numbers under unlike names is by chance.
    """
    found = []
    for right in sketches:
        if not right.nearly_key or right.family not in ("number", "text") or right.distinct < 3:
            continue
        for left in sketches:
            if left is right or left.family != right.family or not left.distinct or (
                    left.table == right.table and left.is_key):
                continue
            share = containment(left, right)
            alike = likeness(left.column, right.column, right.table)
            if share != share:
                share = 0.6 if alike >= ALIKE else 0.0
            if share < least or (share < 0.9 and alike < ALIKE):
                continue
            chance = left.family == "number" and right.dense and alike < ALIKE
            score = share * (0.35 + 0.65 * alike) * (0.5 if chance else 1.0) * (1.0 if left.family == "text" else 0.9)
            score *= 0.5 if COMMON & set(words_of(right.column)) and right.family == "number" else 1.0
            found.append((round(score, 4), left, right, chance))
    return sorted(found, key=lambda each: (-each[0], each[1].table, each[1].column, each[2].table, each[2].column))


def _family(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "number"
    if dtype in (pl.String, pl.Categorical):
        return "text"
    return "time" if dtype.is_temporal() else "other"
