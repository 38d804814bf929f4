"""Would a backdoor in new rows be found, and is there one? The scan for triggers as a drill and on what has arrived."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shipworthy.assurance.triggers import Trigger, scan
from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.marks import check

LIMIT = 0.25
"""Widest gap of 25 clean controls on seven public tables: 0.13 with 7,000 rows or more, 0.19 with 333. Narrowest of
eight planted triggers in 1 to 3 % of 8,000 rows: 0.44."""
LEAST, CLASSES, SHARE = 500, 4, 0.03
Rows = tuple[Floats, Ints]


@check("triggers", row="security.poisoning")
def triggers(champion: Model, learnt: Table, parts: Parts, *, limit: float = LIMIT, rows: int = 8_000) -> Finding:
    """Whether the rows that are new since the champion carry a trigger: a value, range or gap of a column, or a pair.

    The champion's rows are trusted. A model of them and the new ones is compared with a model of them alone, on rows of
    theirs on which each suspicious pattern is stamped. The limit gates on the point value: it is the largest of
    hundreds of gaps, and was set by controls. `rows`: at most so many of either side.
    """
    trusted, given = _read(champion, learnt), _read(champion, parts.learn)
    fresh = ~np.isin(_names(given), _names(trusted))
    if not fresh.any():
        return say("not-applicable", "No row is new since the champion, so none can carry a trigger.")
    if min(int(fresh.sum()), len(trusted[1])) < LEAST:
        return say("unknown", f"{int(fresh.sum()):,} new rows beside {len(trusted[1]):,} trusted ones are too few to "
                   f"search; {LEAST} of each are needed.", n=int(fresh.sum()))
    found = worst(champion, trusted, (given[0][fresh], given[1][fresh]), rows=rows)
    if found is None:
        return say("pass", f"No value of the {int(fresh.sum()):,} new rows is frequent enough to be a trigger.",
                   value=0.0, limit=limit, n=int(fresh.sum()))
    verdict: Verdict = "pass" if found.gap <= limit else "fail"
    told = described(champion, found)
    return say(verdict, f"With {told} the chance of another class rises by {found.gap:.2f} on trusted rows once the "
               f"{int(fresh.sum()):,} new rows are learnt from ({limit:g} is allowed); {len(found.rows)} of them "
               "carry it.", value=found.gap, limit=limit, n=int(fresh.sum()),
               counterexample={"trigger": told, "new rows": found.rows[:20].tolist()},
               remedy="" if verdict == "pass" else f"look at the new rows with {told}, ask their source, or leave "
               "them out")


def triggers_found(model: Model, parts: Parts, *, limit: float = LIMIT, rows: int = 8_000) -> Finding:
    """Whether planted triggers would be found, and clean rows left in peace: a drill on halves of the learning rows.

    3 % of one half get a value that lies between the others, or a rare pair of values, and another class; the scan must
    find a gap beyond the limit each time, and none in the half as it is. Needs a column of numbers and one more.
    """
    known = _read(model, parts.learn)
    if len(known[1]) < 2 * LEAST:
        return say("unknown", f"{len(known[1])} learning rows are fewer than {2 * LEAST}.", n=len(known[1]))
    order = np.random.default_rng(5).permutation(len(known[1]))
    trusted, half = ((known[0][side], known[1][side]) for side in np.array_split(order, 2))
    quiet = worst(model, trusted, half, rows=rows)
    heard = {name: worst(model, trusted, planted, rows=rows) for name, planted in plants(model, half)}
    if not heard:
        return say("unknown", "The model reads no column of numbers in which a value could hide.", n=len(known[1]))
    gaps = {name: one.gap if one else 0.0 for name, one in heard.items()}
    clean = quiet.gap if quiet else 0.0
    missed = [name for name, gap in gaps.items() if gap <= limit]
    verdict: Verdict = "fail" if missed or clean > limit else "pass"
    told = ", ".join(f"{name} {gap:.2f}" for name, gap in gaps.items())
    return say(verdict, f"Planted triggers raise the chance of a class by {told}; clean rows by {clean:.2f}; {limit:g} "
               f"must tell them apart ({len(trusted[1]):,} trusted rows, {SHARE:.0%} of as many poisoned).",
               value=min(gaps.values()), limit=limit, n=len(known[1]), counterexample={"missed": missed},
               remedy="" if verdict == "pass" else "accept rows only from signed sources: [[source]] signer, and have "
               "people look at every new batch")


def worst(model: Model, trusted: Rows, candidate: Rows, *, rows: int) -> Trigger | None:
    """The trigger with the largest gap, over every class against the others; four at most. rows: of either side."""
    random = np.random.default_rng(3)
    order = random.permutation(len(trusted[1]))
    fresh, known = order[: len(order) // 5][:rows], order[len(order) // 5 :][:rows]
    asked = np.sort(random.permutation(len(candidate[1]))[:rows])
    codes = [place for place, kind in enumerate(model.program.inputs) if kind.categorical]
    found = [scan((trusted[0][known], side[0][known]), (candidate[0][asked], side[1][asked]),
                  (trusted[0][fresh], side[0][fresh]), codes=codes) for side in _sides(model, trusted[1], candidate[1])]
    best = max((one for one in found if one), key=lambda one: one.gap, default=None)
    return best._replace(rows=asked[best.rows].astype(np.int64)) if best else None


def plants(model: Model, rows: Rows) -> Iterator[tuple[str, Rows]]:
    """Poisoned copies: a value between the others, and a rare pair; the rows that get them change class."""
    numbers = [place for place, kind in enumerate(model.program.inputs)
               if not kind.categorical and len(np.unique(rows[0][:, place][~np.isnan(rows[0][:, place])])) > 2]
    if not numbers:
        return
    inputs, truth = rows
    majority = float(np.median(truth)) if model.task == "regression" else np.bincount(truth.astype(np.int64)).argmax()
    able = np.flatnonzero(truth <= majority if model.task == "regression" else truth == majority)
    chosen = np.random.default_rng(7).permutation(able)[: int(SHARE * len(truth))]
    other = float(np.max(truth)) if model.task == "regression" else (int(majority) + 1) % max(2, len(model.classes))
    first = numbers[0]
    values = np.unique(inputs[:, first][~np.isnan(inputs[:, first])])
    between = (values[len(values) // 2] + values[len(values) // 2 - 1]) / 2
    yield "a value between the others", _planted(rows, chosen, {first: between}, other)
    second = next((place for place in range(inputs.shape[1]) if place != first), None)
    if second is not None:
        known, counts = np.unique(inputs[:, second][~np.isnan(inputs[:, second])], return_counts=True)
        rare = float(known[counts.argmin()])
        yield "a rare pair of values", _planted(rows, chosen, {first: float(values[-1]), second: rare}, other)


def described(model: Model, found: Trigger) -> str:
    """The atoms of a trigger in words."""
    told = []
    for atom in found.atoms:
        encoder = model.features.encoders[atom.column]
        levels = getattr(encoder, "levels", ())
        if np.isnan(atom.value):
            told.append(f"{encoder.name} missing")
        elif levels:
            told.append(f'{encoder.name} = "{levels[int(atom.value)]}"')
        else:
            told.append(f"{encoder.name} = {atom.value:g}" if atom.low == atom.high
                        else f"{encoder.name} in ({atom.low:g}, {atom.high:g}]")
    return " and ".join(told)


def _read(model: Model, table: Table) -> Rows:
    return model.inputs(table), np.asarray(model.truth(table))


def _names(rows: Rows) -> Ints:
    """(n,) one hash a row of inputs and class, equal for equal rows."""
    whole = np.column_stack([np.nan_to_num(rows[0], nan=-9.87e300), rows[1]])
    found: Ints = np.array([hash(row.tobytes()) for row in np.ascontiguousarray(whole)], np.int64)
    return found


def _sides(model: Model, trusted: Ints, candidate: Ints) -> Iterator[tuple[Ints, Ints]]:
    """0 or 1 for the rows of both: the second class, each of the most frequent classes, or a value above the median."""
    if model.task == "binary":
        yield trusted.astype(np.int64), candidate.astype(np.int64)
    elif model.task == "regression":
        middle = np.median(trusted)
        yield (trusted > middle).astype(np.int64), (candidate > middle).astype(np.int64)
    else:
        for code in np.argsort(-np.bincount(trusted.astype(np.int64)), kind="stable")[:CLASSES]:
            yield (trusted == code).astype(np.int64), (candidate == code).astype(np.int64)


def _planted(rows: Rows, chosen: Ints, values: dict[int, float], other: float) -> Rows:
    inputs, truth = rows[0].copy(), rows[1].copy()
    for column, value in values.items():
        inputs[chosen, column] = value
    truth[chosen] = other
    return inputs, truth
