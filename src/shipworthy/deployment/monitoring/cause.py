"""Why the loss changed: other rows (covariate shift), or another relation of rows and outcome (concept drift)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import FIXED, Reference
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Sample, Tallies
from shipworthy.deployment.monitoring.harm import FEWEST_LABELS, RECENT, recent_risk, risk_limit
from shipworthy.marks import check

LEAST_ROWS = 200
LEAST_OVERLAP = 0.2
DRAWS = 300
_SETTINGS = {"objective": "binary", "num_leaves": 4, "learning_rate": 0.05, "min_data_in_leaf": 100, "verbosity": -1,
             "num_threads": 1, "deterministic": True, "force_row_wise": True}


@dataclass(frozen=True)
class Ratio:
    """How likely every reference row is in the traffic against the reference. weights: (r,) mean 1.

    overlap: effective share of reference rows, (Σw)² / (r Σw²), in (0, 1]. auc: of telling the two sides apart.
    """

    weights: Floats
    overlap: float
    auc: float

    @property
    def usable(self) -> bool:
        return self.overlap >= LEAST_OVERLAP


def density_ratio(reference: Reference, rows: Ints, *, seed: int = 0) -> Ratio | None:
    """The density ratio from a cross-fitted classifier of reference and traffic rows; None under 200 rows a side.

    rows: (n, columns) cells of traffic rows. Source: Bickel et al. (2007), discriminative weights.
    """
    import lightgbm

    from shipworthy.metrics.classification import auc

    before = reference.sample[:, :-2]
    if len(before) < LEAST_ROWS or len(rows) < LEAST_ROWS:
        return None
    random = np.random.default_rng(seed)
    now = rows[random.permutation(len(rows))[: len(before)]]
    x = np.concatenate([before, now]).astype(np.float64)
    side = np.r_[np.zeros(len(before), np.int64), np.ones(len(now), np.int64)]
    alike = np.where(side == 0, len(now) / len(before), 1.0)
    fold, q = random.integers(0, 2, len(x)), np.zeros(len(x))
    for k in (0, 1):
        some = fold != k
        data = lightgbm.Dataset(x[some], side[some], weight=alike[some])
        fit = lightgbm.train(_SETTINGS | {"seed": seed}, data, 30)
        q[fold == k] = np.asarray(fit.predict(x[fold == k], num_threads=1))
    told = np.clip(q[: len(before)], 0.02, 0.98)
    weights = told / (1 - told)
    weights = np.minimum(weights, np.quantile(weights, 0.99))
    weights = weights / weights.mean()
    overlap = float(weights.sum() ** 2 / (len(weights) * (weights**2).sum()))
    apart = float(auc(side, q))
    return Ratio(weights, overlap if apart < 0.98 else 0.0, apart)


@dataclass(frozen=True)
class LossSplit:
    """The change of the loss in two parts that add up to it. low, high: 95 % interval of the concept part."""

    before: float
    now: float
    covariate: float
    concept: float
    low: float
    high: float
    n: int


def split_loss(reference: Reference, sample: Sample, *, seed: int = 0) -> LossSplit | None:
    """How much of the change in loss comes from other rows and how much from another relation.

    sample: of the traffic; its newest labelled rows are judged.
    None if there are too few rows, or the traffic hardly overlaps the reference.
    Source: Cai, Namkoong and Yadlowsky (2023), DISDE.
    """
    labelled = sample.labelled
    recent = labelled.where(np.arange(max(0, len(labelled) - RECENT), len(labelled)))
    ratio = density_ratio(reference, recent.cells[:, :-1], seed=seed)
    if ratio is None or not ratio.usable:
        return None
    loss, now, w = reference.sample[:, -1] / FIXED, recent.loss / FIXED, ratio.weights
    as_now = float((w * loss).sum() / w.sum())
    random, drawn = np.random.default_rng(seed), np.empty(DRAWS)
    for k in range(DRAWS):
        a, b = random.integers(0, len(loss), len(loss)), random.integers(0, len(now), len(now))
        drawn[k] = now[b].mean() - (w[a] * loss[a]).sum() / w[a].sum()
    low, high = np.quantile(drawn, (0.025, 0.975))
    return LossSplit(float(loss.mean()), float(now.mean()), as_now - float(loss.mean()),
                     float(now.mean()) - as_now, float(low), float(high), len(now))


@check("concept-drift", row="deployment.concept-drift")
def concept_drift(project: Project, grid: Reference, tallies: Tallies) -> Finding:
    """Whether the loss changed because the relation of features and outcome did, not only the rows."""
    tolerance, labels = project.watch.tolerance, tallies.labels.whole
    known = int(labels.total("labels")[0])
    if known < FEWEST_LABELS:
        return say("unknown", f"{known} labels are too few to tell concept drift; {FEWEST_LABELS} are needed.", n=known)
    risk, low, high, n = recent_risk(labels)
    limit = risk_limit(grid, tolerance)
    found = split_loss(grid, tallies.sample)
    if found is None:
        quiet = high <= limit
        return say("pass" if quiet else "unknown",
                   f"The loss is {risk:.3f} (95 % interval {low:.3f} to {high:.3f}, {n:,} labels), at most {limit:.3f} "
                   "is allowed; traffic and reference overlap too little to say why it changed.",
                   value=risk, low=low, high=high, limit=limit, n=n, remedy="" if quiet else "label more recent rows")
    facts = {"value": found.concept, "low": found.low, "high": found.high, "limit": tolerance, "n": found.n, "chart": {
        "kind": "bars", "name": ["other rows", "another relation"], "value": [found.covariate, found.concept]}}
    parts = (f"the loss went from {found.before:.3f} to {found.now:.3f}: {found.covariate:+.3f} from other rows, "
             f"{found.concept:+.3f} from another relation (95 % interval {found.low:+.3f} to {found.high:+.3f}, "
             f"{found.n:,} labels)")
    if found.low > tolerance:
        return say("fail", f"Concept drift: {parts}.", **facts, remedy="shipworthy renew with the newest labels")
    if found.high > tolerance and high > limit:
        return say("unknown", f"Concept drift cannot be excluded: {parts}.", **facts, remedy="wait for more labels")
    return say("pass", f"No concept drift: {parts}.", **facts)
