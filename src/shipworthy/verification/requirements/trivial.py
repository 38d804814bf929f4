"""The rules that any model must beat: always the prior, and one split of one input."""

from __future__ import annotations

import numpy as np

from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Ints, Mask

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
