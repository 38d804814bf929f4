"""Does deciding with the model earn more than not deciding, and does that stand when the costs move?"""

from __future__ import annotations

import numpy as np

from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.learned import Learned, Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project, Value
from shipworthy.core.table import Floats, Ints
from shipworthy.marks import check
from shipworthy.metrics.agreement import spearman
from shipworthy.metrics.intervals import paired_mean_difference, percentiles
from shipworthy.verification.requirements.worth import COSTS, best_threshold, decide, declared, moved, nothing, worth

NO_VALUE = ("No value table is declared, so nobody can say what a decision earns.",
            "declare what decisions earn: [value] true_positive = …, false_positive = … (costs are negative)")
LEAST = 50
FOLDS = 5
MOST = 15_000


@check("value-above-nothing", row="verification.business")
def value_above_nothing(project: Project, model: Model, parts: Parts) -> Finding:
    """Whether deciding with the model earns more than not deciding, at the pessimistic end, per 1,000 decisions.

    At the deployed threshold and the declared capacity, paired row by row on the holdout.
    """
    value = project.value
    if value is None or not declared(value):
        return say("fail", NO_VALUE[0], remedy=NO_VALUE[1])
    if parts.holdout.rows < LEAST:
        return say("unknown", f"The holdout has {parts.holdout.rows} rows, fewer than {LEAST}.", n=parts.holdout.rows)
    truth, score = model.truth(parts.holdout), model.score(parts.holdout)
    earned = worth(value, model, truth, decide(model, score, capacity=value.capacity))
    idle = worth(value, model, truth, nothing(model, truth, model.truth(parts.learn)))
    gain, low, high = (1000 * x for x in paired_mean_difference(earned, idle))
    verdict: Verdict = "unknown" if low != low else "pass" if low > 0 else "fail"
    assumed = " The amounts are assumed, not measured." if value.assumed else ""
    return say(verdict, f"Per 1,000 decisions the model earns {gain:,.0f} {value.currency} more than doing nothing, at "
               f"the least {low:,.0f}, on {len(truth):,} holdout rows.{assumed}", value=gain, low=low, high=high,
               limit=0.0, n=len(truth),
               remedy="" if verdict == "pass" else "the model does not pay at this threshold: check the amounts in "
               "[value], or do not deploy")


@check("threshold-stands", row="verification.business")
def threshold_stands(project: Project, model: Model, parts: Parts, *, limit: float = 0.02,
                     change: float = 0.25) -> Finding:
    """Whether the deployed threshold stays near the best one when each amount in turn moves up or down.

    Regret: what the best threshold would earn more, as a share of what it earns above doing nothing; tune and holdout
    rows, chosen on four fifths and paid on the fifth. The value itself is held to the limit, for its noise is of the
    rows and not of the amounts; above it, a regret that chance can explain (paired bootstrap) is unknown.
    """
    value = project.value
    if value is None or not declared(value):
        return say("fail", NO_VALUE[0], remedy=NO_VALUE[1])
    if model.task != "binary":
        return say("not-applicable", f"A {model.task} model has no threshold.")
    cases = [(name, factor, moved(value, name, factor)) for name in COSTS[:4] if getattr(value, name) for factor in
             (1 - change, 1 + change)]
    found = [(*_regret(model, parts, table), name, factor) for name, factor, table in cases]
    regret, low, high, best, name, factor = max(found, key=lambda one: one[0])
    verdict: Verdict = "pass" if regret <= limit else "fail" if low > limit else "unknown"
    n = min(MOST, parts.tune.rows) + min(MOST, parts.holdout.rows)
    cut = "no case at all" if best > 1 else f"a threshold of {best:.3f}"
    return say(verdict, f"With {name.replace('_', ' ')} at {factor:.0%}, {cut} would earn {regret:.1%} more than the "
               f"deployed {model.sheet.threshold:.3f} ({low:.1%} to {high:.1%}, {n:,} rows); {limit:.0%} is allowed.",
               value=regret, low=low, high=high, limit=limit, n=n,
               remedy="" if verdict == "pass" else "settle the amounts in [value] and run again, for the threshold is "
               "chosen from them; or accept more: [checks.threshold-stands] limit")


