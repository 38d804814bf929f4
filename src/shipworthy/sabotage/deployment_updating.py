"""Planted faults in what a correction without labels rests on: rows that mean what they meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from shipworthy.core.learned import Parts
from shipworthy.marks import sabotage

Case = Mapping[str, Any]


@sabotage("rows-that-mean-something-else", check="shift-mitigation")
def rows_that_mean_something_else(case: Case) -> Case:
    """Holdout rows that each have the outcome of another row; of a number, every second is six spreads too high.

    Neither weights nor other shares of the classes make up for that.
    """
    parts: Parts = case["parts"]
    rows, target = parts.holdout, case["model"].sheet.target
    values = np.array(rows.column(target).to_pylist(), object)
    if case["model"].classes:
        values = np.random.default_rng(17).permutation(values)
    else:
        values[1::2] += 6 * np.std(np.asarray(values, np.float64))
    mixed = rows.with_column(target, pa.array(values.tolist(), rows.column(target).type))
    return {**case, "parts": Parts(parts.learn, parts.tune, mixed)}
