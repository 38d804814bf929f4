"""Faults in requirements, value, the holdout book and the meter, and their clean twins."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from shipworthy.core.learned import Gain, Learned, Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Requirement, Value
from shipworthy.core.table import Table
from shipworthy.errors import BadData
from shipworthy.marks import sabotage, twin
from shipworthy.metrics.classification import auc

Case = dict[str, Any]
LEAST = 100
POLICY, STAKE = "decided_before", "stake"


@sabotage("target permuted in one segment", check="requirements")
def one_segment(case: Case) -> Case:
    """In the largest value of a column the labels belong to other rows; the limit is well under the whole AUC."""
    model, parts = case["model"], case["parts"]
    _two_classes(model)
    rows: Table = parts.holdout
    names = [column.name for column in rows.schema.features if column.kind == "category"]
    counts = {(name, word): count for name in names for word, count in Counter(rows.words(name)).items()
              if word is not None and LEAST <= count <= rows.rows // 2}
    if not counts:
        raise BadData("no category has a value with enough rows", where="the holdout",
                      hint="this fault needs a column of categories")
    name, word = max(counts, key=lambda one: counts[one])
    inside = np.flatnonzero(rows.words(name) == word)
    order = np.arange(rows.rows)
    order[inside] = np.random.default_rng(0).permutation(inside)
    wrong = rows.with_column(model.sheet.target, rows.column(model.sheet.target).take(pa.array(order)))
    limit = auc(model.truth(rows), model.score(rows)) - 0.1
    wanted = Requirement("auc", at_least=round(limit, 3), segment={name: "*"})
    return {**case, "parts": replace(parts, holdout=wrong), "project": _with(case, requirement=(wanted,))}


@sabotage("today's policy decides better", check="value-above-policy")
def better_before(case: Case) -> Case:
    """Whoever decided until now made 19 of 20 decisions right."""
    return _with_policy(case, right=0.95)


@twin("value-above-policy")
def lot_before(case: Case, seed: int) -> Case:
    """Until now a lot decided, as often as answers are so."""
    return _with_policy(case, right=0.0, seed=seed)


@sabotage("the losses lie where the model errs", check="value-above-nothing")
def large_losses(case: Case) -> Case:
    """What a false alarm costs stands in a column, and is 100 times as much where the model raises one."""
    model, parts = case["model"], case["parts"]
    _two_classes(model)
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
    """The holdout with a column of decisions: such a share of them is the truth, the others that of other rows."""
    model, parts, value = case["model"], case["parts"], case["project"].value
    if value is None:
        raise BadData("no value table is declared", where="[value]", hint="this fault needs one")
    random, truth = np.random.default_rng(seed), parts.holdout.column(model.sheet.target)
    order = np.arange(parts.holdout.rows)
    order = np.where(random.random(len(order)) < right, order, random.permutation(len(order)))
    holdout = parts.holdout.with_column(POLICY, truth.take(pa.array(order)), role="ignored")
    value = msgspec.structs.replace(value, policy=POLICY)
    return {**case, "parts": replace(parts, holdout=holdout), "project": _with(case, value=value)}


def _two_classes(model: Model) -> None:
    if model.task != "binary":
        raise BadData(f"a {model.task} model has no two classes", where="the model", hint="the fault needs them")


def _staked(rows: Table, model: Model) -> Table:
    """The rows with what a false alarm costs on each."""
    alarm = (model.score(rows) >= model.sheet.threshold) & (np.asarray(model.truth(rows)) == 0)
    return rows.with_column(STAKE, pa.array(np.where(alarm, 400.0, 4.0)), role="ignored")
