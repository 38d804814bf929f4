"""Does deciding with the model earn more than not deciding and than today's policy, and does that stand?"""

from __future__ import annotations

import numpy as np

from shipworthy.core.amounts import CELLS, Amounts, amounts
from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.learned import NO_UPDATE, Learned, Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project, Value
from shipworthy.core.rows import groups
from shipworthy.core.table import Floats, Ints, Mask
from shipworthy.marks import check
from shipworthy.metrics.agreement import spearman
from shipworthy.metrics.intervals import paired_mean_difference, percentiles
from shipworthy.verification.requirements.worth import best_threshold, decide, declared, nothing, today, worth

NO_VALUE = ("No value table is declared, so nobody can say what a decision earns.",
            "declare what decisions earn: [value] true_positive = …, false_positive = … (costs are negative)")
LEAST = 50
FOLDS = 5
MOST = 15_000


@check("value-above-nothing", row="verification.business")
def value_above_nothing(project: Project, model: Model, parts: Parts) -> Finding:
    """Whether deciding with the model earns more than not deciding, at the pessimistic end, per 1,000 decisions.

    At the deployed threshold and the declared capacity, paired row by row on the holdout, whole groups where the schema
    names one.
    """
    value, n = project.value, parts.holdout.rows
    if value is None or not declared(value):
        return say("fail", NO_VALUE[0], remedy=NO_VALUE[1])
    idle = nothing(value, model, n, model.truth(parts.learn))
    return _above(value, model, parts, idle, np.ones(n, np.bool_), than="doing nothing")


@check("value-above-policy", row="verification.business")
def value_above_policy(project: Project, model: Model, parts: Parts) -> Finding:
    """Whether deciding with the model earns more than what is decided today, at the pessimistic end.

    Today's decisions are those of the declared column, on the holdout rows that have one; all else is as for doing
    nothing. The amounts must be known of every row whatever was decided.
    """
    value = project.value
    if value is None or not declared(value):
        return say("fail", NO_VALUE[0], remedy=NO_VALUE[1])
    if not value.policy:
        return say("not-applicable", "No column with today's decisions is declared, so there is no policy to be "
                   "compared with.", remedy="name the column, if there is one: [value] policy = \"…\"")
    decided = today(value, model, parts.holdout)
    known = np.isfinite(decided) & (decided >= 0) if model.task != "regression" else np.isfinite(decided)
    return _above(value, model, parts, decided, np.asarray(known), than=f"today's policy ({value.policy})")


