"""Planted faults in rows that are wrong without looking it: what the outlier scores must catch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from shipworthy.core.table import Ints, Mask, Table
from shipworthy.marks import sabotage, twin
from shipworthy.sabotage.deployment_monitoring import changed, served

Case = Mapping[str, Any]
SHARE, KIND = 0.02, 0.05


@sabotage("plausible-wrong-rows", check="outlier-rate")
def plausible_wrong_rows(case: Case) -> Case:
    """Two rows in a hundred lie at the edge of what is usual in every number at once, high and low by turns."""
    return changed(case, lambda rows: plausible(case, rows, SHARE))


def plausible(case: Case, rows: Table, share: float) -> Table:
    """The rows with a share of them moved to the 99.8 % point of one number, the 0.2 % point of the next, and so on."""
    hit = _drawn(rows.rows, share)
    for place, name in enumerate(_numbers(case)):
        values = rows.numbers(name)
        edge = float(np.nanquantile(values, 0.002 if place % 2 else 0.998, method="nearest"))
        rows = rows.with_column(name, np.where(hit, edge, values))
    return rows


@sabotage("confirmed-kind-returns", check="confirmed-outliers")
def confirmed_kind_returns(case: Case) -> Case:
    """One row in twenty is of a kind, high in every number but the first; of the first forty people say so."""
    found = changed(case, lambda rows: _high(case, rows, KIND))
    hit = np.flatnonzero(_drawn(found["log"].rows, KIND))
    return {**found, "confirmed": _verdicts(found["log"], hit[:40], np.arange(0, found["log"].rows, 100))}


@twin("confirmed-outliers")
def confirmed_kind_is_rare(case: Case, seed: int) -> Case:
    """Ordinary traffic, of which the rows furthest out were called strange, and some others fine."""
    found = served(case, seed)
    log = found["log"]
    numbers = [column.name for column in log.schema.columns if column.name in _numbers(case)]
    out = np.sum([np.abs(np.nan_to_num(log.numbers(one) - np.nanmean(log.numbers(one)))
                         / (np.nanstd(log.numbers(one)) or 1.0)) for one in numbers], axis=0)
    return {**found, "confirmed": _verdicts(log, np.argsort(-out)[:40], np.arange(0, log.rows, 100))}


def _numbers(case: Case) -> list[str]:
    """The numbers that the model reads."""
    names = set(case["model"].features.columns)
    return [column.name for column in case["parts"].holdout.schema.columns
            if column.kind == "number" and column.name in names]


def _drawn(rows: int, share: float) -> Mask:
    return np.asarray(np.random.default_rng(0).random(rows) < share)


def _high(case: Case, rows: Table, share: float) -> Table:
    for name in _numbers(case)[1:]:
        values = rows.numbers(name)
        high = float(np.nanquantile(values, 0.97, method="nearest"))
        rows = rows.with_column(name, np.where(_drawn(rows.rows, share), high, values))
    return rows


def _verdicts(log: Table, strange: Ints, fine: Ints) -> Table:
    ids = log.words("prediction_id")
    fine = np.setdiff1d(fine, strange)
    return Table.of({"prediction_id": pa.array([*ids[strange], *ids[fine]]),
                     "verdict": pa.array(["strange"] * len(strange) + ["fine"] * len(fine))}, name="confirmed")
