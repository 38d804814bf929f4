"""Did the ladder and the search keep their wall-clock budget?"""

from __future__ import annotations

from shipworthy.core.evidence import Finding, held, say
from shipworthy.core.learned import Learned
from shipworthy.marks import check


@check("budget-kept", row="learning.search-cost")
def budget_kept(learned: Learned, *, over: float = 0.05) -> Finding:
    """Whether learning took at most 5 % longer than `[learning] seconds`."""
    cost = learned.cost
    limit = cost.budget_seconds * (1 + over)
    verdict = held(cost.wall_seconds, limit=limit, at_most=True) if cost.budget_seconds > 0 else "unknown"
    course = [one for one in learned.course if one.seconds > 0]
    chart = {"kind": "line", "x": [one.seconds for one in course], "y": [one.loss for one in course]} if course else {}
    return say(verdict, f"Learning took {cost.wall_seconds:.1f} s of the {cost.budget_seconds:g} s declared, "
                        f"{cost.trials} trials of a search among it; {limit:.1f} s are allowed.",
               value=cost.wall_seconds, limit=limit, n=cost.trials, chart=chart,
               remedy="" if verdict == "pass" else "raise [learning] seconds, or name fewer learners")
