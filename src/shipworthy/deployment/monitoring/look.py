"""One look at a release: its traffic and labels, the bar that an alarm must reach, and whether the model does harm."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from shipworthy.core.amounts import by_row
from shipworthy.core.grid import Reference
from shipworthy.core.project import Project
from shipworthy.deployment.monitoring import alarm as alarms_
from shipworthy.deployment.monitoring.cause import LEAST_ROWS, density_ratio
from shipworthy.deployment.monitoring.estimate import estimate
from shipworthy.deployment.monitoring.harm import FEWEST_LABELS, recent_risk, reference_risk, risk_limit
from shipworthy.deployment.monitoring.incident import Alarm, Harm
from shipworthy.deployment.monitoring.joined import PER_YEAR, Joined, Served, start_of, window_of

RECENT_WINDOWS = {"hour": 24, "day": 7, "week": 4}
RIGHT, WRONG = ("true_positive", "true_negative"), ("false_negative", "false_positive")
FAMILIES = ("broken", "drift", "harm", "outliers")


@dataclass(frozen=True)
class Look:
    """What one look judges. release: id of the release that served."""

    reference: Reference
    traffic: Served
    joined: Joined | None
    project: Project
    release: str

    def bar(self, level: str, *, levels: int = 1) -> float:
        """What an alarm statistic must reach, of a level that shares the budget with others."""
        return alarms_.threshold(per_year=PER_YEAR[level], families=len(FAMILIES), levels=levels,
                                 pages_per_year=self.project.watch.pages_per_year)


def harm_status(look: Look, alarms: tuple[Alarm, ...], at: int) -> tuple[Harm, str]:
    """Whether the model does harm at a time, from labels if there are enough, else estimated, and why we say so.

    The labels are those of the rows served in the days before, whenever they came: what is measured outweighs what is
    estimated.
    """
    if any(alarm.family == "harm" for alarm in alarms):
        return "yes", "the labels prove it"
    limit, level = risk_limit(look.reference, look.project.watch.tolerance), look.project.watch.window
    if look.joined is not None:
        since = start_of(int(window_of(np.array([at]), level)[0]) - RECENT_WINDOWS[level], level)
        asked = look.traffic.at[look.joined.row]
        recent = (asked >= since) & (asked <= at)
        risk, low, high, n = recent_risk(replace(look.joined, loss=look.joined.loss[recent]))
        known = f"the risk is {risk:.3f} on {n} labels, at most {limit:.3f} is allowed"
        if n >= FEWEST_LABELS and low > limit:
            return "yes", known
        if n >= FEWEST_LABELS and high <= limit:
            return "no", known
    widest = max((alarm.level for alarm in alarms), key=list(PER_YEAR).index)
    since = start_of(int(window_of(np.array([at]), widest)[0]), widest)
    end = int(np.searchsorted(look.traffic.at, at, side="right"))
    start = max(0, min(int(np.searchsorted(look.traffic.at, since)), end - LEAST_ROWS))
    return _estimated_harm(look, slice(start, end))


def _estimated_harm(look: Look, rows: slice) -> tuple[Harm, str]:
    reference, tolerance = look.reference, look.project.watch.tolerance
    cells = np.stack([look.traffic.cells[name][rows] for name in reference.plan.names], axis=1)
    ratio = density_ratio(reference, cells)
    if ratio is None or not ratio.usable:
        return "unknown", "unknown, too few labels, and the traffic hardly overlaps the reference"
    score = np.bincount(look.traffic.where[rows], minlength=reference.plan.score_cells)
    found = estimate(reference, score, weights=ratio.weights)
    drops = [drop for name, drop in found.drops.items() if name != "f1" and np.isfinite(drop[1])]
    if not drops:
        return "unknown", f"unknown, {found.why or 'no figure can be estimated'}"
    if max(low for _, low, _ in drops) > tolerance:
        return "yes", f"estimated without labels, a drop of {max(d for d, _, _ in drops):.3f}"
    if max(high for _, _, high in drops) <= tolerance:
        return "no", "none estimated without labels"
    return "unknown", "unknown, too few labels and the estimate is too wide"


def money_lost(look: Look, at: int) -> tuple[float | None, str]:
    """What the extra errors per 1,000 decisions cost, in the project's currency; None without labels or amounts."""
    value = look.project.value
    if value is None or by_row(value) or look.joined is None or len(look.reference.plan.classes) != 2:
        return None, ""
    risk, _, _, n = recent_risk(replace(look.joined, loss=look.joined.loss[look.joined.arrived <= at]))
    if n < FEWEST_LABELS:
        return None, ""
    right, wrong = ([float(getattr(value, cell)) for cell in cells] for cells in (RIGHT, WRONG))
    each = (sum(right) - sum(wrong)) / 2
    return round(max(0.0, risk - reference_risk(look.reference)) * 1_000 * each, 2), value.currency
