"""The rules that any model must beat: always the prior, one split of one input, and the last answer known."""

from __future__ import annotations

import numpy as np

from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.rows import groups
from shipworthy.core.table import Floats, Ints, Mask, Table

LAST = "the last answer"
CUTS = 15
LEAST = 20


def trivial(model: Model, inputs: Floats, truth: Floats | Ints, asked: Floats) -> dict[str, Floats]:
    """Scores of the trivial rules for the rows asked, by name of the rule.

    inputs (n, d), truth (n,): learning rows. asked: (m, d). The stump takes the input and cut of least loss among
    15 quantiles or the levels of every input; a missing value goes with the larger numbers.
    """
    whole = np.ones(len(asked), np.bool_)
    found = {"always the prior": _filled(model, [(whole, _mean(model, truth))])}
    best = (np.inf, -1, np.nan)
    for place in range(inputs.shape[1]):
        column = inputs[:, place]
        for cut in _cuts(column, model.program.inputs[place].categorical):
            side = _side(column, cut, model.program.inputs[place].categorical)
            if min(side.sum(), (~side).sum()) < LEAST:
                continue
            loss = _rest(model, truth[side]) + _rest(model, truth[~side])
            best = min(best, (loss, place, cut))
    if best[1] >= 0:
        place, cut = best[1], best[2]
        categorical = model.program.inputs[place].categorical
        side, there = _side(inputs[:, place], cut, categorical), _side(asked[:, place], cut, categorical)
        name = f"one split on {model.program.inputs[place].name}"
        found[name] = _filled(model, [(there, _mean(model, truth[side])), (~there, _mean(model, truth[~side]))])
    return found


def last_value(model: Model, parts: Parts, *, delay_seconds: float) -> dict[str, Floats]:
    """Scores of the holdout by the last answer known, under the name of the rule; empty without times.

    The last answer is that of the newest row that is older by more than the delay, of the same group where the schema
    names one. A class scores as it followed that answer in the learning rows; a row without one gets the prior.
    Source: Žliobaitė et al. (2015), "Evaluation methods and decision theory for classification of streaming data".
    """
    column = parts.holdout.schema.one("time")
    if column is None:
        return {}
    tables = (parts.learn, parts.tune, parts.holdout)
    times = np.concatenate([rows.numbers(column.name) for rows in tables])
    truth = np.concatenate([model.truth(rows) for rows in tables])
    place = np.repeat([0, 1, 2], [rows.rows for rows in tables])
    before = _before(times, _codes(tables), delay_seconds)
    prior, learnt = _mean(model, truth[place == 0]), (place == 0) & (before >= 0)
    asked = place == 2
    last, known = truth[np.maximum(before, 0)][asked], before[asked] >= 0
    if model.task == "regression":
        return {LAST: np.where(known, last, prior[0])}
    followed = np.stack([_mean(model, truth[learnt & (truth[np.maximum(before, 0)] == code)])
                         for code in range(len(model.classes))])
    score = np.where(known[:, None], followed[np.asarray(last, np.int64)], prior)
    return {LAST: score if model.task == "multiclass" else score[:, 1]}


def _before(times: Floats, codes: Ints, delay: float) -> Ints:
    """(n,) the newest row of the same code that is older by more than the delay; −1 where there is none."""
    start = np.nan_to_num(times - np.nanmin(times))
    wide = float(start.max()) + delay + 1.0
    key = codes * 2 * wide + start + wide
    order = np.argsort(key, kind="stable")
    found = np.searchsorted(key[order], key - delay, side="left") - 1
    row = order[np.maximum(found, 0)]
    return np.where((found >= 0) & (codes[row] == codes), row, -1).astype(np.int64)


def _codes(tables: tuple[Table, ...]) -> Ints:
    """(n,) the group of every row of these tables, in order, as a number; nought without groups."""
    each = [groups(rows) for rows in tables]
    if any(one is None for one in each):
        return np.zeros(sum(rows.rows for rows in tables), np.int64)
    return np.asarray(np.unique(np.concatenate([one for one in each if one is not None]), return_inverse=True)[1],
                      np.int64)


def _cuts(column: Floats, categorical: bool) -> Floats:
    known = column[np.isfinite(column)]
    if categorical:
        return np.unique(known)
    return np.unique(np.quantile(known, np.linspace(0, 1, CUTS + 2)[1:-1])) if known.size else np.zeros(0)


def _side(column: Floats, cut: float, categorical: bool) -> Mask:
    return np.asarray(column == cut if categorical else column <= cut)


def _mean(model: Model, truth: Floats | Ints) -> Floats:
    if model.task == "regression":
        return np.array([float(np.mean(truth))])
    count = np.bincount(np.asarray(truth, np.int64), minlength=len(model.classes))
    return np.asarray((count + 0.5) / (count.sum() + 0.5 * len(count)), np.float64)


def _rest(model: Model, truth: Floats | Ints) -> float:
    if model.task == "regression":
        return float(np.var(truth) * len(truth))
    share = _mean(model, truth)
    count = np.bincount(np.asarray(truth, np.int64), minlength=len(share))
    return float(-(count * np.log(share)).sum())


def _filled(model: Model, parts: list[tuple[Mask, Floats]]) -> Floats:
    out = np.empty((len(parts[0][0]), len(parts[0][1])))
    for mask, value in parts:
        out[mask] = value
    if model.task == "multiclass":
        return out
    return out[:, 1] if model.task == "binary" else out[:, 0]
