"""Does the model make its own next training data?"""

from __future__ import annotations

from shipworthy.core.evidence import Finding, held, say
from shipworthy.core.grid import FIXED
from shipworthy.core.project import Project
from shipworthy.core.tallies import Tallies
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson


@check("feedback", row="deployment.feedback-loops")
def feedback(project: Project, tallies: Tallies, *, limit: float = 0.5) -> Finding:
    """Share of the next training set whose label depended on what the model decided.

    Reads the log's column `influenced` (true where the label could not exist, or could differ, without the action)
    and `propensity` (chance of the action taken), and says how many rows of equal weight those are worth that are
    weighed by 1 / propensity.
    """
    if not project.project.decides:
        return say("not-applicable", "The project declares that the answer decides nothing, so labels do not "
                   "depend on it.")
    n, hits, absent, weight, square = tallies.labels.whole.total("influence").tolist()
    labelled = int(tallies.labels.whole.total("labels")[0])
    if labelled and not n:
        return say("unknown", "The log does not say which labels depended on the decision, so the model's influence on "
                              "its next training set is not known.",
                   remedy='[feedback] influenced = ["DECISION"], or log "influenced" and "propensity"')
    if n < 100:
        return say("unknown", f"{n} labelled rows are too few to judge the model's influence on them.", n=n)
    low, high = clopper_pearson(hits, n)
    verdict = "fail" if absent else held(hits / n, limit=limit, high=high, at_most=True)
    tail = f"; {absent} of them have no propensity and must not be trained on" if absent else ""
    worth = weight**2 / FIXED / square if square else 0.0
    tail = f"; by 1 / propensity they are worth {worth / n:.0%} of the rows{tail}" if worth < 0.995 * n else tail
    return say(verdict, f"{hits / n:.0%} of {n:,} labelled rows owe their label to the model's decision (95 % interval "
                        f"{low:.0%} to {high:.0%}, at most {limit:.0%} is allowed){tail}.",
               value=hits / n, low=low, high=high, limit=limit, n=n,
               remedy="" if verdict == "pass" else "hold back some decisions, and train on those rows: [feedback] "
                                                   "holdback = 0.05")
