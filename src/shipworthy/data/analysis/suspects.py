"""Leakage suspects: columns that may hold the answer, found without being told.

Four voters: strength alone (a near-copy, or far beyond every other column), values known only when the target is
known, columns that add up to the target, and names of things that happen afterwards. A name alone accuses nobody.
Leakage as in Kaufman, Rosset and Perlich (2012), "Leakage in data mining: formulation, detection, and avoidance".
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.found import Suspect
from shipworthy.core.schema import task_of
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.data.analysis.strength import codes_of, skill, strength
from shipworthy.data.collection.containment import words_of
from shipworthy.metrics.classification import auc

COPY = 0.95
STRONG = 0.5
BEYOND = {False: 2.0, True: 3.0}
BEYOND_NAMED = 1.4
STRONG_NAMED = 0.4
WEAK_NAMED = 0.2
LEAST = 20
REMAINDER, REMAINDER_ROWS = 0.98, 1_000
AFTER = frozenset(["duration", "paid", "repaid", "recovered", "recovery", "settled", "settlement", "collected",
                   "collection", "refund", "refunded", "chargeback", "arr", "arrival", "actual", "outcome", "result",
                   "resolved", "resolution", "closed", "cancelled", "canceled", "discharge", "discharged", "death",
                   "final", "pred", "predicted", "prediction", "label", "score", "won", "lost", "churned", "default",
                   "defaulted", "late", "delay", "grade", "subgrade", "claims", "claim", "payout", "penalty"])


@dataclass(frozen=True)
class Asked:
    """What is judged: the target of the rows where it is known, and the strength of every column alone."""

    truth: Floats
    classes: int
    skills: dict[str, float]


def suspects(sample: Table, target: str, nulls: Table | None = None) -> tuple[Suspect, ...]:
    """The columns that may hold the answer, strongest first. sample: rows of the table, whole.

    nulls: more rows in which the target is unknown, when the sample holds too few.
    """
    known = np.asarray(sample.data[target].is_valid().to_numpy(), np.bool_)
    if known.sum() < 2 * LEAST:
        return ()
    rows = sample.take(known)
    truth, classes = truth_of(rows, target)
    if classes == 1 or not np.ptp(truth):
        return ()
    names = [column.name for column in sample.schema.columns if column.name != target]
    skills = {name: max(skill(strength(codes_of(rows.data[name]), truth, classes), classes),
                        _in_order(rows, name, truth) if classes == 2 else 0.0) for name in names}
    asked = Asked(truth, classes, {name: value for name, value in skills.items() if value == value})
    absent = sample.take(~known) if nulls is None else nulls
    found: dict[str, Suspect] = {}
    for voter in (
        _copies(asked),
        _sums(asked, rows, target),
        _afterwards(asked, rows, absent),
    ):
        for suspect in voter:
            found.setdefault(suspect.column, suspect)
    for suspect in _beyond(asked, set(found)):
        found.setdefault(suspect.column, suspect)
    for suspect in (*_family(asked, found), *_counters(asked, rows)):
        found.setdefault(suspect.column, suspect)
    for suspect in _remainders(asked, rows, found):
        found.setdefault(suspect.column, suspect)
    return tuple(sorted(found.values(), key=lambda each: (-each.strength, each.column)))


def _in_order(rows: Table, name: str, truth: Floats) -> float:
    """Skill of a number's own order, where that is nearly certain; else 0. Bins do not see a cut within one."""
    if rows.schema[name].kind not in ("number", "timestamp") or pa.types.is_string(rows.data[name].type):
        return 0.0
    numbers = rows.numbers(name)
    found = max(abs(2 * auc(truth, np.where(np.isnan(numbers), end, numbers)) - 1) for end in (-np.inf, np.inf))
    return found if found >= COPY else 0.0


