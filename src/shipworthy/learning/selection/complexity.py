"""Does the model beat the simplest one that is as good?"""

from __future__ import annotations

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Candidate, Learned, Parts
from shipworthy.core.project import Project
from shipworthy.learning.selection.choice import as_good, gain, simpler, standard
from shipworthy.marks import check

LEAST = 100
UNIT = {"binary": "AUC", "multiclass": "accuracy", "regression": "R²"}


@check("beats-simplest", row="learning.complexity")
def beats_simplest(learned: Learned, parts: Parts, project: Project) -> Finding:
    """Whether no simpler candidate of the side that is called for, glass or black box, is as good as the best there.

    As good: the best gains no more than epsilon and one standard error of the paired difference over it, on the tune
    part. The black side is called for if its best gains more than epsilon over every glass box at the low end of the
    95 % interval. Simpler: a glass box before a black box, then fewer leaves, cells and weights.
    """
    chosen, rows, limit = learned.chosen, parts.tune.rows, project.learning.epsilon
    if rows < LEAST:
        return say("unknown", f"The tune part has {rows} rows, fewer than {LEAST}.", n=rows)
    task, truth, chart = chosen.model.task, chosen.model.truth(parts.tune), front(learned)
    best, side = standard(learned.candidates, truth, project.learning)
    easier = [one for one in side if simpler(one, chosen)]
    for one in easier:
        if as_good(one, best, truth, project.learning):
            value, low, high = gain(best.scores, one.scores, truth, task)
            return say("fail", f"{one.learner} is simpler than {chosen.learner} ({one.figures.complexity:,} against "
                               f"{chosen.figures.complexity:,} statements) and as good: {best.learner} gains {value:.4f} "
                               f"[{low:.4f}, {high:.4f}] {UNIT[task]} over it on {rows:,} rows.",
                       value=value, low=low, high=high, limit=limit, n=rows, chart=chart,
                       remedy=f'release {one.learner}: [learning] learners = ["trivial", "{one.learner}"]')
    rivals = easier or [one for one in learned.candidates if simpler(one, chosen)]
    if not rivals:
        return say("pass", f"{chosen.learner} is the simplest of {len(learned.candidates)} candidates, and none gains enough "
                           f"over it on {rows:,} rows.", n=rows, chart=chart)
    rival = max(rivals, key=lambda one: one.figures.metric)
    value, low, high = gain(best.scores, rival.scores, truth, task)
    return say("pass", f"No simpler candidate is as good as {chosen.learner}: {best.learner} gains {value:.4f} [{low:.4f}, "
                       f"{high:.4f}] {UNIT[task]} over {rival.learner}, the best of {len(rivals)} simpler ones, on "
                       f"{rows:,} rows.", value=value, low=low, high=high, limit=limit, n=rows, chart=chart)


def front(learned: Learned) -> dict[str, object]:
    """Quality against complexity of every candidate, as plot data."""
    ordered: list[Candidate] = sorted(learned.candidates, key=lambda one: one.figures.complexity)
    return {"kind": "front", "x": [one.figures.complexity for one in ordered],
            "y": [one.figures.metric for one in ordered], "name": [one.learner for one in ordered],
            "chosen": learned.chosen.learner}
