"""Approximate functional dependencies: where one column's value settles another's.

The share that holds is 1 − g3 of Kivinen and Mannila (1995), "Approximate inference of functional dependencies".
"""

from __future__ import annotations

import numpy as np

from shipworthy.core.table import Ints, Table

ROWS = 8_192
MOST_LEVELS = 512
MOST_COLUMNS = 40
HOLDS = 0.99
TRIVIAL = 0.95


def dependencies(sample: Table, codes: dict[str, Ints]) -> tuple[tuple[str, str, float], ...]:
    """(left, right, share of rows that agree), where left settles right in at least 99 % of rows, not trivially.

    Among categories, booleans and whole numbers of 2 to 512 values, at least 8 rows a value.
    """
    step = max(1, sample.rows // ROWS)
    small: dict[str, Ints] = {}
    for column in sample.schema.columns:
        if column.kind in ("category", "boolean") or (column.kind == "number" and column.integer):
            _, each = np.unique(codes[column.name][::step], return_inverse=True)
            levels = int(each.max(initial=0)) + 1
            if 2 <= levels <= MOST_LEVELS and levels * 8 <= len(each):
                small[column.name] = each.astype(np.int64)
    names = list(small)[:MOST_COLUMNS]
    found = []
    for left in names:
        for right in names:
            if left != right:
                share = agreement(small[left], small[right])
                usual = np.bincount(small[right]).max() / len(small[right])
                if share >= HOLDS and usual < TRIVIAL and small[left].max() > 0:
                    found.append((left, right, round(share, 6)))
    return tuple(found)


def agreement(left: Ints, right: Ints) -> float:
    """Share of rows whose right code is the most frequent one for their left code, in [0, 1]."""
    width = int(right.max(initial=0)) + 1
    counts = np.bincount(left * width + right, minlength=(int(left.max(initial=0)) + 1) * width)
    return float(counts.reshape(-1, width).max(axis=1).sum() / max(1, len(left)))