def _regret(model: Model, parts: Parts, value: Value) -> tuple[float, float, float, float]:
    """Regret, its interval, and the median of the best thresholds, each chosen on four fifths and paid on the fifth."""
    few = (parts.tune.spread(MOST), parts.holdout.spread(MOST))
    both = [(np.asarray(model.truth(rows), np.int64), model.score(rows)) for rows in few]
    truth, score = (np.concatenate([pair[n] for pair in both]) for n in (0, 1))
    fold = np.random.default_rng(0).integers(FOLDS, size=len(truth))
    cuts = [best_threshold(value, truth[fold != n], score[fold != n]) for n in range(FOLDS)]
    best, own, idle = (np.zeros(len(truth)) for _ in range(3))
    for n, cut in enumerate(cuts):
        at = fold == n
        best[at] = worth(value, model, truth[at], decide(model, score[at], threshold=cut, capacity=value.capacity))
        own[at] = worth(value, model, truth[at], decide(model, score[at], capacity=value.capacity))
        idle[at] = worth(value, model, truth[at], np.zeros(int(at.sum()), np.int64))
    scale = max(abs(float((best - idle).mean())), 0.01 * float(np.abs(own).mean()), 1e-12)
    drawn = _redrawn(np.stack([best - own, best - idle]))
    low, high = percentiles(drawn[0] / np.maximum(np.abs(drawn[1]), scale / 4))
    return float((best - own).mean()) / scale, low, high, float(np.median(cuts))


def _redrawn(values: Floats, draws: int = 500) -> Floats:
    """Means of each row of values (k, n) over bootstrap draws of the columns, (k, draws)."""
    random, n = np.random.default_rng(0), values.shape[1]
    return np.stack([values[:, random.integers(n, size=n)].mean(axis=1) for _ in range(draws)], axis=1)


@check("metric-tracks-value", row="verification.business")
def metric_tracks_value(project: Project, learned: Learned, parts: Parts, *, limit: float = 0.6) -> Finding:
    """Whether candidates that score better by the metric also earn more: Spearman correlation over all candidates.

    Each candidate earns at its own best threshold on the tune rows. The value itself is held to the limit. Under 5
    candidates, or where chance in the rows can explain a low correlation, the verdict is unknown.
    """
    value = project.value
    if value is None or not declared(value):
        return say("fail", NO_VALUE[0], remedy=NO_VALUE[1])
    n = len(learned.candidates)
    if n < 5:
        return say("unknown", f"{n} of 5 candidates are too few to tell whether the metric follows the value.", n=n,
                   remedy="let the ladder try more learners: [learning] learners, or search = true")
    truth = learned.chosen.model.truth(parts.tune)
    earned = np.stack([_earned(value, one.model, truth, one.scores, parts) for one in learned.candidates])
    metric = np.array([one.figures.metric for one in learned.candidates])
    rho = spearman(metric, earned.mean(axis=1))
    if rho != rho:
        same = "have the same score" if np.ptp(metric) == 0 else "earn the same"
        return say("unknown", f"All {n} candidates {same}, so that nothing tells whether the metric follows the value.",
                   limit=limit, n=n, remedy="see whether the value table pays every answer alike; or let the ladder "
                                            "try more learners: [learning] learners")
    drawn = _redrawn(earned, draws=300)
    low, high = percentiles(np.array([spearman(metric, column) for column in drawn.T]))
    span = f"{low:.2f} to {high:.2f} " if high == high else ""
    verdict: Verdict = "pass" if rho >= limit else "fail" if high < limit else "unknown"
    return say(verdict, f"Over {n} candidates the metric and the value rank alike by {rho:.2f} ({span}over "
               f"{len(truth):,} tune rows); at least {limit:g} is asked.", value=rho, low=low, high=high, limit=limit,
               n=n,
               chart={"kind": "front", "x": metric.tolist(), "y": (1000 * earned.mean(axis=1)).tolist(),
                      "name": [one.learner for one in learned.candidates], "chosen": learned.chosen.learner},
               remedy="" if verdict == "pass" else "choose by value, not by the metric: declare a requirement "
               "on what pays")


def _earned(value: Value, model: Model, truth: Floats | Ints, scores: Floats, parts: Parts) -> Floats:
    cut = best_threshold(value, np.asarray(truth, np.int64), scores) if model.task == "binary" else None
    return worth(value, model, truth, decide(model, scores, threshold=cut, capacity=value.capacity))
