"""Can the labels be believed: how many were, at the most, flipped at random?"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec.structs import replace

from shipworthy.core.evidence import Finding, held, say
from shipworthy.core.table import Ints, Table
from shipworthy.data.augmentation.label_noise import codes_of_labels, expected, surprise
from shipworthy.data.augmentation.noise_rate import Floor, floor
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson

ROWS = 12_000
LEAST = 300
SMALL, FOLDS, MANY = 6_000, 3, 10
WILD = 8.0
SHOWN = 12


@check("label-noise", row="data.labelling")
def label_noise(table: Table, *, limit: float = 0.1) -> Finding:
    """Share of labels flipped at random, at the most: the disagreement that remains among the rows of which a model
    that did not see them is surest. Up to 12,000 rows; a small table is folded ten times, for the model is surer, and
    the bound closer, the more rows it learnt from.

    A regression: the share of values more than 8 times further from the expected than rows like them are.
    """
    target = table.schema.one("target")
    if target is None:
        return say("unknown", "The table has no target column.", remedy="name it in [data] target")
    known = np.flatnonzero(np.asarray(table.data[target.name].is_valid().to_numpy(), np.bool_))
    if len(known) < LEAST or len(table.take(known).data[target.name].unique()) < 2:
        return say("unknown", f"{len(known)} labelled rows are too few to judge; {LEAST} of two classes are needed.",
                   n=len(known))
    if len(known) > ROWS:
        known = known[np.sort(np.random.default_rng(0).choice(len(known), ROWS, replace=False))]
    sample = table.take(known)
    if target.kind == "number" and len(sample.data[target.name].unique()) > 20:
        return _values(sample, target.name, limit, known)
    codes, names = codes_of_labels(sample, target.name)
    each = expected(sample, target.name, codes, len(names), folds=MANY if sample.rows <= SMALL else FOLDS)
    found = floor(codes, each)
    if found is None:
        return say("unknown", f"{sample.rows} rows are too few to find 50 of which a model is sure.", n=sample.rows,
                   remedy="label more rows")
    finding = _verdict(found, names, limit, sample.rows)
    if finding.verdict == "pass":
        return finding
    given, doubt = each[np.arange(len(codes)), codes], each.max(axis=1) - each[np.arange(len(codes)), codes]
    first = np.argsort(-doubt, kind="stable")[:SHOWN]
    first = first[doubt[first] > 0]
    return replace(finding, counterexample={
        **_places(sample, first, known), "given": [names[code] for code in codes[first]],
        "expected": [names[code] for code in each[first].argmax(axis=1)],
        "probability of the given": [round(float(one), 4) for one in given[first]]})


def _places(sample: Table, first: Ints, known: Ints) -> dict[str, Any]:
    """Where the most suspicious rows stand, and their identifiers if the table has any."""
    listed = [column.name for column in sample.schema.columns if column.role == "identifier"]
    return {"most suspicious": f"{len(first)} rows, by position in the cleaned table, from 0",
            "row": known[first].tolist(), **{name: [str(one) for one in sample.words(name)[first]] for name in listed}}


def _verdict(found: Floor, names: tuple[str, ...], limit: float, rows: int) -> Finding:
    facts = {"value": found.share, "low": found.low, "high": found.high, "limit": limit, "n": rows}
    where = (f"among the {found.rows:,} rows (of {rows:,}) most surely {names[found.code]!r}, {found.share:.1%} are "
             "labelled otherwise")
    if found.high <= limit:
        return say("pass", f"At the most {found.high:.1%} of labels are flipped at random ({limit:.0%} "
                   f"is allowed): {where}.", **facts)
    if found.low > limit:
        return say("fail", f"More than {found.low:.1%} of the surest labels disagree ({limit:.0%} "
                   f"is allowed): {where}.",
                   remedy="review the most suspicious labels first: shipworthy checklist data.labelling", **facts)
    return say("unknown", f"Between {found.low:.1%} and {found.high:.1%} of labels may be flipped at random "
               f"({limit:.0%} is allowed): {where}.",
               remedy="label more rows, or have a sample of labels checked by a second person", **facts)


def _values(sample: Table, target: str, limit: float, known: Ints) -> Finding:
    times = surprise(sample, target, 0)
    first = np.argsort(-times, kind="stable")[:SHOWN]
    wild = int((times > WILD).sum())
    low, high = clopper_pearson(wild, sample.rows)
    verdict = held(wild / sample.rows, limit=limit, high=high, at_most=True)
    return say(verdict, f"{wild:,} of {sample.rows:,} values of {target} lie more than {WILD:g} times further from the "
               f"expected than rows like them, at the most {high:.1%} ({limit:.0%} is allowed).",
               value=wild / sample.rows, low=low, high=high, limit=limit, n=sample.rows,
               counterexample={} if verdict == "pass" else {
                   **_places(sample, first, known), "given": sample.numbers(target)[first].tolist(),
                   "times further than usual": [round(float(one), 1) for one in times[first]]},
               remedy="" if verdict == "pass" else "review those values first: shipworthy checklist data.labelling")
