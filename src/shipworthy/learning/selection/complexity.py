"""Does the model beat the simplest one that is as good?"""

from __future__ import annotations

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Candidate, Learned, Parts
from shipworthy.core.project import Project
from shipworthy.learning.selection.choice import as_good, gain, simpler, standard, trivial_of
from shipworthy.marks import check

LEAST = 100
UNIT = {"binary": "AUC", "multiclass": "accuracy", "regression": "R²"}


@check("beats-simplest", row="learning.complexity")
def beats_simplest(learned: Learned, parts: Parts, project: Project) -> Finding:
    """Whether no simpler candidate of the side that is called for, glass or black box, is as good as the best there.

    As good: the best gains no more than epsilon and one standard error of the paired difference over it on the tune
    part, by quality and by loss, and plausibly no more than half of what it gains over the trivial rule. The black side
    is called for if its best gains more than epsilon over every glass box at the low end of the 95 % interval. Simpler:
    a glass box before a black box, then fewer leaves, cells and weights.
    """
    chosen, rows, limit = learned.chosen, parts.tune.rows, project.learning.epsilon
    if rows < LEAST:
        return say("unknown", f"The tune part has {rows} rows, fewer than {LEAST}.", n=rows)
    task, truth, chart = chosen.model.task, chosen.model.truth(parts.tune), front(learned)
    best, side = standard(learned.candidates, truth, project.learning)
    easier = [one for one in side if simpler(one, chosen)]
    rule = trivial_of(learned.candidates)
    good = next((one for one in easier if as_good(one, best, truth, project.learning, rule)), None)
    rivals = easier or [one for one in learned.candidates if simpler(one, chosen)]
    if not rivals:
        told = f"{chosen.learner} is the simplest of {len(learned.candidates)} candidates"
        return say("pass", f"{told}, and none gains enough over it on {rows:,} rows.", n=rows, chart=chart)
    rival = good or max(rivals, key=lambda one: one.figures.metric)
    value, low, high = gain(best.scores, rival.scores, truth, task)
    facts = {"value": value, "low": low, "high": high, "limit": limit, "n": rows, "chart": chart}
    told = f"{best.learner} gains {value:.4f} [{low:.4f}, {high:.4f}] {UNIT[task]} over"
    if good is not None:
        sizes = f"{good.figures.complexity:,} against {chosen.figures.complexity:,} statements"
        remedy = f'release {good.learner}: [learning] learners = ["trivial", "{good.learner}"]'
        return say("fail", f"{good.learner} is simpler than {chosen.learner} ({sizes}) and as good: {told} it on "
                           f"{rows:,} rows.", remedy=remedy, **facts)
    return say("pass", f"No simpler candidate is as good as {chosen.learner}: {told} {rival.learner}, the best of "
                       f"{len(rivals)} simpler ones, on {rows:,} rows.", **facts)


def front(learned: Learned) -> dict[str, object]:
    """Quality against complexity of every candidate, as plot data."""
    ordered: list[Candidate] = sorted(learned.candidates, key=lambda one: one.figures.complexity)
    return {
        "kind": "front",
        "x": [one.figures.complexity for one in ordered],
        "y": [one.figures.metric for one in ordered],
        "name": [one.name for one in ordered],
        "chosen": learned.chosen.name,
    }
