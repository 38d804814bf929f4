"""Fairness over time: gaps between protected groups in what was served and what came true of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from shipworthy.core.clock import DAY
from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import FIXED, SCORE_CELLS, Reference
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Sums, Tallies
from shipworthy.deployment.monitoring.alarm import sequence_width
from shipworthy.marks import check

LIMITS = {"impact-ratio": 0.80, "equalised-odds": 0.10}
PERIOD = 28
FEWEST = 100
ALPHA = 0.05
NO, YES = slice(0, SCORE_CELLS), slice(SCORE_CELLS, 2 * SCORE_CELLS)


@dataclass(frozen=True)
class Share:
    """How often something was so in one group, after every day. hits, n: (days,) so far in the period."""

    group: str
    hits: Floats
    n: Floats


@dataclass(frozen=True)
class Gap:
    """How far a pair of groups is beyond the limit, after every day of a period; above 0 is beyond.

    what: rate that is compared. value, half: (days,), with a confidence sequence. enough: (days,) rows on both sides.
    """

    what: str
    left: str
    right: str
    period: int
    value: Floats
    half: Floats
    enough: np.ndarray[tuple[int], np.dtype[np.bool_]]
    rates: tuple[float, float]

    @property
    def proved(self) -> bool:
        """Whether it was beyond the limit, for certain, after any day."""
        return bool(((self.value - self.half > 0) & self.enough).any())

    @property
    def open(self) -> bool:
        """Whether it may be beyond the limit by now."""
        return bool(self.enough[-1] and self.value[-1] + self.half[-1] > 0)


def gaps(project: Project, tallies: Tallies, classes: tuple[str, ...]) -> list[Gap]:
    """Every pair of groups of every protected column, since the release (period 0) and in every four weeks.

    What may be missed is halved between the whole and the periods, the k-th of which gets 1 / (k (k + 1)) of its half:
    so a gap that opens after a year is found as fast as one on the first day. Source: Waudby-Smith et al. (2024), the
    sequence for a difference; Bonferroni, pairs and periods.
    """
    criterion = project.fairness.criterion
    limit = project.fairness.limit or LIMITS[criterion]
    found: list[Gap] = []
    for column in project.data.protected:
        names = [one for one in tallies.rows.segments if one.startswith(f"{column}=")]
        whole = _measured(tallies, names, criterion, project.fairness.favourable or classes[-1], classes)
        for what, shares in whole:
            days = len(shares[0].n) if shares else 0
            pairs = len(shares) * (len(shares) - 1) * len(whole) * len(project.data.protected)
            parts = [(0, days), *((day, min(day + PERIOD, days)) for day in range(0, days, PERIOD))]
            for k, (first, last) in enumerate(parts):
                alpha = ALPHA / 2 / max(1, pairs) / (k * (k + 1) if k else 1)
                part = [Share(one.group, _from(one.hits, first, last), _from(one.n, first, last)) for one in shares]
                found += [_gap(what, pair, limit, (k, alpha)) for pair in permutations(part, 2) if last > first]
    return found


def _from(daily: Floats, first: int, last: int) -> Floats:
    return np.cumsum(daily[first:last])


def _gap(what: str, pair: tuple[Share, Share], limit: float, look: tuple[int, float]) -> Gap:
    """How far the first group is below `limit` times the second (selection), or above it by more than the limit."""
    left, right = pair
    n, m = np.maximum(left.n, 1), np.maximum(right.n, 1)
    a, b = left.hits / n, right.hits / m
    ratio = what == "selected"
    value, scale = (limit * b - a, limit) if ratio else (a - b - limit, 1.0)
    variance = np.maximum(a * (1 - a), 1e-4) / n + scale**2 * np.maximum(b * (1 - b), 1e-4) / m
    half = sequence_width(n + m, (n + m) * variance, alpha=look[1])
    return Gap(what, left.group, right.group, look[0], value, half, (left.n >= FEWEST) & (right.n >= FEWEST),
               (float(a[-1]), float(b[-1])))


def _measured(
    tallies: Tallies, names: list[str], criterion: str, wish: str, classes: tuple[str, ...]
) -> list[tuple[str, list[Share]]]:
    """What is compared, and of every group how often it was so, by day of serving or of the label's arrival."""
    second = wish == classes[-1]
    if criterion == "impact-ratio":
        days = _days(tallies.rows)
        return [("selected", [Share(name, *_selected(tallies.rows.where(tallies.rows.segment == name), days, second))
                              for name in names])]
    days, told = _days(tallies.labels), list(_odds(tallies, names, second))
    return [(what, [Share(name, _spread(part, hits, days), _spread(part, n, days)) for name, part, hits, n in
                    (one[1:] for one in told if one[0] == what)]) for what in ("accepted rightly", "accepted wrongly")]


def _selected(part: Sums, days: Ints, second: bool) -> tuple[Floats, Floats]:
    score = part.of("score")
    no, yes = score[:, NO].sum(axis=1), score[:, YES].sum(axis=1)
    return _spread(part, yes if second else no, days), _spread(part, no + yes, days)


