"""Where the training rows are thin or absent: named slices, and combinations that ought to occur and do not."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from shipworthy.core.table import Ints, Mask, Table
from shipworthy.data.analysis.strength import edges_of
from shipworthy.metrics.intervals import benjamini_hochberg

THIN = 50
BINS = 8
EXPECTED = 20.0
LEVEL_STRAYS = 1 / 3
MOST_COLUMNS = 30
ROWS = 65_536


@dataclass(frozen=True)
class Hole:
    """A combination that never occurs though `expected` rows of it would, were the two columns independent."""

    condition: str
    expected: float


@dataclass(frozen=True)
class Binned:
    """One column in at most 8 named bins. codes: (n,)."""

    names: tuple[str, ...]
    codes: Ints


def thin(table: Table, *, least: int = THIN) -> list[tuple[str, int]]:
    """(condition, rows) of every level, bin or gap of one feature with fewer than `least` rows, fewest first.

    A level that is rarer than one row in a hundred is left to the encoders, which pool it.
    """
    found = []
    for name, column in bins_of(table).items():
        counts = np.bincount(column.codes, minlength=len(column.names))
        for place, rows in enumerate(counts.tolist()):
            if 0 < rows < least and (table.rows < 100 * least or rows >= 0.01 * table.rows):
                found.append((f"{name} {column.names[place]}", rows))
    return sorted(found, key=lambda each: (each[1], each[0]))


def holes(table: Table, *, expected: float = EXPECTED) -> list[Hole]:
    """Pairs of bins with no row where at least `expected` would be if the columns were independent, widest first.

    Held to a false discovery rate of 5 %. Pairs of columns of which one settles the other are left out.
    """
    table = table.take(np.arange(0, table.rows, table.rows // ROWS + 1))
    binned = list(bins_of(table).items())[:MOST_COLUMNS]
    found: list[Hole] = []
    chance: list[float] = []
    n = table.rows
    for at, (left, a) in enumerate(binned):
        for right, b in binned[at + 1 :]:
            counts = np.bincount(a.codes * len(b.names) + b.codes, minlength=len(a.names) * len(b.names))
            counts = counts.reshape(len(a.names), len(b.names))
            ought = counts.sum(axis=1)[:, None] * counts.sum(axis=0)[None, :] / max(1, n)
            empty = (counts == 0) & (ought >= expected) & _told(a)[:, None] & _told(b)[None, :]
            if not empty.any() or _together(counts, empty):
                continue
            for x, y in zip(*np.nonzero(empty), strict=True):
                found.append(Hole(f"{left} {a.names[x]} with {right} {b.names[y]}", float(ought[x, y])))
                chance.append(float(np.exp(-ought[x, y])))
    kept = benjamini_hochberg(np.array(chance, np.float64), q=0.05)
    return sorted((hole for hole, real in zip(found, kept, strict=True) if real), key=lambda hole: -hole.expected)


def _told(column: Binned) -> Mask:
    """Which bins hold values; gaps go together for reasons of their own."""
    return np.array([name != "missing" for name in column.names], np.bool_)


def _together(counts: Ints, empty: Mask) -> bool:
    """Whether two columns go together: many cells are empty, or a level with one is spread unlike the others."""
    if empty.sum() > 0.1 * empty.size:
        return True
    return any(_stray(counts, empty, x) > LEVEL_STRAYS or _stray(counts.T, empty.T, y) > LEVEL_STRAYS
               for x, y in zip(*np.nonzero(empty), strict=True))


def _stray(counts: Ints, empty: Mask, level: int) -> float:
    """How far one level is spread otherwise than all others, over the cells that it fills, the worst left out: the
    border of a hole may cut a cell."""
    ours = counts[level, ~empty[level]].astype(np.float64)
    others = (counts.sum(axis=0) - counts[level])[~empty[level]].astype(np.float64)
    if not ours.sum() or not others.sum():
        return float("inf")
    mine, usual = ours / ours.sum(), np.maximum(others, 0.5) / others.sum()
    terms = (mine - usual) ** 2 / usual
    return float(np.sqrt(terms.sum() - terms.max()))


def bins_of(table: Table) -> dict[str, Binned]:
    """Every feature and protected column in at most 8 bins or 30 levels, missing by itself."""
    found = {}
    for column in table.schema.columns:
        if column.role != "feature" and not column.protected:
            continue
        if column.kind in ("number", "boolean"):
            found[column.name] = _numbers(table, column.name)
        elif column.kind == "category":
            levels = _levels(table, column.name)
            if levels:
                found[column.name] = levels
    return found


def _numbers(table: Table, name: str) -> Binned:
    numbers = table.numbers(name)
    edges = edges_of(numbers, BINS)
    place = np.searchsorted(edges, numbers, side="right")
    codes = np.where(np.isfinite(numbers), place, len(edges) + 1).astype(np.int64)
    ends = [f"below {edges[0]:g}" if len(edges) else "any"]
    ends += [f"from {low:g} to {high:g}" for low, high in pairwise(edges)]
    ends += [f"from {edges[-1]:g}"] if len(edges) else []
    return Binned((*ends, "missing"), codes)


def _levels(table: Table, name: str) -> Binned | None:
    words = table.words(name)
    present = np.array(["missing" if word is None else str(word) for word in words], dtype=object).astype(str)
    levels, codes = np.unique(present, return_inverse=True)
    if len(levels) > 30:
        return None
    return Binned(tuple("missing" if level == "missing" else f'= "{level}"' for level in levels),
                  codes.astype(np.int64))
