"""Loops from answers back to labels: their gain, by noise on the score, and what a holdback has that others lack."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.grid import Reference
from shipworthy.core.project import Project
from shipworthy.core.table import Ints
from shipworthy.core.tallies import Sums, Tallies
from shipworthy.deployment.integration.log.tables import HELD
from shipworthy.deployment.monitoring.alarm import sequence_width
from shipworthy.deployment.monitoring.columns import judge_windows
from shipworthy.deployment.monitoring.windows import GRACE
from shipworthy.marks import check
from shipworthy.metrics.loops import loop_gain as gain_of

ROW = "deployment.feedback-loops"
FEWEST = 100
RARE = 0.01
GROWTH = 2**0.5  # rows held back by which columns are compared once more
IDLE = "The project declares that the answer decides nothing, so labels do not depend on it."


def gain_interval(sums: Ints, *, alpha: float = 0.05) -> tuple[float, float, float, int]:
    """The gain of a loop, the ends of its confidence sequence, and the rows; from the meter "gain".

    It covers at every look at once, and is asymptotic: NaN under 100 rows. Source: `alarm.sequence_width`.
    """
    gain, variance, rows = gain_of(sums)
    if rows < FEWEST:
        return float("nan"), float("nan"), float("nan"), int(rows)
    half = float(sequence_width(np.asarray(rows, np.float64), np.asarray(variance), alpha=alpha))
    return gain, gain - half, gain + half, int(rows)


@check("loop-gain", row=ROW)
def loop_gain(project: Project, tallies: Tallies, *, limit: float = 0.2) -> Finding:
    """How much of a small change of the score comes back in the label, by the noise of [feedback] randomise.

    Fails where a loop is shown and its gain is beyond the limit, either way; passes where the whole interval, valid at
    every look, is within it.
    """
    if not project.project.decides:
        return say("not-applicable", IDLE)
    gain, low, high, n = gain_interval(tallies.labels.whole.total("gain"))
    if not n and not project.feedback.randomise:
        return say("not-applicable", "No noise is put on the scores, [feedback] randomise = 0, so the gain of a loop "
                                     "is not measured.")
    if n < FEWEST:
        return say("unknown", f"{n} labelled rows with noise on their score are too few to measure a loop; {FEWEST} "
                              "are needed.", n=n, remedy="wait for more labels")
    verdict = _beyond(gain, low, high, limit)
    shown = "no loop is shown" if low <= 0 <= high else "a loop is shown"
    return say(verdict, f"{gain:+.0%} of a change of the score comes back in the label ({low:+.0%} to {high:+.0%} at "
                        f"every look, {n:,} labelled rows with noise; at most {limit:.0%} is allowed): {shown}.",
               value=gain, low=low, high=high, limit=limit, n=n, remedy={
                   "pass": "", "unknown": "wait for more labels, or raise [feedback] randomise"}.get(
                   verdict, "train on a holdback: [feedback] holdback = 0.05, then shipworthy renew"))


@dataclass(frozen=True)
class Difference:
    """One share in the holdback less that in the rest, with the ends of its confidence sequence."""

    name: str
    held: float
    rest: float
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.held - self.rest

    def __str__(self) -> str:
        return f"{self.held:.1%} and {self.rest:.1%} have {self.name} ({self.low:+.1%} to {self.high:+.1%})"


@check("holdback", row=ROW)
def holdback(project: Project, grid: Reference, tallies: Tallies, beside: Tallies, *, limit: float = 0.05) -> Finding:
    """Whether labels and rows of the entities held back differ from those of the entities that the model answers.

    Who is held back is drawn by a hash, so what differs beyond chance is what our answers do: to which rows get a
    label, to what comes true, or to who comes back. Compared are those shares and the columns; looking often finds no
    more by chance than looking once.
    """
    if not project.project.decides:
        return say("not-applicable", IDLE)
    n, rest = (int(one.rows.whole.total("rows")[0]) for one in (beside, tallies))
    if not n and not project.feedback.holdback:
        return say("not-applicable", "Nothing is held back, [feedback] holdback = 0.")
    told = int(beside.labels.whole.total("labels")[0])
    if min(told, int(tallies.labels.whole.total("labels")[0])) < FEWEST:
        return say("unknown", f"{told} labels of rows held back are too few to compare; {FEWEST} are needed.", n=n,
                   remedy="wait for more labels")
    found = differences(beside, tallies, grid.plan.classes)
    verdicts = [_beyond(one.value, one.low, one.high, limit) for one in found]
    moved = drifted(grid, beside, tallies)
    worst = max(found, key=lambda one: abs(one.value))
    verdict: Verdict = "fail" if "fail" in verdicts or moved else "unknown" if "unknown" in verdicts else "pass"
    columns = f"; these columns differ: {', '.join(moved)}" if moved else (
        "; columns are compared once a day is over" if moved is None else "; no column differs")
    return say(verdict, f"Of {n:,} rows held back and {rest:,} others: {', '.join(map(str, found))}; at most "
                        f"{limit:.0%} apart is allowed{columns}.",
               value=worst.value, low=worst.low, high=worst.high, limit=limit, n=n,
               remedy={"pass": "", "unknown": "wait for more labels, or raise [feedback] holdback"}.get(
                   verdict, "train on the rows held back and with weights: shipworthy renew"))


def differences(
    held: Tallies, rest: Tallies, classes: tuple[str, ...], *, alpha: float = 0.05
) -> list[Difference]:
    """The share of rows with a label, and of each class but the first among those, held back and not.

    classes: of the model; none for a number, of which only the first is compared. The ends hold at every look, and for
    all shares together.
    """
    both = (held, rest)
    rows = [int(one.rows.whole.total("rows")[0]) for one in both]
    labels = [int(one.labels.whole.total("labels")[0]) for one in both]
    truth = [one.labels.whole.total("truth") for one in both]
    plan = [("a label", labels, rows)]
    plan += [(f'the label "{name}"', [int(one[k]) for one in truth], labels)
             for k, name in enumerate(classes) if k]
    return [difference(name, hits, of, alpha / len(plan)) for name, hits, of in plan]


def difference(name: str, hits: list[int], rows: list[int], alpha: float) -> Difference:
    """A share of some rows less that of others, hits of rows held back and not, and the ends that hold at every look.

    Source: the difference of two means by the sequence of `alarm.sequence_width`, its variance that of both.
    """
    total, share = sum(rows), [(hit + 0.5) / (n + 1) for hit, n in zip(hits, rows, strict=True)]
    variance = total * sum(p * (1 - p) / n for p, n in zip(share, rows, strict=True))
    half = float(sequence_width(np.asarray(total, np.float64), np.asarray(variance), alpha=alpha))
    one, other = (hit / n for hit, n in zip(hits, rows, strict=True))
    return Difference(name, one, other, one - other - half, one - other + half)


def drifted(grid: Reference, held: Tallies, rest: Tallies) -> list[str] | None:
    """The columns whose values are not shared alike by the rows held back and the rest, beyond Cohen's w of 0.1.

    They are compared whenever so many more rows were held back, the j-th time at 1 / (j (j + 1)) of the level: by all
    looks together a column is named by chance at most once in a hundred. None before the first time.
    Source: Darling and Robbins (1967); Howard, Ramdas, McAuliffe and Sekhon (2021), stitching over geometric epochs.
    """
    number, end = epoch(held.rows.whole, min(held.until, rest.until))
    if not number:
        return None
    held, rest = (replace(one, rows=one.rows.whole.between(until=end)) for one in (held, rest))
    names = grid.plan.names
    counts = [{name: one.rows.whole.total(f"column {name}") for name in names} for one in (held, rest)]
    among = replace(grid, grid=replace(grid.grid, columns=counts[1], rows=int(rest.rows.whole.total("rows")[0])))
    p = judge_windows(among, {name: one[None] for name, one in counts[0].items()}).p[0]
    bar = RARE / len(names) / (number * (number + 1))
    return [name for name, each in zip(names, p, strict=True) if each <= bar]


def epoch(rows: Sums, until: int) -> tuple[int, int]:
    """Which comparison of rows held back is the newest that is due, from 1, and up to when rows belong to it.

    (0, 0) before the first, at FEWEST. It depends on how many rows came in buckets that are over, so that what
    the rows hold has no say in when they are compared. rows: of no segment. until: last microsecond that is known.
    """
    over = rows.where(rows.at + rows.width <= until - GRACE)
    so_far = np.cumsum(over.of("rows")[:, 0])
    reached = np.flatnonzero(so_far >= FEWEST)
    if not reached.size:
        return 0, 0
    steps = np.floor(np.log(so_far[reached] / FEWEST) / np.log(GROWTH)).astype(np.int64)
    first = reached[np.searchsorted(steps, steps[-1])]
    return int(steps[-1]) + 1, int(over.at[first] + over.width[first])


def apart(tallies: Tallies) -> tuple[Tallies, Tallies]:
    """What the model answered, and what was held back from it. The sample of rows stays whole."""
    def part(held: bool) -> Tallies:
        rows, labels, cohorts = (one.where((one.arm == HELD) == held)
                                 for one in (tallies.rows, tallies.labels, tallies.cohorts))
        return replace(tallies, rows=rows, labels=labels, cohorts=cohorts)

    return part(held=False), part(held=True)


def _beyond(value: float, low: float, high: float, limit: float) -> Verdict:
    """Fail where something is there and beyond the limit; pass where the whole interval is within it."""
    if -limit <= low and high <= limit:
        return "pass"
    return "fail" if abs(value) > limit and not low <= 0 <= high else "unknown"
