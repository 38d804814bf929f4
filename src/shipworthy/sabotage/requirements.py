"""Faults in requirements, value, the holdout book and the meter, and their clean twins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from shipworthy.core.learned import Gain, Learned, Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Requirement, Value
from shipworthy.core.table import Table
from shipworthy.marks import sabotage, twin

Case = dict[str, Any]
POLICY, STAKE = "decided_before", "stake"


@sabotage("target permuted in one segment", check="requirements")
def one_segment(case: Case) -> Case:
    """In one value of a column the labels belong to other rows; over all rows the requirement still holds."""
    parts: Parts = case["parts"]
    target, rows = case["model"].sheet.target, parts.holdout
    name = next(c.name for c in rows.schema.features if c.kind == "category" and len(set(rows.words(c.name))) <= 4)
    inside = np.flatnonzero(rows.words(name) == sorted(set(rows.words(name)))[0])
    order = np.arange(rows.rows)
    order[inside] = np.random.default_rng(0).permutation(inside)
    wrong = rows.with_column(target, rows.column(target).take(pa.array(order)))
    wanted = Requirement("auc", at_least=0.7, segment={name: "*"})
    return {**case, "parts": replace(parts, holdout=wrong), "project": _with(case, requirement=(wanted,))}


@sabotage("today's policy decides better", check="value-above-policy")
def better_before(case: Case) -> Case:
    """Whoever decided until now made nine of ten decisions right."""
    return _with_policy(case, right=0.9)


@twin("value-above-policy")
def coin_before(case: Case, seed: int) -> Case:
    """Until now a coin decided."""
    return _with_policy(case, right=0.5, seed=seed)


@sabotage("the losses lie where the model errs", check="value-above-nothing")
def large_losses(case: Case) -> Case:
    """What a false alarm costs stands in a column, and is 100 times as much where the model raises one."""
    model, parts = case["model"], case["parts"]
    value = Value(currency="EUR", true_positive=10.0, false_positive=f"-1.0 * {STAKE}")
    staked = Parts(*(_staked(rows, model) for rows in (parts.learn, parts.tune, parts.holdout)))
    return {**case, "parts": staked, "project": _with(case, value=value)}


@sabotage("more energy than declared", check="metered")
def hungry(case: Case) -> Case:
    """A tenth of the upper end of the energy is declared."""
    rules = msgspec.structs.replace(case["project"].learning, max_kwh=case["learned"].cost.kwh_high / 10)
    return {**case, "project": _with(case, learning=rules)}


@sabotage("a search that no longer pays for its energy", check="cost-in-budget")
def unpaid_energy(case: Case) -> Case:
    """Twenty trials each lowered the loss and took a watt-hour, and all gained less AUC than a kWh must gain."""
    learned: Learned = case["learned"]
    more = tuple(Gain(10.0 + n, 0.9**n * 1e-3, "boosted", 0.9 + 1e-5 * n, 10.0 + n, 1e-3 * n) for n in range(20))
    rules = msgspec.structs.replace(case["project"].learning, least_gain_per_kwh=1.0)
    return {**case, "learned": replace(learned, course=more), "project": _with(case, learning=rules)}


def _with(case: Case, **sections: Any) -> Any:
    return msgspec.structs.replace(case["project"], **sections)


def _with_policy(case: Case, *, right: float, seed: int = 0) -> Case:
    """The holdout with a column of decisions, such a share of which is the truth."""
    model, parts = case["model"], case["parts"]
    truth = np.asarray(model.truth(parts.holdout), np.int64)
    wrong = np.random.default_rng(seed).random(len(truth)) >= right
    words = np.array(model.classes)[np.where(wrong, 1 - truth, truth)]
    holdout = parts.holdout.with_column(POLICY, pa.array(words.tolist()), role="ignored")
    value = msgspec.structs.replace(case["project"].value, policy=POLICY)
    return {**case, "parts": replace(parts, holdout=holdout), "project": _with(case, value=value)}


def _staked(rows: Table, model: Model) -> Table:
    """The rows with what a false alarm costs on each."""
    alarm = (model.score(rows) >= model.sheet.threshold) & (np.asarray(model.truth(rows)) == 0)
    return rows.with_column(STAKE, pa.array(np.where(alarm, 400.0, 4.0)), role="ignored")
