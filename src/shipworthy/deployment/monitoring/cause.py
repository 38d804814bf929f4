"""Why the loss changed: other rows (covariate shift), or another relation of rows and outcome (concept drift)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import FIXED, Reference
from shipworthy.core.project import Project
from shipworthy.core.tallies import Sample, Tallies
from shipworthy.deployment.monitoring.harm import FEWEST_LABELS, RECENT, recent_risk, risk_limit
from shipworthy.deployment.monitoring.joint import density_ratio
from shipworthy.deployment.monitoring.onset import Onset, rises
from shipworthy.marks import check

DRAWS = 300
QUIET_LABELS = 100_000.0  # labels between false alarms of when the loss began to rise


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
        return say("fail", f"Concept drift: {parts}{_since(tallies.sample)}.", **facts,
                   remedy="shipworthy renew with the newest labels")
    if found.high > tolerance and high > limit:
        return say("unknown", f"Concept drift cannot be excluded: {parts}.", **facts, remedy="wait for more labels")
    return say("pass", f"No concept drift: {parts}.", **facts)


def _since(sample: Sample) -> str:
    """When the loss began to rise, in words, where labels in the order of their arrival show it."""
    loss = sample.labelled.loss / FIXED
    found = rises(Onset(), loss, bar=QUIET_LABELS)[1]
    return f"; it began {len(loss) - 1 - found[-1].at + found[-1].labels:,} sampled labels ago" if found else ""
