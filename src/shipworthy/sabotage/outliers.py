"""Planted faults in rows that are wrong without looking it: what the outlier scores must catch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shipworthy.core.table import Table
from shipworthy.marks import sabotage
from shipworthy.sabotage.deployment_monitoring import changed

Case = Mapping[str, Any]
SHARE = 0.02


@sabotage("plausible-wrong-rows", check="outlier-rate")
def plausible_wrong_rows(case: Case) -> Case:
    """Two rows in a hundred lie at the edge of what is usual in every number at once, high and low by turns."""
    return changed(case, lambda rows: plausible(case, rows, SHARE))


def plausible(case: Case, rows: Table, share: float) -> Table:
    """The rows with a share of them moved to the 99.8 % point of one number, the 0.2 % point of the next, and so on."""
    hit, names = np.random.default_rng(0).random(rows.rows) < share, set(case["model"].features.columns)
    numbers = [column.name for column in case["parts"].holdout.schema.columns
               if column.kind == "number" and column.name in names]
    for place, name in enumerate(numbers):
        values = rows.numbers(name)
        edge = float(np.nanquantile(values, 0.002 if place % 2 else 0.998, method="nearest"))
        rows = rows.with_column(name, np.where(hit, edge, values))
    return rows
