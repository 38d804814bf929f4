"""Did the ladder and the search keep their wall-clock budget?"""

from __future__ import annotations

from shipworthy.core.evidence import Finding, held, say
from shipworthy.core.learned import Learned
from shipworthy.core.project import Project
from shipworthy.core.words import counted
from shipworthy.marks import check


@check("budget-kept", row="learning.search-cost")
def budget_kept(learned: Learned, project: Project, *, over: float = 0.05) -> Finding:
    """Whether learning took at most 5 % longer than `[learning] seconds`, or made at most `[learning] trials`.

    A budget that was kept by cutting the search is kept, and what was cut is said first.
    """
    cost = learned.cost
    asked = project.learning.trials
    if asked:
        return say(held(cost.trials, limit=asked, at_most=True), f"The search made {counted(cost.trials, 'trial')} of "
                   f"the {asked:,} declared and asked no clock, so the outcome depends on rows and seed alone; it all "
                   f"took {cost.wall_seconds:.1f} s.", value=cost.trials, limit=asked, n=cost.trials,
                   remedy="" if cost.trials <= asked else "run it again: shipworthy run")
    limit = cost.budget_seconds * (1 + over)
    verdict = held(cost.wall_seconds, limit=limit, at_most=True) if cost.budget_seconds > 0 else "unknown"
    course = [one for one in learned.course if one.seconds > 0]
    chart = {"kind": "line", "x": [one.seconds for one in course], "y": [one.loss for one in course]} if course else {}
    loud = f"{cost.cut[0].upper()}{cost.cut[1:]} ([learning] trials makes it repeatable). " if cost.cut else ""
    return say(verdict, f"{loud}Learning took {cost.wall_seconds:.1f} s of the {cost.budget_seconds:g} s declared, "
                        f"{counted(cost.trials, 'trial')} of a search among it; {limit:.1f} s are allowed.",
               value=cost.wall_seconds, limit=limit, n=cost.trials, chart=chart,
               remedy="" if verdict == "pass" else "raise [learning] seconds, or name fewer learners")