def _above(value: Value, model: Model, parts: Parts, other: Floats | Ints, kept: Mask, *, than: str) -> Finding:
    """The finding about what the model earns more than another way of deciding, (n,) for the holdout, on kept rows."""
    n = int(kept.sum())
    if n < LEAST:
        return say("unknown", f"The holdout has {n} rows to compare with {than}, fewer than {LEAST}.", n=n,
                   remedy="hold out more rows: [split] holdout")
    rows = parts.holdout.take(kept)
    truth, score, paid = model.truth(rows), model.score(rows), amounts(value, rows)
    earned = worth(paid, model, truth, decide(model, score, capacity=paid.capacity))
    gain, low, high = (1000 * x for x in paired_mean_difference(earned, worth(paid, model, truth, other[kept]),
                                                                groups=groups(rows)))
    verdict: Verdict = "unknown" if low != low else "pass" if low > 0 else "fail"
    assumed = " The amounts are assumed, not measured." if value.assumed else ""
    ends = f"at the least {low:,.0f}" if low == low else "an interval has too few groups"
    return say(verdict, f"Per 1,000 decisions the model earns {gain:,.0f} {value.currency} more than {than}, {ends}, "
               f"on {n:,} holdout rows.{assumed}", value=gain, low=low, high=high, limit=0.0, n=n,
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
    seen = _tried(value, model, parts)
    paid = seen[2]
    found = [(*_regret(model, seen, paid.moved(name, factor), value), name, factor)
             for name in paid.named if name in CELLS for factor in (1 - change, 1 + change)]
    regret, low, high, amount, best, name, factor = max(found, key=lambda one: one[0])
    verdict: Verdict = "pass" if regret <= limit else "fail" if low > limit else "unknown"
    cut = "no case at all" if best > 1 else f"a threshold of {best:.3f}"
    moved = f"{name.replace('_', ' ')} at {factor:.0%}"
    return say(verdict, f"With {moved}, {cut} would earn {regret:.1%} ({amount:,.0f} {value.currency} per 1,000 "
               f"decisions) more than the deployed {model.sheet.threshold:.3f} ({low:.1%} to {high:.1%}, "
               f"{len(seen[0]):,} rows); {limit:.0%} is allowed.",
               value=regret, low=low, high=high, limit=limit, n=len(seen[0]),
               remedy=_settle(verdict, name, regret))


def _settle(verdict: Verdict, name: str, regret: float) -> str:
    """What ends the question: the one amount on which most hangs, or rows; running again alone changes nothing."""
    accept = f"or accept it: [checks.threshold-stands] limit = {np.ceil(100 * regret) / 100:.2f}"
    if verdict == "fail":
        return (f"most hangs on what a {name.replace('_', ' ')} costs or earns: measure it, correct [value] {name}; "
                f"if it is known within less than a quarter, say so: [checks.threshold-stands] change = 0.1; {accept}")
    return "" if verdict == "pass" else f"more rows tell: [split] tune and holdout, or newer rows; {accept}"


Tried = tuple[Ints, Floats, Amounts]


def _tried(value: Value, model: Model, parts: Parts) -> Tried:
    """Truth, score and amounts of the tune and holdout rows together."""
    few = (parts.tune.spread(MOST), parts.holdout.spread(MOST))
    truth, score = (np.concatenate([read(rows) for rows in few]) for read in (model.truth, model.score))
    each = [amounts(value, rows) for rows in few]
    return np.asarray(truth, np.int64), score, Amounts(
        {name: np.concatenate([one.each(name, rows.rows) for one, rows in zip(each, few, strict=True)])
         for name in each[0].named}, value.capacity)


def _regret(model: Model, seen: Tried, paid: Amounts, value: Value) -> tuple[float, float, float, float, float]:
    """Regret, its interval, the same per 1,000 decisions, and the median of the best thresholds.

    Each is chosen on four fifths and paid on the fifth.
    """
    truth, score, _ = seen
    fold = np.random.default_rng(0).integers(FOLDS, size=len(truth))
    cuts = [best_threshold(paid.take(fold != n), truth[fold != n], score[fold != n]) for n in range(FOLDS)]
    best, own = np.zeros(len(truth)), np.zeros(len(truth))
    for n, cut in enumerate(cuts):
        at = fold == n
        for earned, threshold in ((best, cut), (own, None)):
            decided = decide(model, score[at], threshold=threshold, capacity=paid.capacity)
            earned[at] = worth(paid.take(at), model, truth[at], decided)
    idle = worth(paid, model, truth, nothing(value, model, len(truth), truth))
    scale = max(abs(float((best - idle).mean())), 0.01 * float(np.abs(own).mean()), 1e-12)
    drawn = _redrawn(np.stack([best - own, best - idle]))
    low, high = percentiles(drawn[0] / np.maximum(np.abs(drawn[1]), scale / 4))
    amount = float((best - own).mean())
    return amount / scale, low, high, 1000 * amount, float(np.median(cuts))


def _redrawn(values: Floats, draws: int = 500) -> Floats:
    """Means of each row of values (k, n) over bootstrap draws of the columns, (k, draws)."""
    random, n = np.random.default_rng(0), values.shape[1]
    return np.stack([values[:, random.integers(n, size=n)].mean(axis=1) for _ in range(draws)], axis=1)


def _more(project: Project) -> str:
    """How there come to be more candidates, or what to do where the project itself allows one learner only."""
    if project.privacy is None and project.learning.profile == "usual":
        return "let the ladder try more learners: [learning] learners, or search = true"
    cause = "[privacy]" if project.privacy is not None else f'[learning] profile = "{project.learning.profile}"'
    return (f"{cause} fits one learner only, so there is no choice that could be wrong; accept it for a time: "
            "shipworthy waive verification.business --by WHO --reason WHY --until DAY")


@check("metric-tracks-value", row="verification.business")
def metric_tracks_value(
    project: Project, learned: Learned, parts: Parts, *, limit: float = 0.6, loss: float = 0.02
) -> Finding:
    """Whether candidates that score better by the metric also earn more: Spearman correlation over all candidates.

    Of a renewal, whose winner was found by its loss: whether it earns what the champion earns without an update, less
    at most the share `loss` of what that is above doing nothing, on the holdout, each at its own threshold. The value
    itself is held to that; below it, what chance can explain is unknown.
    Each candidate earns at its own best threshold on the tune rows. The value itself is held to the limit. Under 5
    candidates, or where chance in the rows can explain a low correlation, the verdict is unknown.
    """
    value = project.value
    if value is None or not declared(value):
        return say("fail", NO_VALUE[0], remedy=NO_VALUE[1])
    before = next((one for one in learned.candidates if one.way == NO_UPDATE), None)
    if before is not None:
        return _earns_more(value, learned.chosen.model, before.model, parts, loss)
    n = len(learned.candidates)
    if n < 5:
        return say("unknown", f"{n} of 5 candidates are too few to tell whether the metric follows the value.", n=n,
                   remedy=_more(project))
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
                      "name": [one.name for one in learned.candidates], "chosen": learned.chosen.name},
               remedy="" if verdict == "pass" else "choose by value, not by the metric: declare a requirement "
               "on what pays")


def _earns_more(value: Value, model: Model, champion: Model, parts: Parts, loss: float) -> Finding:
    """Whether a challenger earns what its champion does, or little less, on the holdout."""
    rows, n = parts.holdout, parts.holdout.rows
    truth, paid = model.truth(rows), amounts(value, rows)
    new, old = (worth(paid, one, truth, decide(one, one.score(rows), capacity=paid.capacity))
                for one in (model, champion))
    gain, low, high = (1000 * one for one in paired_mean_difference(new, old, groups=groups(rows)))
    idle = worth(paid, champion, truth, nothing(value, champion, n, model.truth(parts.learn)))
    least = -loss * 1000 * abs(float((old - idle).mean()))
    verdict: Verdict = "unknown" if low != low else "pass" if gain >= least else "fail" if high < least else "unknown"
    remedy = "keep the champion, or wait for more labels; what decisions earn may hang on other rows than the loss"
    return say(verdict, f"Per 1,000 decisions the challenger, which was found by its loss, earns {gain:+,.0f} "
               f"{value.currency} ({low:+,.0f} to {high:+,.0f}) against the champion, on {n:,} holdout rows; "
               f"{least:+,.0f} is borne.", value=gain, low=low, high=high, limit=least, n=n,
               remedy="" if verdict == "pass" else remedy)


def _earned(value: Value, model: Model, truth: Floats | Ints, scores: Floats, parts: Parts) -> Floats:
    paid = amounts(value, parts.tune)
    cut = best_threshold(paid, np.asarray(truth, np.int64), scores) if model.task == "binary" else None
    return worth(paid, model, truth, decide(model, scores, threshold=cut, capacity=paid.capacity))