def truth_of(rows: Table, target: str) -> tuple[Floats, int]:
    """The target as codes with their number of classes, or as values with 0; at most 254 classes."""
    if task_of(rows.schema[target], pc.count_distinct(rows.data[target]).as_py()) == "regression":
        numbers = rows.numbers(target)
        return np.where(np.isfinite(numbers), numbers, np.nanmedian(numbers)), 0
    _, codes = np.unique(rows.words(target).astype(str), return_inverse=True)
    return codes.astype(np.float64), int(codes.max()) + 1


def named_after(name: str) -> bool:
    """Whether a name says that the thing happens after the answer is known."""
    return bool(AFTER & set(words_of(name)))


def _copies(asked: Asked) -> list[Suspect]:
    return [Suspect(name, "near-copy", _strength(value, asked), f"alone it has {_figure(value, asked)}")
            for name, value in asked.skills.items() if value >= COPY]


def _beyond(asked: Asked, taken: set[str]) -> list[Suspect]:
    """Columns far beyond every other, taken off one by one from the top; a telling name lowers the bar."""
    left = sorted(((value, name) for name, value in asked.skills.items() if name not in taken), reverse=True)
    found = []
    while len(left) > 1:
        (value, name), (next_value, next_name) = left[0], left[1]
        ratio = (1 - next_value) / max(1 - value, 1e-9)
        named = named_after(name)
        if not (
            (value >= STRONG and ratio >= BEYOND[asked.classes == 0])
            or (
                named
                and (
                    (value >= STRONG_NAMED and ratio >= BEYOND_NAMED)
                    or (value >= WEAK_NAMED and value >= 1.5 * next_value and len(left) >= 3)
                )
            )
        ):
            break
        proof = f"alone it has {_figure(value, asked)}; the next column, {next_name}, has {_figure(next_value, asked)}"
        found.append(Suspect(name, "after-the-fact" if named else "too-good", _strength(value, asked), proof))
        left.pop(0)
    return found


def _afterwards(asked: Asked, rows: Table, absent: Table) -> list[Suspect]:
    found = []
    for name, value in asked.skills.items():
        gone = np.asarray(rows.data[name].is_null().to_numpy(), np.bool_)
        proof = _with_target(gone, absent, name) or _tells(gone, asked)
        if proof:
            found.append(Suspect(name, "after-the-fact", _strength(value, asked), proof))
    return found


def _with_target(gone: Mask, absent: Table, name: str) -> str:
    """Known only when the target is known: missing in most rows without a target, in almost no other."""
    if absent.rows < LEAST or gone.mean() > 0.01:
        return ""
    share = absent.data[name].null_count / absent.rows
    if share < 0.5 or share < 50 * gone.mean():
        return ""
    return f"it is missing in {share:.0%} of the rows whose target is missing, and in {gone.mean():.2%} of the others"


def _tells(gone: Mask, asked: Asked) -> str:
    """Where it is missing, the answer is always the same, though elsewhere it is not."""
    rows = int(gone.sum())
    if asked.classes == 0 or rows < LEAST or rows > 0.5 * len(gone):
        return ""
    shares = np.bincount(asked.truth[gone].astype(np.int64), minlength=asked.classes) / rows
    base = np.bincount(asked.truth.astype(np.int64), minlength=asked.classes) / len(gone)
    top = int(shares.argmax())
    if shares[top] < 0.98 or base[top] > 0.8:
        return ""
    said = f"the answer is the same in {shares[top]:.1%}, against {base[top]:.1%} of all"
    return f"where it is missing ({rows:,} rows) {said}"


def _sums(asked: Asked, rows: Table, target: str) -> list[Suspect]:
    """Numbers that add up to the target: least squares explains all of it, and not without this column."""
    names = [column.name for column in rows.schema.columns if column.kind == "number" and column.name in asked.skills]
    names = [name for name in names if not rows.data[name].null_count][:60]
    if asked.classes or len(names) < 2 or rows.rows < 10 * len(names):
        return []
    inputs = np.stack([rows.numbers(name) for name in names], axis=1)
    inputs = (inputs - inputs.mean(axis=0)) / np.maximum(inputs.std(axis=0), 1e-12)
    truth = asked.truth - asked.truth.mean()
    if not np.isfinite(inputs).all() or _left(inputs, truth) > 1e-4:
        return []
    found = []
    for place, name in enumerate(names):
        if _left(np.delete(inputs, place, axis=1), truth) > 1e-3:
            found.append(Suspect(name, "near-copy", _strength(asked.skills[name], asked),
                                 f"with other columns it adds up to {target} exactly"))
    return found


