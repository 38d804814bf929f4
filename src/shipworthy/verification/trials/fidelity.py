"""Can simulated rows stand for real ones? A learner that tells them apart says no, and then no scenario says anything.

Source: Lopez-Paz and Oquab (2017), classifier two-sample tests.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import auc_interval
from shipworthy.verification.trials.simulation import redraw

LEAST, FOLDS = 1_000, 5
TREES = {"rounds": 100, "num_leaves": 15}


class Fidelity(NamedTuple):
    """How well simulated rows are told from real ones: AUC with its interval over `rows` rows; NaN if too few."""

    auc: float
    low: float
    high: float
    rows: int


def fidelity(model: Model, parts: Parts, steps: Steps, *, rows: int = 2_000) -> Fidelity:
    """Whether 100 trees of 15 leaves, in five folds, tell redrawn learning rows from tune and holdout rows.

    Redrawn as every scenario's are; real are the rows that came after, or beside, those. Time columns are left out:
    they name the part by themselves.
    """
    real = Table(pa.concat_tables([parts.tune.data, parts.holdout.data]), parts.holdout.schema, "real")
    random = np.random.default_rng(0)
    size = min(rows, real.rows, parts.learn.rows)
    if size < LEAST:
        return Fidelity(np.nan, np.nan, np.nan, size)
    pair = [redraw(real, size, random), redraw(parts.learn, size, random)]
    both = [_sided(model, table, side) for side, table in enumerate(pair)]
    asked = Table(pa.concat_tables([one.data for one in both], promote_options="permissive"), both[0].schema, "both")
    side: Ints = np.repeat([0, 1], size).astype(np.int64)
    fold = np.concatenate([random.permutation(size) % FOLDS for _ in both])
    ranks = np.zeros(2 * size)
    for k in range(FOLDS):
        ranks[fold == k] = _told(steps, asked, fold == k)
    areas = [auc_interval(side[fold == k], ranks[fold == k]) for k in range(FOLDS)]
    low, high = auc_interval(side, _levelled(ranks, fold))
    return Fidelity(float(np.mean([sum(area) / 2 for area in areas])), low, high, 2 * size)


@check("simulator-fidelity", row="verification.simulation")
def simulator_fidelity(model: Model, parts: Parts, steps: Steps, *, limit: float = 0.65, rows: int = 2_000) -> Finding:
    """Whether a learner cannot tell simulated rows from real ones: the upper end of its AUC is at most the limit.

    Simulated: rows redrawn from the learning rows, as every scenario redraws the holdout. Real: tune and holdout rows.
    Boosted trees, 100 of 15 leaves, five folds, at most `rows` rows of each. Under 1,000 of each it is unknown.
    """
    told = fidelity(model, parts, steps, rows=rows)
    if told.high != told.high:
        return say("unknown", f"{told.rows:,} real rows are fewer than {LEAST:,}.", n=told.rows)
    verdict: Verdict = "pass" if told.high <= limit else "fail"
    return say(verdict, f"A learner tells simulated rows from real ones with AUC {told.auc:.2f}, at the most "
               f"{told.high:.2f}, on {told.rows:,} rows; {limit:g} is allowed.", value=told.auc, low=told.low,
               high=told.high, limit=limit, n=told.rows,
               remedy="" if verdict == "pass" else "the learning rows are not like the later ones: renew them, and "
               "believe no scenario until then")


def _told(steps: Steps, asked: Table, held: Mask) -> Floats:
    """The margin of each held row by trees that saw the others, as the class that is simulated."""
    model: Model = steps.train(asked.take(~held), learner="boosted", seed=0, settings=TREES)
    rows = asked.take(held)
    return np.asarray(model.program.margin(model.inputs(rows))[:, -1], np.float64)


def _levelled(margin: Floats, fold: Ints) -> Floats:
    """Margins as ranks within their fold, (n,) in (0, 1]: those of different models are not comparable."""
    out = np.zeros(len(margin))
    for k in np.unique(fold):
        mine = fold == k
        out[mine] = (np.argsort(np.argsort(margin[mine], kind="stable"), kind="stable") + 1) / mine.sum()
    return out


def _sided(model: Model, table: Table, side: int) -> Table:
    """The feature columns but times, and a target that says where the rows came from, in the model's own words."""
    features = [column.name for column in table.schema.features if column.kind != "timestamp"]
    words = pa.array([(model.classes[0], model.classes[-1])[side] if model.classes else float(side)] * table.rows)
    return table.select([*features, model.sheet.target]).with_column(model.sheet.target, words)
