"""Labels that come late: how many have come, and whether bad news, or one outcome, takes longer or never comes."""

from __future__ import annotations

from datetime import UTC, date, datetime

import msgspec
import numpy as np

from shipworthy.core.clock import DAY, HOUR
from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import FIXED, Reference
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Sums, Tallies
from shipworthy.deployment.monitoring.meters import DELAY_CELLS, delay_cell, delay_of
from shipworthy.marks import check

MATURE = 0.9
FEWEST = 100
FEWEST_MISSING = 20.0


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


class Cohort(msgspec.Struct, frozen=True):
    """The predictions of one UTC day. labels: that have come. maturity: the share of all labels that has come by now.

    expected: labels over maturity, how many will have come in the end. risk: mean loss of those that have come. Each of
    the three is None where it is not known; the risk also below a maturity of 0.9, for there it is that of fast labels.
    """

    day: date
    predictions: int
    labels: int
    maturity: float | None
    expected: int | None
    risk: float | None


def cohorts(tallies: Tallies) -> tuple[Cohort, ...]:
    """What has come of every prediction day; mature and immature days are never mixed."""
    rows, labels = tallies.rows.whole, tallies.cohorts.whole
    days, place = np.unique(rows.at // DAY * DAY, return_inverse=True)
    predictions = np.bincount(place, weights=rows.of("rows")[:, 0], minlength=len(days))
    beside = labels.where(np.isin(labels.at, days))  # labels reach further back than rows
    at = np.searchsorted(days, beside.at)
    come, loss = (np.bincount(at, weights=beside.of("labels")[:, k], minlength=len(days)) for k in (0, 1))
    share = maturity(labels, days, max(tallies.until, tallies.told))
    found = []
    for k, day in enumerate(days.tolist()):
        known = bool(share[k] > 0)
        mature = bool(share[k] >= MATURE) and come[k] > 0
        found.append(Cohort(datetime.fromtimestamp(day / 1e6, UTC).date(), int(predictions[k]), int(come[k]),
                            float(share[k]) if known else None, round(come[k] / share[k]) if known else None,
                            float(loss[k] / FIXED / come[k]) if mature else None))
    return tuple(found)


@check("late-labels", row="deployment.monitoring")
def late_labels(grid: Reference, tallies: Tallies, *, tolerance: float = 0.05) -> Finding:
    """Whether labels of wrong answers, or of one outcome, come later than others or never, which hides harm.

    What depends on the wait that way is not cured by weights: only days whose labels are all in can be judged. Labels
    without a prediction are told beside it: they are counted once it is.
    """
    found = _waited(grid, tallies, tolerance)
    return msgspec.structs.replace(found, sentence=found.sentence + _strays(tallies))


def _strays(tallies: Tallies) -> str:
    """What became of labels that have no prediction, as a sentence; empty where all have theirs."""
    told = [f"{tallies.orphans:,} with no prediction here yet"] if tallies.orphans else []
    told += [f"{tallies.lost:,} given up without one"] if tallies.lost else []
    return f" Labels not counted: {', '.join(told)}." if told else ""


def _waited(grid: Reference, tallies: Tallies, tolerance: float) -> Finding:
    labels, days = tallies.cohorts.whole, np.unique(tallies.rows.whole.at // DAY * DAY)
    n, delay = int(labels.total("labels")[0]), labels.total("delay")[:DELAY_CELLS]
    if n < FEWEST:
        return say("unknown", f"{n} labels are too few to tell whether bad news comes late; {FEWEST} are needed.", n=n)
    share = maturity(labels, days, max(tallies.until, tallies.told))
    known = float(np.nanmean(share >= MATURE)) if np.isfinite(share).any() else 0.0
    after = f"half come within {quantile_of(delay, 0.5) / DAY:.1f} days, {known:.0%} of days are mature"
    lost = _never(grid, tallies.labels.whole)
    if lost:
        return say("fail", f"{lost}: only one outcome is ever reported.", n=n,
                   remedy="record the other outcomes too; a silent case is not a negative one")
    told = [_slower(labels, part, max(tallies.until, tallies.told)) for part in _parts(grid)]
    gaps = [one for one in told if not np.isnan(one[0])]
    if not gaps:
        return say("pass", f"Labels all take equally long ({n:,} labels; {after}).", n=n)
    gap, half = max(gaps, key=lambda one: abs(one[0]) - one[1])
    of_loss = (gap, half) == told[0]
    facts = {"value": gap, "low": gap - half, "high": gap + half, "limit": tolerance, "n": n}
    span = f"{gap:+.3f} (95 % interval {gap - half:+.3f} to {gap + half:+.3f}, {n:,} labels; {after})"
    if gap - half > tolerance or gap + half < -tolerance:
        side = "later" if gap > 0 else "sooner"
        who, what = (("wrong answers", "risk") if of_loss else (f'"{grid.plan.classes[-1]}"', "share of it"))
        return say("fail", f"Labels of {who} come {side}: between halves, slow less fast, the {what} differs by "
                           f"{span}.", **facts,
                   remedy="judge only days whose labels are all in: shipworthy watch --cohorts")
    return say("pass", "The wait for a label depends neither on the answer being wrong nor on the outcome: between "
                       f"halves {span}.", **facts)


def _never(grid: Reference, labels: Sums) -> str:
    """What is amiss where labels name one class only and others should have come; else empty.

    Of two classes the model says how many of the other to expect, of more the reference does.
    """
    classes, n = grid.plan.classes, int(labels.total("labels")[0])
    said = np.flatnonzero(labels.total("truth")[: len(classes)])
    if len(classes) < 2 or len(said) != 1:
        return ""
    expected = labels.total("bias").reshape(-1, 4)[:, 1].sum() / FIXED
    if len(classes) == 2:
        missing = n - expected if said[0] == 1 else expected
    else:
        missing = n * (1 - grid.told[:, said[0]].sum() / max(1, grid.told.sum()))
    if missing < FEWEST_MISSING:
        return ""
    return f'All {n:,} labels say "{classes[said[0]]}", where {missing:,.0f} others were to be expected'


def _parts(grid: Reference) -> tuple[int, ...]:
    """What is compared between slow and fast labels: the loss, and of two classes how often the second came true."""
    return (1, 2) if len(grid.plan.classes) == 2 else (1,)


def _slower(labels: Sums, part: int, now: int) -> tuple[float, float]:
    """A mean of the slower half of the labels less that of the faster, and its half-width, where both could have come.

    part: 1 the loss, 2 what came true. The two share 5 %. NaN where four labels of five come within the same hour:
    no window is judged before its labels are in.
    """
    counts = labels.of("delay")
    edge = quantile_of(counts[:, :DELAY_CELLS].sum(axis=0), 0.95)
    could = counts[now - labels.at >= edge + DAY].sum(axis=0)
    could = (could if could[:DELAY_CELLS].sum() >= FEWEST else counts.sum(axis=0)).reshape(-1, DELAY_CELLS)
    wait, value = could[0], could[part] / FIXED
    slow = np.cumsum(wait) - wait / 2 > wait.sum() / 2
    n = np.array([wait[~slow].sum(), wait[slow].sum()], np.float64)
    if n.min() < FEWEST / 4 or quantile_of(wait, 0.9) - quantile_of(wait, 0.1) < HOUR:
        return float("nan"), float("nan")
    mean = np.array([value[~slow].sum(), value[slow].sum()]) / n
    spread = mean * (1 - np.minimum(mean, 1))  # the largest that values in [0, 1] of this mean can have
    return float(mean[1] - mean[0]), float(2.24 * np.sqrt((spread / n).sum()))