def _left(inputs: Floats, truth: Floats) -> float:
    weights = np.linalg.lstsq(inputs, truth, rcond=None)[0]
    return float(np.mean((truth - inputs @ weights) ** 2) / max(float(np.mean(truth**2)), 1e-12))


def _family(asked: Asked, found: dict[str, Suspect]) -> list[Suspect]:
    """Columns that share the telling first word of a suspect: paid_total beside paid_interest."""
    heads = {words_of(name)[0]: name for name, each in found.items() if each.kind == "after-the-fact" and words_of(name)
             and words_of(name)[0] in AFTER and len(words_of(name)) > 1}
    return [Suspect(name, "after-the-fact", _strength(value, asked), "it is named like "
                    f"{heads[words_of(name)[0]]}, a suspect") for name, value in asked.skills.items()
            if name not in found and words_of(name) and words_of(name)[0] in heads]


def _remainders(asked: Asked, rows: Table, found: dict[str, Suspect]) -> list[Suspect]:
    """Numbers that are what another column leaves when a suspect is taken from it: they say the same once more."""
    names = [column.name for column in rows.schema.columns if column.kind == "number" and column.name in asked.skills]
    names, some = names[:60], rows.spread(REMAINDER_ROWS)
    values = {name: some.numbers(name) for name in names}
    said = []
    for taken in (name for name in names if name in found and found[name].kind == "after-the-fact"):
        for whole, left in permutations([name for name in names if name not in found], 2):
            moves = (values[taken] != 0) & (values[left] != 0) & np.isfinite(values[left])
            scale = 1e-3 * np.abs(values[whole][moves]).mean() if moves.any() else 0.0
            apart = np.abs(values[whole] - values[taken] - values[left])[moves]
            if moves.sum() >= LEAST and (apart <= scale).mean() >= REMAINDER:
                proof = f"it is {whole} less {taken}, a suspect, in {(apart <= scale).mean():.0%} of rows"
                said.append(Suspect(left, "after-the-fact", _strength(asked.skills[left], asked), proof))
    return said


def _counters(asked: Asked, rows: Table) -> list[Suspect]:
    """Row numbers that tell the answer: the file is in order of it, which no new row will be."""
    found = []
    for column in rows.schema.columns:
        value = asked.skills.get(column.name, 0.0)
        if column.kind != "number" or not column.integer or value < 0.2:
            continue
        steps = np.diff(rows.numbers(column.name))
        if len(steps) and bool(np.all(steps > 0)) and len(asked.skills) > 1:
            found.append(Suspect(column.name, "identifier", _strength(value, asked),
                                 f"it counts the rows, and alone it has {_figure(value, asked)}"))
    return found


def _strength(value: float, asked: Asked) -> float:
    return round(value if asked.classes == 0 else (value + 1) / 2, 4)


def _figure(value: float, asked: Asked) -> str:
    return f"{value:.0%} of the variance" if asked.classes == 0 else f"AUC {(value + 1) / 2:.3f}"


def near_copies(data: pa.Table, codes: dict[str, Ints]) -> tuple[tuple[str, str], ...]:
    """Pairs of columns that say the same: one value of one for every value of the other, in these rows."""
    seen: dict[bytes, str] = {}
    pairs = []
    for name, each in codes.items():
        if not len(each) or each.max() == each.min():
            continue
        key = _first_seen(each).tobytes()
        if key in seen:
            pairs.append((seen[key], name))
        else:
            seen[key] = name
    return tuple(pairs)


def _first_seen(codes: Ints) -> Ints:
    """(n,) the codes renumbered in the order of their first row."""
    first = np.full(int(codes.max()) + 1, len(codes), np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    found: Ints = rank[codes]
    return found
