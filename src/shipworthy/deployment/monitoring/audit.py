"""An audit sample: answers chosen by the hash of their ids, all of which are labelled, and what they prove.

The choice knows nothing of the answer, so what is measured on it holds whatever has changed, a relation too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shipworthy.core.chosen import level_of
from shipworthy.core.clock import DAY
from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import FIXED, Reference
from shipworthy.core.project import Project
from shipworthy.core.table import Ints
from shipworthy.core.tallies import Sums, Tallies
from shipworthy.deployment.monitoring.alarm import sequence_width
from shipworthy.deployment.monitoring.harm import reference_risk, risk_limit
from shipworthy.marks import check

FEWEST = 100
ANSWERED = 0.9


@dataclass(frozen=True)
class Audited:
    """The risk of all rows of the days whose audited answers are labelled, NaN under 100 such labels.

    half: of its confidence sequence. rows, labels: of those days, and their audited labels. chosen, known: audited
    answers of all days, and how many have a label.
    """

    risk: float
    half: float
    rows: int
    labels: int
    chosen: int
    known: int


def audited(tallies: Tallies, share: float, *, alpha: float = 0.05) -> Audited:
    """What the audit sample proves of the risk, at every look at once.

    The mean expected loss of all rows, put right by the mean error of that expectation on the audited ones. Only days
    nine in ten of whose audited answers are labelled count, so that late bad news is not left out.
    Source: Angelopoulos, Bates, Fannjiang, Jordan and Zrnic (2023), prediction-powered inference.
    """
    upto = level_of(share) + 1
    days = np.unique(tallies.rows.whole.at // DAY)
    served = np.concatenate([_by_day(tallies.rows.whole, name, days) for name in ("rows", "expected", "audit")], axis=1)
    told = _by_day(tallies.cohorts.whole, "audit", days).reshape(len(days), -1, 3)[:, :upto].sum(axis=1)
    chosen = served[:, 4 : 4 + upto].sum(axis=1)
    done = (chosen > 0) & (told[:, 0] >= ANSWERED * chosen)
    rows, _, expected, square = served[done, :4].sum(axis=0).tolist()
    n, error, squared = told[done].sum(axis=0).tolist()
    if n < FEWEST:
        return Audited(float("nan"), float("nan"), rows, n, int(chosen.sum()), int(told[:, 0].sum()))
    mean, wrong = expected / FIXED / rows, error / FIXED / n
    variance = max(0.0, square / FIXED / rows - mean**2) / rows + max(1e-6, squared / FIXED / n - wrong**2) / n
    half = sequence_width(np.array(float(n)), np.array(n * variance), alpha=alpha)
    return Audited(mean + wrong, float(half), rows, n, int(chosen.sum()), int(told[:, 0].sum()))


def _by_day(found: Sums, meter: str, days: Ints) -> Ints:
    """The sums of every day, (days, width). days: numbers of UTC days, in order."""
    cells = found.of(meter)
    summed, place = np.zeros((len(days), cells.shape[1]), np.int64), np.searchsorted(days, found.at // DAY)
    known = (place < len(days)) & np.isin(found.at // DAY, days)
    np.add.at(summed, place[known], cells[known])
    return summed


@check("audited-performance", row="deployment.monitoring")
def audited_performance(project: Project, grid: Reference, tallies: Tallies) -> Finding:
    """Whether the risk of all traffic is beyond what the reference allows, by labels of a random sample of it.

    [watch] audit says how large the sample is; `shipworthy labels --audit` lists its answers that lack a label.
    """
    share, limit = project.watch.audit, risk_limit(grid, project.watch.tolerance)
    if level_of(share) < 0:
        return say("not-applicable", "No audit sample is declared: [watch] audit is 0.")
    if not limit < 1:
        return say("unknown", "The reference holds no right answer, so no risk can be held to it.")
    found = audited(tallies, share)
    known = f"{found.labels:,} of {found.chosen:,} answers chosen by chance, for {found.rows:,} rows"
    if np.isnan(found.risk):
        return say("unknown", f"{found.known:,} of {found.chosen:,} audited answers have a label, and {found.labels:,} "
                   f"are of days that are nearly all labelled; {FEWEST} are needed.", n=found.labels,
                   remedy="label what this lists: shipworthy labels --audit")
    low, high = found.risk - found.half, found.risk + found.half
    facts = {"value": found.risk, "low": low, "high": high, "limit": limit, "n": found.labels}
    span = (f"{found.risk:.3f} (95 % confidence sequence {low:.3f} to {high:.3f}, at most {limit:.3f}, reference "
            f"{reference_risk(grid):.3f}; {known})")
    if low > limit:
        return say("fail", f"By an audit, the risk is {span}.", **facts,
                   remedy="shipworthy rollback, then shipworthy renew")
    if high > limit:
        return say("unknown", f"By an audit, the risk may be too high: {span}.", **facts,
                   remedy="label the audited answers of more days: shipworthy labels --audit")
    return say("pass", f"By an audit, the risk is {span}.", **facts)
