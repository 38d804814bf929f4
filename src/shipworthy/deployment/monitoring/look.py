"""One look at a release: its traffic and labels, the bar that an alarm must reach, and whether the model does harm."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shipworthy.core.amounts import by_row
from shipworthy.core.clock import DAY
from shipworthy.core.grid import Reference
from shipworthy.core.meters import OwnMeter
from shipworthy.core.project import Metered, Project
from shipworthy.core.tallies import Tallies
from shipworthy.deployment.alerts.silence import Silence
from shipworthy.deployment.monitoring import alarm as alarms_
from shipworthy.deployment.monitoring.estimate import estimate, unlabelled
from shipworthy.deployment.monitoring.fourier import Before, before_of, fourier
from shipworthy.deployment.monitoring.harm import FEWEST_LABELS, recent_risk, reference_risk, risk_limit
from shipworthy.deployment.monitoring.incident import ESTIMATED, Alarm, Harm
from shipworthy.deployment.monitoring.joined import PER_YEAR, start_of, window_of
from shipworthy.deployment.monitoring.joint import LEAST_ROWS, density_ratio

RECENT_WINDOWS = {"hour": 24, "day": 7, "week": 4}
QUICK = 5_000  # rows a side that say whether an estimate may be trusted
RIGHT, WRONG = ("true_positive", "true_negative"), ("false_negative", "false_positive")
FAMILIES = ("broken", "drift", "harm", "joint", "outliers")


@dataclass(frozen=True)
class Look:
    """What one look judges. release: id of the release that served. silences: what pages nobody.

    own: the user's meters.
    """

    reference: Reference
    tallies: Tallies
    project: Project
    release: str
    silences: tuple[Silence, ...] = ()
    own: tuple[OwnMeter, ...] = ()

    def limits(self, name: str) -> Metered | None:
        """What the project says a figure of the user's may be; None where it says nothing."""
        found = (one for one in self.project.meter if one.name == name)
        return next((one for one in found if one.at_most is not None or one.at_least is not None), None)

    @cached_property
    def before(self) -> Before:
        """How the columns of the reference go together."""
        return before_of(fourier(self.reference).features(self.reference.sample[:, :-2]))

    def bar(self, level: str, *, levels: int = 1) -> float:
        """What an alarm statistic must reach, of a level that shares the budget with others."""
        families = len(FAMILIES) + sum(self.limits(one.name) is not None for one in self.own)
        return alarms_.threshold(per_year=PER_YEAR[level], families=families, levels=levels,
                                 pages_per_year=self.project.watch.pages_per_year)


def harm_status(look: Look, alarms: tuple[Alarm, ...], at: int) -> tuple[Harm, str]:
    """Whether the model does harm at a time, from labels if there are enough, else estimated, and why we say so.

    The labels are those of the rows served in the days before, whenever they came: what is measured outweighs what is
    estimated.
    """
    if any(alarm.family == "harm" for alarm in alarms):
        return "yes", "the labels prove it"
    limit, level = risk_limit(look.reference, look.project.watch.tolerance), look.project.watch.window
    cohorts = look.tallies.cohorts.whole
    if len(cohorts):
        since = start_of(int(window_of(np.array([at]), level)[0]) - RECENT_WINDOWS[level], level)
        risk, low, high, n = recent_risk(cohorts.between(since - DAY + 1, at + 1))
        known = f"the risk is {risk:.3f} on {n:,} labels, at most {limit:.3f} is allowed"
        if n >= FEWEST_LABELS and low > limit:
            return "yes", known
        if n >= FEWEST_LABELS and high <= limit:
            return "no", known
    widest = max((alarm.level for alarm in alarms), key=list(PER_YEAR).index)
    since = start_of(int(window_of(np.array([at]), widest)[0]), widest)
    return _estimated_harm(look, since, at)


def _estimated_harm(look: Look, since: int, at: int) -> tuple[Harm, str]:
    """Estimated from what was served from a time on, and before it as far as that takes for 200 rows."""
    reference, tolerance = look.reference, look.project.watch.tolerance
    rows = look.tallies.rows.whole.between(until=at + 1)
    enough = int(np.searchsorted(np.cumsum(rows.cells[::-1, 0]), LEAST_ROWS)) + 1
    rows = rows.where(np.arange(len(rows)) >= min(int(np.searchsorted(rows.at, since)), len(rows) - enough))
    first = int(rows.at[0]) if len(rows) else since
    sample = look.tallies.sample.where((look.tallies.sample.at >= first) & (look.tallies.sample.at <= at))
    ratio = density_ratio(reference, sample.cells[:, :-1], most=QUICK)
    if ratio is None or not ratio.usable:
        return "unknown", "unknown, too few labels, and the traffic hardly overlaps the reference"
    found = estimate(reference, unlabelled(rows, sample), weights=ratio.weights)
    drops = [drop for name, drop in found.drops.items() if name != "f1" and np.isfinite(drop[1])]
    if not drops:
        return "unknown", f"unknown, {found.why or 'no figure can be estimated'}"
    if max(low for _, low, _ in drops) > tolerance:
        return "yes", f"{ESTIMATED}, a drop of {max(d for d, _, _ in drops):.3f}"
    if max(high for _, _, high in drops) <= tolerance:
        return "no", "none estimated without labels"
    return "unknown", "unknown, too few labels and the estimate is too wide"


def money_lost(look: Look, at: int) -> tuple[float | None, str]:
    """What the extra errors per 1,000 decisions cost, in the project's currency; None without labels or amounts."""
    value = look.project.value
    if value is None or by_row(value) or len(look.reference.plan.classes) != 2:
        return None, ""
    risk, _, _, n = recent_risk(look.tallies.labels.whole.between(until=at + 1))
    if n < FEWEST_LABELS:
        return None, ""
    right, wrong = ([float(getattr(value, cell)) for cell in cells] for cells in (RIGHT, WRONG))
    each = (sum(right) - sum(wrong)) / 2
    return round(max(0.0, risk - reference_risk(look.reference)) * 1_000 * each, 2), value.currency
