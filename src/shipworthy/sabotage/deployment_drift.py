"""Planted faults in how the columns of traffic go together: what the check of joint drift must catch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from shipworthy.core.table import Ints, Table, to_words
from shipworthy.marks import sabotage, twin
from shipworthy.sabotage.deployment_monitoring import changed, served, tallied

Case = Mapping[str, Any]


@twin("joint-drift")
def rows_shuffled(case: Case, seed: int) -> Case:
    """The rows of a second sample in another order."""
    found = served(case, seed)
    log: Table = found["log"]
    order = np.random.default_rng([3, seed]).permutation(log.rows)
    return tallied(found, log=log.take(order).with_column("at", log.column("at")))


@sabotage("correlation-turned", check="joint-drift")
def correlation_turned(case: Case) -> Case:
    """Every column has the values it had, but the second of two is dealt out anew so that it rises with the first."""
    schema, names = case["parts"].holdout.schema, case["model"].features.columns
    first, second = sorted(names, key=lambda name: schema[name].kind != "number")[:2]

    def change(rows: Table) -> Table:
        dealt = np.empty(rows.rows, np.int64)
        dealt[np.argsort(_ranks(rows, first), kind="stable")] = np.argsort(_ranks(rows, second), kind="stable")
        return rows.with_column(second, rows.column(second).take(pa.array(dealt)))

    return changed(case, change)


def _ranks(rows: Table, name: str) -> Ints:
    """The place of every value among the column's own, (n,); a missing one is last."""
    if rows.schema[name].kind == "number":
        return np.asarray(np.argsort(np.argsort(rows.numbers(name), kind="stable"), kind="stable"))
    words = np.array(["" if word is None else str(word) for word in to_words(rows.column(name))])
    return np.asarray(np.unique(words, return_inverse=True)[1], np.int64)
