"""Is the champion due for renewal: too old, doing harm, or outgrown by what is known since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from shipworthy.core.clock import DAY, micros
from shipworthy.core.evidence import Finding, say
from shipworthy.core.found import Profile
from shipworthy.core.grid import Reference
from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.core.tallies import Tallies
from shipworthy.deployment.monitoring.harm import harm
from shipworthy.deployment.monitoring.late import MATURE, maturity
from shipworthy.marks import check

FEWEST = 100


@dataclass(frozen=True)
class Cause:
    """Why a champion is due. name: age, harm, growth or labels. value, limit: by what. told: in words."""

    name: str
    value: float
    limit: float
    told: str


@check("renewal-due", row="deployment.concept-drift")
def renewal_due(project: Project, release: Release, profile: Profile, grid: Reference, tallies: Tallies) -> Finding:
    """Whether the champion is older than `[renew] days`, or does harm, or is outgrown: `[renew] growth` times its rows.

    The age runs to the last row or label that is known of. Only mature labels count for the growth: those of days of
    which nine in ten have come.
    """
    n, rules = mature(tallies), project.renew
    found = causes(project, release, profile, grid, tallies)
    age = age_days(release, tallies)
    facts = {"n": n, "value": age, "limit": rules.days or None}
    if found:
        told = "; ".join(one.told for one in found)
        return say("fail", f"The champion is due for renewal: {told}.", **facts, remedy="shipworthy renew",
                   counterexample={"causes": [one.name for one in found]})
    grown = f"{n:,} mature labels beside the {profile.rows:,} rows that it learnt from"
    if n < FEWEST and not rules.days:
        return say("unknown", f"Too little is known since the release: {grown}.", **facts,
                   remedy="send what came true: POST /v1/labels")
    until = f" of at most {rules.days:g}" if rules.days else ""
    return say("pass", f"The champion is not due for renewal: {age:.0f} days old{until}, no harm shown, {grown}.",
               **facts)


def causes(
    project: Project, release: Release, profile: Profile, grid: Reference, tallies: Tallies
) -> tuple[Cause, ...]:
    """Every cause for which the champion is due; none where it is not."""
    rules, found = project.renew, []
    age, known = age_days(release, tallies), mature(tallies)
    if rules.days and age > rules.days:
        found.append(Cause("age", age, rules.days, f"it is {age:.0f} days old, at most {rules.days:g} are allowed"))
    said = harm(project, grid, tallies)
    if said.verdict == "fail":
        found.append(Cause("harm", said.value or 0.0, said.limit or 0.0, said.sentence.rstrip(".").lower()))
    more = (rules.growth - 1) * profile.rows
    if rules.growth and known >= max(more, FEWEST):
        found.append(Cause("growth", known, more, f"{known:,} mature labels have come since it learnt from "
                                                  f"{profile.rows:,} rows, {more:,.0f} were to come first"))
    if rules.continual and known >= rules.rows and release.model.program.label == "online":
        found.append(Cause("labels", known, rules.rows, f"{known:,} labels have come, and it learns with every "
                                                        f"{rules.rows:,}"))
    return tuple(found)


def mature(tallies: Tallies) -> int:
    """How many labels are of days of which nine in ten labels have come; all of them where the delay is not known."""
    cohorts = tallies.cohorts.whole
    labels = cohorts.of("labels")[:, 0]
    share = maturity(cohorts, cohorts.at, max(tallies.until, tallies.told))
    return int(labels[np.nan_to_num(share, nan=1.0) >= MATURE].sum())


def age_days(release: Release, tallies: Tallies) -> float:
    """From the making of a release to the last row or label that is known of, in days, at least 0."""
    made = micros(datetime.fromisoformat(release.manifest.created))
    return max(0.0, (max(tallies.until, tallies.told) - made) / DAY)
