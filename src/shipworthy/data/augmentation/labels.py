"""Can the labels be believed: how many were, at the most, flipped at random?"""

from __future__ import annotations

import numpy as np

from shipworthy.core.evidence import Finding, held, say
from shipworthy.core.table import Table
from shipworthy.data.augmentation.label_noise import codes_of_labels, expected, surprise
from shipworthy.data.augmentation.noise_rate import Floor, floor
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson

ROWS = 12_000
LEAST = 300
SMALL, FOLDS, MANY = 6_000, 3, 10
WILD = 8.0


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
    known = table.take(np.asarray(table.data[target.name].is_valid().to_numpy(), np.bool_))
    if known.rows < LEAST or len(known.data[target.name].unique()) < 2:
        return say("unknown", f"{known.rows} labelled rows are too few to judge; {LEAST} of two classes are needed.",
                   n=known.rows)
    random = np.random.default_rng(0)
    sample = known if known.rows <= ROWS else known.take(np.sort(random.choice(known.rows, ROWS, replace=False)))
    if target.kind == "number" and len(sample.data[target.name].unique()) > 20:
        return _values(sample, target.name, limit)
    codes, names = codes_of_labels(sample, target.name)
    found = floor(codes, expected(
        sample, target.name, codes, len(names), folds=MANY if sample.rows <= SMALL else FOLDS))
    if found is None:
        return say("unknown", f"{sample.rows} rows are too few to find 50 of which a model is sure.", n=sample.rows,
                   remedy="label more rows")
    return _verdict(found, names, limit, sample.rows)


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
                   remedy="review the most suspicious labels first: shipworthy explain data.labelling", **facts)
    return say("unknown", f"Between {found.low:.1%} and {found.high:.1%} of labels may be flipped at random "
               f"({limit:.0%} is allowed): {where}.",
               remedy="label more rows, or have a sample of labels checked by a second person", **facts)


def _values(sample: Table, target: str, limit: float) -> Finding:
    wild = int((surprise(sample, target, 0) > WILD).sum())
    low, high = clopper_pearson(wild, sample.rows)
    verdict = held(wild / sample.rows, limit=limit, high=high, at_most=True)
    return say(verdict, f"{wild:,} of {sample.rows:,} values of {target} lie more than {WILD:g} times further from the "
               f"expected than rows like them, at the most {high:.1%} ({limit:.0%} is allowed).",
               value=wild / sample.rows, low=low, high=high, limit=limit, n=sample.rows,
               remedy="" if verdict == "pass" else "review those values first: shipworthy explain data.labelling")
