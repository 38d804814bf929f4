"""Is a black box paid for by its gain over the best glass box?"""

from __future__ import annotations

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Learned, Parts
from shipworthy.core.project import Project
from shipworthy.learning.selection.choice import gain
from shipworthy.learning.selection.complexity import LEAST, UNIT
from shipworthy.marks import check


@check("black-box-earns-it", row="learning.interpretability")
def black_box_earns_it(learned: Learned, parts: Parts, project: Project) -> Finding:
    """Whether the chosen model is a glass box, or gains more than epsilon over the best one at the low end.

    The gain is in AUC (accuracy, R²), with its paired 95 % interval on the tune part.
    """
    chosen, rows, limit = learned.chosen, parts.tune.rows, project.learning.epsilon
    glass = [one for one in learned.candidates if one.glass_box]
    if chosen.glass_box:
        return say("pass", f"{chosen.learner} is a glass box: its {chosen.figures.complexity:,} statements "
                   "can be read.", n=rows)
    if not glass:
        return say("fail", f"{chosen.learner} is a black box and no glass box was tried.", n=rows,
                   remedy='try one: [learning] learners = ["linear", "tree", "additive", "boosted"]')
    if rows < LEAST:
        return say("unknown", f"The tune part has {rows} rows, fewer than {LEAST}.", n=rows)
    rival = max(glass, key=lambda one: one.figures.metric)
    value, low, high = gain(chosen.scores, rival.scores, chosen.model.truth(parts.tune), chosen.model.task)
    facts = {"value": value, "low": low, "high": high, "limit": limit, "n": rows}
    bars = {"kind": "bars", "name": [f"{chosen.learner} over {rival.learner}"], "value": [value], "low": [low],
            "high": [high], "limit": [limit]}
    told = (f"{chosen.learner} gains {value:.4f} [{low:.4f}, {high:.4f}] {UNIT[chosen.model.task]} over "
            f"{rival.learner}, the best of {len(glass)} glass boxes, on {rows:,} rows")
    if low > limit:
        return say("pass", f"{told}: more than {limit:g}.", chart=bars, **facts)
    remedy = f'release {rival.learner}: [learning] learners = ["trivial", "{rival.learner}"]'
    return say("fail", f"{told}: not more than {limit:g} for sure.", chart=bars, remedy=remedy, **facts)
