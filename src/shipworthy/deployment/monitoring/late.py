"""Labels that come late: how many have come, whether bad news takes longer, and what they say of the bias."""

from __future__ import annotations

import numpy as np

from shipworthy.core.clock import DAY
from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import FIXED, Reference
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.core.tallies import Sums, Tallies
from shipworthy.deployment.monitoring.alarm import sequence_width
from shipworthy.deployment.monitoring.meters import DELAY_CELLS, delay_cell, delay_of
from shipworthy.deployment.monitoring.windows import Cut, cut, summed
from shipworthy.marks import check

MATURE = 0.9
FEWEST = 100


def maturity(cohorts: Sums, days: Ints, now: int) -> Floats:
    """Share of all labels that will come which have come, for predictions of every day, (days,); NaN if unknown.

    days: first microsecond of each. The share that arrives within an age is read from predictions older than nineteen
    of twenty delays, thrice over. Source: Lawless (1994), reverse-time estimate of reporting delay.
    """
    delay = cohorts.of("delay")[:, :DELAY_CELLS]
    total = delay.sum(axis=0)
    if total.sum() < FEWEST:
        return np.full(len(days), np.nan)
    horizon = 3 * quantile_of(total, 0.95) + DAY
    old = delay[cohorts.at + DAY <= now - horizon].sum(axis=0)
    if old.sum() < FEWEST:
        return np.full(len(days), np.nan)
    age = delay_cell(np.maximum(now - (days + DAY // 2), 0))
    return np.asarray(np.cumsum(old)[age] / old.sum())


def quantile_of(delay: Ints, share: float) -> int:
    """The wait by which a share of labels had come, in microseconds. delay: (160,) labels by wait."""
    cell = int(np.searchsorted(np.cumsum(delay), share * delay.sum()))
    return int(delay_of(cell + 0.5))


def cohorts(tallies: Tallies) -> Table:
    """One row per prediction day: predictions, labels that have come, the share expected by now, and the risk.

    risk is null below a maturity of 0.9: mature and immature days are never mixed.
    """
    rows, labels = tallies.rows.whole, tallies.cohorts.whole
    days, place = np.unique(rows.at // DAY * DAY, return_inverse=True)
    predictions = np.bincount(place, weights=rows.of("rows")[:, 0], minlength=len(days))
    at = np.searchsorted(days, labels.at)
    come, loss = (np.bincount(at, weights=labels.of("labels")[:, k], minlength=len(days)) for k in (0, 1))
    share = maturity(labels, days, max(tallies.until, tallies.told))
    mature = (share >= MATURE) & (come > 0)
    return Table.of({
        "day": days.astype("datetime64[us]").astype("datetime64[D]"),
        "predictions": predictions.astype(np.int64), "labels": come.astype(np.int64), "maturity": share,
        "risk": [float(r) if k else None for r, k in zip(loss / FIXED / np.maximum(come, 1), mature, strict=True)],
    }, name="cohorts")


@check("late-labels", row="deployment.monitoring")
def late_labels(grid: Reference, tallies: Tallies, *, tolerance: float = 0.05) -> Finding:
    """Whether labels of wrong answers come later than those of right ones, which hides harm."""
    labels, days = tallies.cohorts.whole, np.unique(tallies.rows.whole.at // DAY * DAY)
    n, delay = int(labels.total("labels")[0]), labels.total("delay")[:DELAY_CELLS]
    if n < FEWEST:
        return say("unknown", f"{n} labels are too few to tell whether bad news comes late; {FEWEST} are needed.", n=n)
    share = maturity(labels, days, max(tallies.until, tallies.told))
    known = float(np.nanmean(share >= MATURE)) if np.isfinite(share).any() else 0.0
    after = f"half come within {quantile_of(delay, 0.5) / DAY:.1f} days, {known:.0%} of days are mature"
    said = np.flatnonzero(tallies.labels.whole.total("truth"))
    if len(grid.plan.classes) > 1 and len(said) == 1:
        return say("fail", f'All {n:,} labels say "{grid.plan.classes[said[0]]}": only one outcome is ever reported.',
                   n=n, remedy="record the other outcomes too; a silent case is not a negative one")
    gap, half = _slow_loss(labels, max(tallies.until, tallies.told))
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


def _slow_loss(labels: Sums, now: int) -> tuple[float, float]:
    """Risk of the slower half less that of the faster, and its half-width, where both could have arrived."""
    counts = labels.of("delay")
    edge = quantile_of(counts[:, :DELAY_CELLS].sum(axis=0), 0.95)
    could = counts[now - labels.at >= edge + DAY].sum(axis=0)
    could = could if could[:DELAY_CELLS].sum() >= FEWEST else counts.sum(axis=0)
    wait, loss = could[:DELAY_CELLS], could[DELAY_CELLS:] / FIXED
    slow = np.cumsum(wait) - wait / 2 > wait.sum() / 2
    n = np.array([wait[~slow].sum(), wait[slow].sum()], np.float64)
    if n.min() < FEWEST / 4:
        return float("nan"), float("nan")
    risk = np.array([loss[~slow].sum(), loss[slow].sum()]) / n
    spread = risk * (1 - np.minimum(risk, 1))  # the largest that losses in [0, 1] of this mean can have
    return float(risk[1] - risk[0]), float(1.96 * np.sqrt((spread / n).sum()))


def bias_path(labels: Sums, windows: Cut, *, alpha: float = 0.05) -> tuple[Ints, Floats, Floats]:
    """Labels so far, mean of what came true less what was expected, and its half-width valid at all looks, by window.

    Each is (w,), after every window of arrival.
    """
    n, _, _, total, square = np.cumsum(summed(labels.of("labels"), windows), axis=0).T
    mean = total / FIXED / np.maximum(n, 1)
    variance = np.maximum(square / FIXED / np.maximum(n, 1) - mean**2, 1e-6)
    return n, mean, sequence_width(np.maximum(n, 1).astype(np.float64), variance, alpha=alpha)


def bias_band(reference: Reference, tolerance: float) -> tuple[float, float]:
    """The mean of what comes true less what is expected that is tolerated: 0 and the reference's own, ± tolerance."""
    own, error = reference.facts.bias, 1.96 * reference.facts.bias_error
    return min(0.0, own - error) - tolerance, max(0.0, own + error) + tolerance


def outside(path: tuple[Ints, Floats, Floats], band: tuple[float, float]) -> Ints:
    """The windows after which the confidence sequence lay outside the band, from the 100th label on."""
    n, mean, half = path
    return np.flatnonzero(((mean - half > band[1]) | (mean + half < band[0])) & (n >= FEWEST))


@check("prediction-bias", row="deployment.monitoring")
def prediction_bias(project: Project, grid: Reference, tallies: Tallies) -> Finding:
    """Whether outcomes are more or less frequent, or higher or lower, than the model says, ever since the release.

    Of a regression the figures are in the unit of its target, as far as its errors reach.
    """
    labels, tolerance = tallies.labels.whole, project.watch.tolerance
    path = bias_path(labels, cut(labels, project.watch.window, until=tallies.told, every=True))
    n = int(labels.total("labels")[0])
    if n < FEWEST:
        return say("unknown", f"{n} labels are too few to judge the model's bias; {FEWEST} are needed.", n=n)
    seen, mean, half = path
    band = bias_band(grid, tolerance)
    out = outside(path, band)
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
                   f"{int(seen[out[0]]):,} labels.", **facts,
                   remedy="recalibrate on the newest labels: shipworthy renew")
    if not known:
        return say("unknown", f"The model's bias is not known well enough: {span}.", **facts,
                   remedy="wait for more labels")
    right = ("Outcomes are as high as the model says" if grid.plan.value else
             "Outcomes are as frequent as the model says" if len(grid.plan.classes) == 2 else
             "The model is right as often as it says")
    return say("pass", f"{right}, to within {span}.", **facts)
