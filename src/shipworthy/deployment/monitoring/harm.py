"""Does the model do harm: is its risk beyond what the reference allows?"""

from __future__ import annotations

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import FIXED, Reference
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import FULL, Sums, Tallies
from shipworthy.deployment.monitoring.alarm import threshold
from shipworthy.deployment.monitoring.eprocess import crossings, fresh, growth
from shipworthy.deployment.monitoring.joined import PER_YEAR
from shipworthy.deployment.monitoring.windows import EVER, Cut, cut, summed
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson

FEWEST_LABELS = 100
ALPHA = 0.05
RECENT = 2_000


def risk_limit(reference: Reference, tolerance: float) -> float:
    """θ: the upper end of the risk on the reference, at half of 5 %, plus the tolerance; NaN if it says nothing.

    A regression uses the normal bound with the largest variance possible.
    Source: Clopper and Pearson (1934); Podkopaev and Ramdas (2022) for the two-part error.
    """
    facts = reference.facts
    if reference.plan.value:
        mean, n = _mean_loss(reference)
        spread = max(mean * (1 - mean), 1e-4)  # the largest variance that a loss in [0, 1] of this mean can have
        return mean + 2.24 * float(np.sqrt(spread / max(1, n))) + tolerance
    if facts.rows == 0 or facts.wrong >= facts.rows:
        return float("nan")
    return float(clopper_pearson(facts.wrong, facts.rows, level=1 - ALPHA)[1]) + tolerance


def reference_risk(reference: Reference) -> float:
    """Mean loss on the reference, in [0, 1]."""
    if reference.plan.value:
        return _mean_loss(reference)[0]
    return reference.facts.wrong / max(1, reference.facts.rows)


def _mean_loss(reference: Reference) -> tuple[float, int]:
    rows = int(reference.outcomes[:, 0].sum())
    return float(reference.outcomes[:, 1].sum() / FIXED / max(1, rows)), rows


def buckets(labels: Sums, level: str, *, until: int, since: int = EVER) -> tuple[Cut, Ints]:
    """Labels by window of arrival, and their losses, (w, 256) as `meters` counts them; the last may be small."""
    windows = cut(labels, level, since=since, until=until, every=True)
    return windows, summed(labels.of("losses"), windows)


def harm_growth(losses: Ints, limit: float) -> Ints:
    """What every bucket adds to the evidence of harm, (w, 4) as `eprocess.growth`. losses: (w, 256) as `buckets`.

    Where θ says nothing, all evidence is lost.
    """
    if not limit < 1:
        return np.full((len(losses), len(fresh())), -FULL)
    return growth(losses, np.arange(losses.shape[1]) / (losses.shape[1] - 1), limit)


def recent_risk(labels: Sums, rows: int = RECENT) -> tuple[float, float, float, int]:
    """Risk of the newest labels with its 95 % interval, and how many: the newest buckets that hold so many rows."""
    counts = labels.of("labels")[:, 0]
    first = int(np.searchsorted(np.cumsum(counts[::-1]), rows)) + 1
    newest = labels.cells[-first:] if len(labels) else labels.cells
    n, loss, square = (int(one) for one in newest[:, :3].sum(axis=0))
    if n <= 0:
        return float("nan"), float("nan"), float("nan"), 0
    loss, square = (min(max(0, one), n * FIXED) for one in (loss, square))  # corrections take older losses back
    risk = loss / FIXED / n
    if loss == square:
        low, high = clopper_pearson(loss // FIXED, n)
    else:
        half = 1.96 * float(np.sqrt(max(0.0, square / FIXED / n - risk**2) / n))
        low, high = risk - half, risk + half
    return risk, low, high, n


def mean_loss(labels: Sums, windows: Cut) -> Floats:
    """The mean loss of every window."""
    found = summed(labels.of("labels"), windows)
    return np.asarray(found[:, 1] / FIXED / np.maximum(found[:, 0], 1))


@check("harm", row="deployment.monitoring")
def harm(project: Project, grid: Reference, tallies: Tallies) -> Finding:
    """Whether the risk on labelled traffic is beyond the reference's, at any time since the release."""
    level, tolerance = project.watch.window, project.watch.tolerance
    labels = tallies.labels.whole
    limit = risk_limit(grid, tolerance)
    if not limit < 1:
        return say("unknown", f"The reference holds no right answer among {grid.facts.rows:,} rows, "
                              "so no risk can be held to it.", n=int(labels.total("labels")[0]))
    windows, losses = buckets(labels, level, until=tallies.told)
    bar = threshold(per_year=PER_YEAR[level], families=1, pages_per_year=project.watch.pages_per_year)
    passed = crossings(harm_growth(losses, limit), bar)
    risk, low, high, rows = recent_risk(labels)
    known = f"{rows:,} newest labels, reference {reference_risk(grid):.3f} on {grid.facts.rows:,}"
    facts = {"value": risk, "low": low, "high": high, "limit": limit, "n": rows,
             "chart": {"kind": "line", "x": windows.last.tolist(), "limit": limit,
                       "y": mean_loss(labels, windows).tolist()}}
    if passed:
        return say("fail", f"The model does harm: its risk is {risk:.3f} against at most {limit:.3f} ({known}); seen "
                           f"after {int(windows.rows[: passed[0] + 1].sum()):,} labels.", **facts,
                   remedy="shipworthy rollback, then shipworthy renew")
    if rows < FEWEST_LABELS:
        return say("unknown", f"{rows} labels are too few to judge harm; {FEWEST_LABELS} are needed.", **facts,
                   remedy="send a random 1 % of predictions for labels")
    if high > limit:
        return say("unknown" if low <= limit else "fail", f"The risk is {risk:.3f} (95 % interval {low:.3f} to "
                   f"{high:.3f}) against at most {limit:.3f} ({known}).", **facts,
                   remedy="wait for more labels" if low <= limit else "shipworthy rollback, then shipworthy renew")
    return say("pass", f"No harm: the risk is {risk:.3f} (95 % interval {low:.3f} to {high:.3f}), at most {limit:.3f} "
                       f"is allowed ({known}).", **facts)