def _odds(tallies: Tallies, names: list[str], second: bool) -> Iterator[tuple[str, str, Sums, Ints, Ints]]:
    """Rate, group, its sums, hits and rows: how often the wish was granted to those it came true of, and others."""
    for name in names:
        part = tallies.labels.where(tallies.labels.segment == name)
        size = part.of("outcomes").shape[1] // 2
        rows, came = part.of("outcomes")[:, :size], part.of("outcomes")[:, size:] // FIXED
        tp, fn = came[:, YES].sum(axis=1), came[:, NO].sum(axis=1)
        fp, tn = rows[:, YES].sum(axis=1) - tp, rows[:, NO].sum(axis=1) - fn
        yield ("accepted rightly", name, part, tp if second else tn, tp + fn if second else tn + fp)
        yield ("accepted wrongly", name, part, fp if second else fn, tn + fp if second else tp + fn)


def _days(found: Sums) -> Ints:
    at = found.at // DAY
    return np.arange(at.min(), at.max() + 1) if len(at) else np.zeros(0, np.int64)


def _spread(part: Sums, counts: Ints, days: Ints) -> Floats:
    """Counts by day, (days,)."""
    if not len(days):
        return np.zeros(0)
    return np.asarray(np.bincount(part.at // DAY - days[0], weights=counts, minlength=len(days)), np.float64)


def calibration_gap(tallies: Tallies, project: Project) -> str:
    """The largest difference between groups of what came true less what was expected, in words; empty if unknown."""
    told = []
    for column in project.data.protected:
        known = []
        for name in [one for one in tallies.labels.segments if one.startswith(f"{column}=")]:
            n, _, _, surprise, _ = tallies.labels.where(tallies.labels.segment == name).total("labels").tolist()
            if n >= FEWEST:
                known.append((surprise / FIXED / n, name))
        if len(known) > 1:
            told.append((max(known)[0] - min(known)[0], max(known)[1], min(known)[1]))
    if not told:
        return ""
    gap, most, least = max(told)
    return f" What comes true exceeds what is expected by {gap:.3f} more for {most} than for {least}."


@check("fairness-over-time", row="ethics.bias")
def fairness_over_time(project: Project, grid: Reference, tallies: Tallies) -> Finding:
    """Whether the criterion of the project file still holds between groups of what is served.

    impact-ratio needs no labels; equalised-odds is judged on labels as they come. Groups are the values of protected
    categories, whether or not the model reads them, as far as requests carry them. Since the release, and in every four
    weeks.
    """
    criterion, protected = project.fairness.criterion, project.data.protected
    if not protected:
        return say("not-applicable", "No column is protected, so there are no groups to compare.")
    if len(grid.plan.classes) != 2:
        return say("not-applicable", "Gaps over time are measured of two classes.")
    if criterion == "none":
        return say("unknown", "No criterion was chosen, so no gap can be judged.",
                   remedy='[fairness] criterion = "impact-ratio" or "equalised-odds"')
    found = gaps(project, tallies, grid.plan.classes)
    judged, rows = [one for one in found if one.enough[-1] or one.proved], int(tallies.rows.whole.total("rows")[0])
    if not judged:
        return say("unknown", f"No two groups by {', '.join(protected)} have {FEWEST} rows each in what was served.",
                   n=rows,
                   remedy="send the protected columns with requests; they are logged and the model does not read them")
    limit = project.fairness.limit or LIMITS[criterion]
    proved = [one for one in judged if one.proved]
    since = [one for one in judged if one.period == 0]
    worst = max(proved or since or judged, key=lambda one: one.value[-1] - one.half[-1])
    unopened = not proved and not any(one.open for one in since)
    facts = {"value": float(worst.value[-1]), "low": float(worst.value[-1] - worst.half[-1]),
             "high": float(worst.value[-1] + worst.half[-1]), "limit": 0.0, "n": rows,
             "chart": {"kind": "line", "x": list(range(len(worst.value))), "y": worst.value.tolist(), "limit": 0.0}}
    low, high = worst.rates
    when = f"in weeks {4 * worst.period - 3} to {4 * worst.period}" if worst.period else "since the release"
    span = (f"{worst.what}: {low:.1%} of {worst.left} and {high:.1%} of {worst.right} {when}, "
            f"{facts['value']:+.3f} beyond the limit of {criterion} {limit:g} (95 % confidence sequence "
            f"{facts['low']:+.3f} to {facts['high']:+.3f}).{calibration_gap(tallies, project)}")
    if proved:
        return say("fail", f"A gap between groups has opened; {span}", **facts,
                   remedy="find what changed for that group, then renew; what levelling costs: shipworthy mitigate")
    if not unopened:
        return say("unknown", f"A gap between groups may have opened; {span}", **facts, remedy="wait for more traffic")
    return say("pass", f"No gap between groups is beyond its limit; {span}", **facts)
