"""What decisions earn: the value table of the project applied to rows."""

from __future__ import annotations

import msgspec
import numpy as np

from shipworthy.core.model import Model
from shipworthy.core.project import Value
from shipworthy.core.table import Floats, Ints

COSTS = ("true_positive", "false_positive", "false_negative", "true_negative", "per_unit_under", "per_unit_over")


def decide(model: Model, score: Floats, *, threshold: float | None = None, capacity: float = 1.0) -> Floats | Ints:
    """What is decided for every row, (n,): a class code, or the value itself for a regression.

    threshold: in place of the model's own, for two classes. capacity: share of rows that may be decided for the
    second class; the highest scores go first.
    """
    if model.task == "regression":
        return score
    if model.task == "multiclass":
        return model.decide(score)
    chosen = score >= (model.sheet.threshold if threshold is None else threshold)
    places = int(np.floor(capacity * len(score) + 1e-9))
    if chosen.sum() > places:
        first = np.argsort(-score, kind="stable")[:places]
        kept = np.zeros(len(score), np.bool_)
        kept[first] = True
        chosen = chosen & kept
    return chosen.astype(np.int64)


def worth(value: Value, model: Model, truth: Floats | Ints, decision: Floats | Ints) -> Floats:
    """What each decision earns, (n,) in the project's currency; costs are negative.

    Two classes: the cell of the value table. More: true_positive for a right decision, false_positive for a wrong
    one. Regression: minus the cost of every unit too low or too high.
    """
    if model.task == "regression":
        off = np.asarray(decision, np.float64) - truth
        return -np.where(off < 0, abs(value.per_unit_under) * -off, abs(value.per_unit_over) * off)
    if model.task == "multiclass":
        return np.where(truth == decision, value.true_positive, value.false_positive)
    cells = np.array([[value.true_negative, value.false_positive], [value.false_negative, value.true_positive]])
    return np.asarray(cells[np.asarray(truth, np.int64), np.asarray(decision, np.int64)], np.float64)


def nothing(model: Model, truth: Floats | Ints, seen: Floats | Ints) -> Floats | Ints:
    """The decision without a model, (n,): the first class of two, the most frequent of more, the median seen.

    truth: gives the length. seen: labels of the learning rows.
    """
    if model.task == "regression":
        return np.full(len(truth), float(np.median(seen)))
    if model.task == "binary":
        return np.zeros(len(truth), np.int64)
    return np.full(len(truth), int(np.bincount(np.asarray(seen, np.int64)).argmax()))


def best_threshold(value: Value, truth: Ints, score: Floats) -> float:
    """The cut on the score that would have earned most on these rows of two classes; ties go to the highest cut.

    A cut is at or below a score; 2.0 decides for nobody. Capacity is not considered.
    """
    order = np.argsort(-score, kind="stable")
    ordered = np.asarray(truth, np.int64)[order]
    gain = np.where(ordered == 1, value.true_positive - value.false_negative,
                    value.false_positive - value.true_negative)
    total = np.concatenate([[0.0], np.cumsum(gain)])
    sorted_score = score[order]
    usable = np.concatenate([[True], np.append(sorted_score[1:] != sorted_score[:-1], True)]) if len(score) else [True]
    best = int(np.argmax(np.where(usable, total, -np.inf)))
    return 2.0 if best == 0 else float(sorted_score[best - 1])


def moved(value: Value, name: str, factor: float) -> Value:
    """The value table with one amount multiplied."""
    return msgspec.structs.replace(value, **{name: getattr(value, name) * factor})


def declared(value: Value | None) -> bool:
    """Whether any amount is given; a table of zeros says nothing."""
    return value is not None and any(getattr(value, name) != 0 for name in COSTS)
