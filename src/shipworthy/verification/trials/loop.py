"""Decide, observe, retrain, again and again: does the model hold when it makes its own next training rows?

Source: Sculley et al. (2015), "Hidden technical debt", on feedback loops; Ensign et al. (2018), runaway feedback.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, Verdict, say, settled
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Mask, Table
from shipworthy.marks import check
from shipworthy.metrics.classification import auc
from shipworthy.metrics.intervals import paired_mean_difference
from shipworthy.metrics.losses import row_losses
from shipworthy.verification.trials.replay import averaged, gain
from shipworthy.verification.trials.simulation import redraw

FEWEST, MOST, ASKED, GROUP = 60, 600, 2_000, 50
TREES = {"rounds": 40, "num_leaves": 15}


class Round(NamedTuple):
    """The figures of one model on the holdout. metric: higher is better. gap: NaN without groups."""

    metric: float
    value: float
    gap: float


class Slope(NamedTuple):
    """How much a round changes a figure, in every run, (seeds,), and the limit to that."""

    name: str
    each: Floats
    limit: float
    at_most: bool = False
    of: str = ""

    @property
    def ends(self) -> tuple[float, float, float]:
        """Its mean with the interval over the runs."""
        return paired_mean_difference(self.each, np.zeros(len(self.each)))

    @property
    def verdict(self) -> Verdict:
        mean, low, high = self.ends
        return settled(mean, limit=self.limit, low=low, high=high, at_most=self.at_most)

    def __str__(self) -> str:
        mean, low, high = self.ends
        return (f"{self.name} by {mean:+.4f}{self.of} ({low:+.4f} to {high:+.4f}, at "
                f"{'most' if self.at_most else 'least'} {self.limit:+g})")


@check("closed-loop", row="verification.simulation")
def closed_loop(
    project: Project, model: Model, parts: Parts, steps: Steps, *, rounds: int = 5, seeds: int = 5,
    metric: float = 0.01, value: float = 0.05, gap: float = 0.01
) -> Finding:
    """Slopes of metric, value and group gap over rounds of deciding, observing and retraining.

    Each seed starts from some learning rows and takes in as many new ones a round; which labels come back is declared
    by [simulation] labels. Boosted trees, 40 of 15 leaves, learn from all that is known, and are measured on up to
    2,000 holdout rows: AUC (else the mean loss, negative), what deciding earns beyond doing nothing, and the widest
    gap between the selection rates of the groups of the first protected column that is no number. A round may cost at
    most `metric` of the metric and the share `value` of what the first round earned, and widen the gap by at most
    `gap`: at the pessimistic end of the interval over the seeds. Not applicable where the project declares that the
    answer decides nothing.
    """
    if not project.project.decides:
        return say("not-applicable", "The project declares that the answer decides nothing, so labels do not depend "
                   "on it.")
    size = min(MOST, parts.learn.rows // (rounds + 1))
    if size < FEWEST:
        return say("unknown", f"{parts.learn.rows} learning rows are too few for {rounds} rounds of {FEWEST}.",
                   n=parts.learn.rows)
    asked = parts.holdout.spread(ASKED)
    courses = np.array([_course(project, model, parts.learn, asked, steps, seed=seed, rounds=rounds, size=size)
                        for seed in range(seeds)])  # (seeds, rounds, 3)
    slopes = np.array([[np.polyfit(np.arange(rounds), one[:, k], 1)[0] for k in range(3)] for one in courses])
    scale = float(np.abs(courses[:, 0, 1]).mean()) or 1.0
    slopes[:, 1] /= scale
    told = [Slope("the metric", slopes[:, 0], -metric), Slope("the value", slopes[:, 1], -value, of=" of itself"),
            Slope("the group gap", slopes[:, 2], gap, at_most=True)]
    return _said([one for one in told if np.isfinite(one.each).all()], courses)


def _said(told: list[Slope], courses: Floats) -> Finding:
    verdicts = [one.verdict for one in told]
    verdict: Verdict = "fail" if "fail" in verdicts else "unknown" if "unknown" in verdicts else "pass"
    worst, middle = told[verdicts.index(verdict)], courses.mean(axis=0)
    mean, low, high = worst.ends
    return say(verdict, f"Over {courses.shape[1]} rounds of retraining, in {len(courses)} runs, a round changes "
               f"{', '.join(map(str, told))}.", value=mean, low=low, high=high, limit=worst.limit, n=len(courses),
               counterexample={} if verdict == "pass" else {"metric": middle[:, 0].tolist(),
                                                            "value": middle[:, 1].tolist()},
               remedy="" if verdict == "pass" else "learn the truth of some rows that were turned away: decide a few "
               "at random; or try more runs: [checks.closed-loop] seeds")


def _course(
    project: Project, model: Model, pool: Table, asked: Table, steps: Steps, *, seed: int, rounds: int, size: int
) -> list[Round]:
    """The figures after each round of one run."""
    random = np.random.default_rng(seed)
    rows = redraw(pool, (rounds + 1) * size, random).take(random.permutation((rounds + 1) * size))
    known, found = rows.head(size), []
    now = _trained(model, known, steps, seed)
    for start in range(size, (rounds + 1) * size, size):
        known = _both(known, _observed(now, rows.take(np.arange(start, start + size)), project.simulation.labels))
        now = _trained(model, known, steps, seed)
        found.append(_figures(project, now, pool, asked))
    return found


def _trained(model: Model, known: Table, steps: Steps, seed: int) -> Model:
    made: Model = steps.train(known, learner="boosted", seed=seed, settings=TREES)
    return made.with_sheet(threshold=model.sheet.threshold) if model.task == "binary" else made


def _observed(now: Model, batch: Table, labels: str) -> Table:
    """The rows of a batch that come back, with their labels as they come back."""
    if labels == "all" or not now.classes:
        return batch
    accepted: Mask = np.asarray(now.decide(now.score(batch)) > 0, np.bool_)
    if labels == "accepted":
        return batch.take(accepted)
    words = np.where(accepted, batch.words(now.sheet.target), now.classes[0])
    return batch.with_column(now.sheet.target, pa.array(list(words), pa.string()))


def _both(known: Table, more: Table) -> Table:
    target = more.data.select(known.schema.names).cast(known.data.schema)
    return Table(pa.concat_tables([known.data, target]), known.schema, known.name)


def _figures(project: Project, now: Model, pool: Table, asked: Table) -> Round:
    score, truth = now.score(asked), now.truth(asked)
    metric = auc(truth, score) if now.task == "binary" else -float(row_losses(score, truth, now.task).mean())
    paid = averaged(project.value, asked)
    return Round(metric, gain(paid, now, now.truth(pool), truth, score), _gap(now, asked, score))


def _gap(now: Model, asked: Table, score: Floats) -> float:
    """The widest gap between the rates at which groups are decided for; NaN without two groups of 50 rows."""
    group = next((one.name for one in asked.schema.protected if one.kind != "number"), None)
    if group is None or now.task != "binary":
        return float("nan")
    words, chosen = asked.words(group).astype(str), now.decide(score) > 0
    rates = [float(chosen[words == one].mean()) for one in np.unique(words) if (words == one).sum() >= GROUP]
    return max(rates) - min(rates) if len(rates) > 1 else float("nan")
