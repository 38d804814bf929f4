"""Does the model beat the simplest one that is as good?"""

from __future__ import annotations

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Candidate, Learned, Parts
from shipworthy.core.project import Project
from shipworthy.learning.selection.choice import fits, gain, simpler
from shipworthy.marks import check

LEAST = 100
UNIT = {"binary": "AUC", "multiclass": "accuracy", "regression": "R²"}


@check("beats-simplest", row="learning.complexity")
def beats_simplest(learned: Learned, parts: Parts, project: Project) -> Finding:
    """Whether no simpler candidate is within noise of the best one.

    A candidate is within noise if the best gains no more than epsilon over it at the low end of the paired 95 %
    interval on the tune part. Simpler: a glass box before a black box, then fewer leaves, cells and weights.
    """
    chosen, rows = learned.chosen, parts.tune.rows
    if rows < LEAST:
        return say("unknown", f"The tune part has {rows} rows, fewer than {LEAST}.", n=rows)
    able = [one for one in learned.candidates if fits(one, project.learning)] or list(learned.candidates)
    best = max([*able, chosen], key=lambda one: one.figures.metric)
    easier = sorted((one for one in able if simpler(one, chosen)), key=lambda one: one.figures.complexity)
    task, truth, chart = chosen.model.task, chosen.model.truth(parts.tune), front(learned)
    for one in easier:
        value, low, high = gain(best.scores, one.scores, truth, task)
        if low <= project.learning.epsilon:
            return say("fail", f"{one.learner} is simpler than {chosen.learner} ({one.figures.complexity:,} against "
                               f"{chosen.figures.complexity:,} statements) and as good: {best.learner} gains {value:.4f} "
                               f"[{low:.4f}, {high:.4f}] {UNIT[task]} over it on {rows:,} rows; more than "
                               f"{project.learning.epsilon:g} would pay for the complexity.",
                       value=value, low=low, high=high, limit=project.learning.epsilon, n=rows, chart=chart,
                       remedy=f'release {one.learner}: [learning] learners = ["trivial", "{one.learner}"]')
    if not easier:
        return say("pass", f"{chosen.learner} is the simplest of {len(able)} candidates on {rows:,} rows; the best, "
                           f"{best.learner}, does not gain enough over it.", n=rows, chart=chart)
    rival = max(easier, key=lambda one: one.figures.metric)
    value, low, high = gain(best.scores, rival.scores, truth, task)
    return say("pass", f"No simpler candidate is as good as {chosen.learner}: {best.learner} gains {value:.4f} [{low:.4f}, "
                       f"{high:.4f}] {UNIT[task]} over {rival.learner}, the best of {len(easier)} simpler ones, on "
                       f"{rows:,} rows.", value=value, low=low, high=high, limit=project.learning.epsilon, n=rows, chart=chart)


def front(learned: Learned) -> dict[str, object]:
    """Quality against complexity of every candidate, as plot data."""
    ordered: list[Candidate] = sorted(learned.candidates, key=lambda one: one.figures.complexity)
    return {"kind": "front", "x": [one.figures.complexity for one in ordered],
            "y": [one.figures.metric for one in ordered], "name": [one.learner for one in ordered],
            "chosen": learned.chosen.learner}
