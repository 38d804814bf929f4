"""Labels that come late: how many have come, whether bad news takes longer, and what they say of the bias."""

from __future__ import annotations

import numpy as np

from shipworthy.core.clock import DAY
from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import Reference
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.deployment.monitoring.alarm import sequence_width
from shipworthy.deployment.monitoring.joined import Joined, Served, arrival, join, served
from shipworthy.marks import check

MATURE = 0.9
FEWEST = 100


def maturity(log: Served, joined: Joined, now: int) -> Floats:
    """Share of all labels that will come which have come, for every prediction day, (days,); NaN if unknown.

    The share arrived within an age is read from predictions older than nineteen of twenty delays, thrice over.
    Source: Lawless (1994), reverse-time estimate of reporting delay.
    """
    delay = joined.arrived - log.at[joined.row]
    days = np.unique(log.at // DAY)
    if len(delay) < FEWEST:
        return np.full(len(days), np.nan)
    horizon = 3 * int(np.quantile(delay, 0.95)) + DAY
    old = np.sort(delay[log.at[joined.row] <= now - horizon])
    if len(old) < FEWEST:
        return np.full(len(days), np.nan)
    return np.searchsorted(old, now - (days * DAY + DAY // 2), side="right") / len(old)


def cohorts(log: Served, labels: Table) -> Table:
    """One row per prediction day: predictions, labels that have come, the share expected by now, and the risk.

    risk is null below a maturity of 0.9: mature and immature days are never mixed.
    """
    joined = join(log, labels)
    now = max(int(log.at.max()), int(arrival(labels).max()))
    days, place = np.unique(log.at // DAY, return_inverse=True)
    come = np.bincount(place[joined.row], minlength=len(days))
    loss = np.bincount(place[joined.row], weights=joined.loss, minlength=len(days))
    share = maturity(log, joined, now)
    known = (share >= MATURE) & (come > 0)
    return Table.of({
        "day": (days * DAY).astype("datetime64[us]").astype("datetime64[D]"),
        "predictions": np.bincount(place), "labels": come, "maturity": share,
        "risk": [float(r) if k else None for r, k in zip(loss / np.maximum(come, 1), known, strict=True)],
    }, name="cohorts")


@check("late-labels", row="deployment.monitoring")
def late_labels(grid: Reference, log: Table, labels: Table, *, tolerance: float = 0.05) -> Finding:
    """Whether labels of wrong answers come later than those of right ones, which hides harm."""
    traffic = served(grid, log)
    joined = join(traffic, labels)
    n = len(joined)
    if n < FEWEST:
        return say("unknown", f"{n} labels are too few to tell whether bad news comes late; {FEWEST} are needed.", n=n)
    delay = (joined.arrived - traffic.at[joined.row]).astype(np.float64)
    now = max(int(traffic.at.max()), int(joined.arrived.max()))
    share = maturity(traffic, joined, now)
    known = float(np.nanmean(share >= MATURE)) if np.isfinite(share).any() else 0.0
    after = f"half come within {np.median(delay) / DAY:.1f} days, {known:.0%} of days are mature"
    words = {str(word) for word in joined.truth}
    if len(grid.plan.classes) > 1 and len(words) == 1:
        return say("fail", f'All {n:,} labels say "{words.pop()}": only one outcome is ever reported.', n=n,
                   remedy="record the other outcomes too; a silent case is not a negative one")
    gap, half = _slow_loss(joined, delay, (now - traffic.at[joined.row]).astype(np.float64))
    facts = {"value": gap, "low": gap - half, "high": gap + half, "limit": tolerance, "n": n}
    if np.isnan(gap):
        return say("pass", f"Labels all take equally long ({n:,} labels; {after}).", n=n)
    if gap - half > tolerance or gap + half < -tolerance:
        side = "later" if gap > 0 else "sooner"
        return say("fail", f"Labels of wrong answers come {side}: the slower half has a risk higher by {gap:+.3f} "
                           f"(95 % interval {gap - half:+.3f} to {gap + half:+.3f}, {n:,} labels; {after}).", **facts,
                   remedy="judge only days whose labels are all in; see maturity")
    return say("pass", f"The wait for a label does not depend on the answer being wrong: {gap:+.3f} between halves "
                       f"(95 % interval {gap - half:+.3f} to {gap + half:+.3f}, {n:,} labels; {after}).", **facts)


def _slow_loss(joined: Joined, delay: Floats, age: Floats) -> tuple[float, float]:
    """Risk of the slower half less that of the faster, and its half-width, where both could have arrived."""
    edge = np.quantile(delay, 0.95)
    could = age >= edge
    could = could if could.sum() >= FEWEST else np.ones(len(delay), np.bool_)
    wait, loss = delay[could], joined.loss[could]
    slow = wait > np.median(wait)
    if slow.sum() < FEWEST / 4 or (~slow).sum() < FEWEST / 4:
        return float("nan"), float("nan")
    spread = loss[slow].var() / slow.sum() + loss[~slow].var() / (~slow).sum()
    return float(loss[slow].mean() - loss[~slow].mean()), float(1.96 * np.sqrt(spread))


def bias_path(joined: Joined, *, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """Mean of what came true less what was expected, after every label, and its half-width valid at all looks."""
    n = np.arange(1, len(joined) + 1, dtype=np.float64)
    mean = np.cumsum(joined.surprise) / n
    variance = np.maximum(np.cumsum(joined.surprise**2) / n - mean**2, 1e-6)
    return mean, sequence_width(n, variance, alpha=alpha)


def bias_band(reference: Reference, tolerance: float) -> tuple[float, float]:
    """The mean of what comes true less what is expected that is tolerated: 0 and the reference's own, ± tolerance."""
    own, error = reference.facts.bias, 1.96 * reference.facts.bias_error
    return min(0.0, own - error) - tolerance, max(0.0, own + error) + tolerance


def outside(joined: Joined, band: tuple[float, float]) -> Ints:
    """Positions of labels after which the confidence sequence lay outside the band, from the 100th on."""
    mean, half = bias_path(joined)
    beyond = (mean - half > band[1]) | (mean + half < band[0])
    return np.flatnonzero(beyond & (np.arange(len(mean)) >= FEWEST - 1))


@check("prediction-bias", row="deployment.monitoring")
def prediction_bias(project: Project, grid: Reference, log: Table, labels: Table) -> Finding:
    """Whether outcomes are more or less frequent, or higher or lower, than the model says, ever since the release.

    Of a regression the figures are in the unit of its target, as far as its errors reach.
    """
    joined, tolerance = join(served(grid, log), labels), project.watch.tolerance
    n = len(joined)
    if n < FEWEST:
        return say("unknown", f"{n} labels are too few to judge the model's bias; {FEWEST} are needed.", n=n)
    mean, half = bias_path(joined)
    band = bias_band(grid, tolerance)
    out = outside(joined, band)
    known = mean[-1] - half[-1] >= band[0] and mean[-1] + half[-1] <= band[1]
    unit = grid.facts.cap if grid.plan.value else 1.0
    ends = (mean[-1], mean[-1] - half[-1], mean[-1] + half[-1], *band)
    value, low, high, least, most = (float(unit * end) for end in ends)
    facts = {"value": value, "low": low, "high": high, "limit": most if value > 0 else least, "n": n}
    told = ".4g" if grid.plan.value else ".3f"
    span = (f"{value:+{told}} (95 % confidence sequence {low:+{told}} to {high:+{told}}, allowed {least:+{told}} to "
            f"{most:+{told}}, {n:,} labels)")
    if out.size:
        return say("fail", f"Outcomes differ from what the model expects by {span}; first seen after "
                   f"{int(out[0]) + 1:,} labels.", **facts, remedy="recalibrate on the newest labels: shipworthy renew")
    if not known:
        return say("unknown", f"The model's bias is not known well enough: {span}.", **facts,
                   remedy="wait for more labels")
    right = ("Outcomes are as high as the model says" if grid.plan.value else
             "Outcomes are as frequent as the model says" if len(grid.plan.classes) == 2 else
             "The model is right as often as it says")
    return say("pass", f"{right}, to within {span}.", **facts)
