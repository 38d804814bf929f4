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
    """Holdout rows whose outcome is the next class instead; of a number, every one is six spreads too high.

    Neither weights nor other shares of the classes make up for that.
    """
    parts: Parts = case["parts"]
    rows, target = parts.holdout, case["model"].sheet.target
    values = np.array(rows.column(target).to_pylist(), object)
    classes = case["model"].classes
    if classes:
        after = dict(zip(classes, (*classes[1:], classes[0]), strict=True))
        values = np.array([after.get(word, word) for word in values], object)
    else:
        values = values + 6 * np.std(np.asarray(values, np.float64))
    mixed = rows.with_column(target, pa.array(values.tolist(), rows.column(target).type))
    return {**case, "parts": Parts(parts.learn, parts.tune, mixed)}
