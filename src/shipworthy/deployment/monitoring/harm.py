"""Does the model do harm: is its risk beyond what the reference allows?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import FIXED, Reference
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Table
from shipworthy.deployment.monitoring.alarm import bets, bets_m, share_m, threshold
from shipworthy.deployment.monitoring.joined import FEWEST_ROWS, PER_YEAR, Joined, join, served, window_of
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


def buckets(joined: Joined, level: str) -> list[tuple[int, int, Floats]]:
    """Labels by window of arrival: first and last window, and losses, of every bucket.

    A window with under 30 labels joins the next; the last bucket may be smaller.
    """
    window = window_of(joined.arrived, level)
    edges = [*(np.flatnonzero(np.diff(window)) + 1), len(window)] if len(window) else []
    found, start = [], 0
    for end in edges:
        if end - start >= FEWEST_ROWS or end == len(window):
            found.append((int(window[start]), int(window[end - 1]), joined.loss[start:end]))
            start = int(end)
    return found


def bucket_evidence(reference: Reference, loss: Floats, limit: float) -> tuple[float, ...]:
    """What a bucket adds to the alarm; tuples add up. Wrong and all labels, or the log bets of a regression."""
    if not limit < 1:
        return (0.0, 0.0)
    if reference.plan.value:
        return tuple(map(float, bets(loss, limit)))
    return float(loss.sum()), float(len(loss))


def harm_m(reference: Reference, past: Sequence[tuple[float, ...]], limit: float) -> float:
    """The alarm statistic M after these buckets of `bucket_evidence`; it pages at M ≥ A. NaN if θ says nothing."""
    if not limit < 1:
        return float("nan")
    if not past:
        return 0.0
    sums = np.array(past)
    return bets_m(sums) if reference.plan.value else share_m(sums[:, 0], sums[:, 1], limit)


def recent_risk(joined: Joined, rows: int = RECENT) -> tuple[float, float, float, int]:
    """Risk of the newest labels with its 95 % interval, and how many there are."""
    loss = joined.loss[-rows:]
    n = len(loss)
    if not n:
        return float("nan"), float("nan"), float("nan"), 0
    if np.all((loss == 0) | (loss == 1)):
        low, high = clopper_pearson(int(loss.sum()), n)
    else:
        half = 1.96 * float(loss.std()) / np.sqrt(n)
        low, high = float(loss.mean()) - half, float(loss.mean()) + half
    return float(loss.mean()), low, high, n


@check("harm", row="deployment.monitoring")
def harm(project: Project, grid: Reference, log: Table, labels: Table) -> Finding:
    """Whether the risk on labelled traffic is beyond the reference's, at any time since the release."""
    level, tolerance = project.watch.window, project.watch.tolerance
    joined = join(served(grid, log), labels)
    limit = risk_limit(grid, tolerance)
    if not limit < 1:
        return say("unknown", f"The reference holds no right answer among {grid.facts.rows:,} rows, "
                              "so no risk can be held to it.", n=len(joined))
    cut = buckets(joined, level)
    past = [bucket_evidence(grid, loss, limit) for _, _, loss in cut]
    bar = threshold(per_year=PER_YEAR[level], families=1, pages_per_year=project.watch.pages_per_year)
    path = [harm_m(grid, past[: k + 1], limit) for k in range(len(past))]
    risk, low, high, rows = recent_risk(joined)
    known = f"{rows:,} newest labels, reference {reference_risk(grid):.3f} on {grid.facts.rows:,}"
    facts = {"value": risk, "low": low, "high": high, "limit": limit, "n": rows,
             "chart": {"kind": "line", "x": [last for _, last, _ in cut],
                       "y": [float(loss.mean()) for _, _, loss in cut], "limit": limit}}
    first = next((k for k, m in enumerate(path) if m >= bar), None)
    if first is not None:
        return say("fail", f"The model does harm: its risk is {risk:.3f} against at most {limit:.3f} ({known}); seen "
                           f"after {sum(len(loss) for _, _, loss in cut[: first + 1]):,} labels.", **facts,
                   remedy="shipworthy rollback, then shipworthy renew")
    if rows < FEWEST_LABELS:
        return say("unknown", f"{rows} labels are too few to judge harm; {FEWEST_LABELS} are needed.", **facts,
                   remedy="send a random 1 % of predictions for labels")
    if high > limit:
        return say("unknown" if low <= limit else "fail", f"The risk is {risk:.3f} (95 % interval {low:.3f} to "
                   f"{high:.3f}) against at most {limit:.3f} ({known}).", **facts, remedy="wait for more labels")
    return say("pass", f"No harm: the risk is {risk:.3f} (95 % interval {low:.3f} to {high:.3f}), at most {limit:.3f} "
                       f"is allowed ({known}).", **facts)
