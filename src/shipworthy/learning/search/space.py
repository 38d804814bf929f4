"""Does the best setting lie inside its range?"""

from __future__ import annotations

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Learned
from shipworthy.core.project import Project
from shipworthy.core.words import counted
from shipworthy.learning.search.bounds import NATURAL
from shipworthy.marks import check


@check("best-inside", row="learning.search-space")
def best_inside(learned: Learned, project: Project) -> Finding:
    """Whether every searched setting of the best searched candidate lies inside the range it was drawn from."""
    searched = [one for one in learned.candidates if one.bounds]
    if not project.learning.search:
        return say("not-applicable", "The search is off.", remedy="switch it on: [learning] search = true")
    if not searched:
        return say("unknown", "The search ended before it found anything better than the default settings, so there is "
                   "no best setting to place.", n=learned.cost.trials, remedy="raise [learning] seconds")
    best = min(searched, key=lambda one: one.figures.loss)
    for name, (low, high) in best.bounds.items():
        value = best.settings.get(name)
        if not isinstance(value, int | float):
            continue
        first, last = NATURAL.get(name, (float("-inf"), float("inf")))
        if (value <= low and low > first) or (value >= high and high < last):
            return say("fail", f"The best {name}, {value:g}, lies on the bound of its range, {low:g} to {high:g}; "
                       "better ones may lie beyond.", value=float(value), low=low, high=high, n=learned.cost.trials,
                       remedy="search longer, so that the range is widened: raise [learning] seconds")
    return say("pass", f"All {len(best.bounds)} searched settings of {best.learner} lie inside their ranges after "
               f"{counted(learned.cost.trials, 'trial')}.", n=learned.cost.trials)
