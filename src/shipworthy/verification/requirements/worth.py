"""What decisions earn: the value table of the project applied to rows."""

from __future__ import annotations

import numpy as np

from shipworthy.core.amounts import AMOUNTS, Amounts
from shipworthy.core.model import Model
from shipworthy.core.project import Value
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.errors import BadProject, one_of

YES, NO = ("1", "true", "yes"), ("0", "false", "no")


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


def worth(paid: Amounts, model: Model, truth: Floats | Ints, decision: Floats | Ints) -> Floats:
    """What each decision earns, (n,) in the project's currency; costs are negative.

    Two classes: the cell of the value table. More: true_positive for a right decision, false_positive for a wrong
    one. Regression: minus the cost of every unit too low or too high.
    """
    if model.task == "regression":
        off = np.asarray(decision, np.float64) - truth
        return -np.where(off < 0, np.abs(paid["per_unit_under"]) * -off, np.abs(paid["per_unit_over"]) * off)
    if model.task == "multiclass":
        return np.where(truth == decision, paid["true_positive"], paid["false_positive"])
    chosen = np.asarray(decision) == 1
    return np.where(np.asarray(truth) == 1, np.where(chosen, paid["true_positive"], paid["false_negative"]),
                    np.where(chosen, paid["false_positive"], paid["true_negative"]))


def nothing(value: Value, model: Model, rows: int, seen: Floats | Ints) -> Floats | Ints:
    """The decision without a model, (rows,): the declared one; else the first class of two, the most frequent of more,
    the median.

    seen: labels of the learning rows. Raises BadProject for a declared decision that is none.
    """
    if model.task == "regression":
        return np.full(rows, _number(value.nothing) if value.nothing else float(np.median(seen)))
    if value.nothing:
        if value.nothing not in model.classes:
            raise BadProject(f'nothing = "{value.nothing}" is no class', where="[value]",
                             hint=one_of(value.nothing, model.classes))
        return np.full(rows, model.classes.index(value.nothing))
    return np.full(rows, 0 if model.task == "binary" else int(np.bincount(np.asarray(seen, np.int64)).argmax()))


def today(value: Value, model: Model, rows: Table) -> Floats | Ints:
    """What the declared policy decided for every row, (n,): class codes, or numbers; −1 or NaN where it is not known.

    The column holds classes, yes and no or 1 and 0 for two classes, or numbers for a regression. Raises BadProject for
    a column that is not there or holds something else.
    """
    if value.policy not in rows.schema:
        raise BadProject(f'policy names a column "{value.policy}" that the table does not have', where="[value]",
                         hint=one_of(value.policy, rows.schema.names))
    if model.task == "regression":
        return rows.numbers(value.policy)
    words = rows.words(value.policy)
    codes = {name: place for place, name in enumerate(model.classes)}
    if model.task == "binary" and not {word for word in words if word is not None} <= codes.keys():
        codes = {**dict.fromkeys(NO, 0), **dict.fromkeys(YES, 1)}
        words = np.array([None if word is None else word.lower() for word in words], dtype=object)
    strange = sorted({word for word in words if word is not None and word not in codes})
    if strange:
        raise BadProject(f'the policy column "{value.policy}" holds "{strange[0]}", which is no decision',
                         where="[value] policy", hint=f"it should hold {', '.join(map(str, codes))}")
    return np.array([codes.get(word, -1) for word in words], np.int64)


def best_threshold(paid: Amounts, truth: Ints, score: Floats) -> float:
    """The cut on the score that would have earned most on these rows of two classes; ties go to the highest cut.

    A cut is at or below a score; 2.0 decides for nobody. No more are decided for than the capacity allows.
    """
    order = np.argsort(-score, kind="stable")
    gain = np.where(np.asarray(truth) == 1, np.subtract(paid["true_positive"], paid["false_negative"]),
                    np.subtract(paid["false_positive"], paid["true_negative"]))[order]
    total = np.concatenate([[0.0], np.cumsum(gain)])
    sorted_score = score[order]
    usable = np.concatenate([[True], np.append(sorted_score[1:] != sorted_score[:-1], True)]) if len(score) else [True]
    usable = np.asarray(usable) & (np.arange(len(total)) <= max(1, int(np.floor(paid.capacity * len(score) + 1e-9))))
    best = int(np.argmax(np.where(usable, total, -np.inf)))
    return 2.0 if best == 0 else float(sorted_score[best - 1])


def declared(value: Value | None) -> bool:
    """Whether any amount is given; a table of zeros says nothing."""
    return value is not None and any(getattr(value, name) for name in AMOUNTS)


def _number(written: str) -> float:
    try:
        return float(written)
    except ValueError as error:
        raise BadProject(f'nothing = "{written}" is no number', where="[value]",
                         hint="write the value that is assumed without a model") from error
