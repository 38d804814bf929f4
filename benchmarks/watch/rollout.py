"""A thousand simulated canaries through the guardrail on loss, beside fixed thresholds and a t-test that is peeked at.

10 % errors of the champion, every request labelled; 200 canaries at each difference of 0, ±1, ±5 points: 160 of 600
requests a minute through every stage of `[rollout]`, 40 of 6,000 a minute to the end of the third. A look every minute
of the first hour, then every five. Exposed: requests that the challenger answered before it was taken back.
Fixed thresholds: a window of five minutes in which its errors are 5 points or more beyond the champion's is a failure,
and the third aborts (the rule of Argo Rollouts' documentation). Tuned: the fewest failures at which no more than 5 % of
these very canaries without a difference abort. All are given the same requests.
Some canaries run through the whole look too.
"""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

import numpy as np

from benchmarks.frame import Bar

BARS = (
    Bar("canaries, no difference: share taken back", None, 0.05, "lower"),
    Bar("canaries, 1 point better: share taken back", None, 0.05, "lower"),
    Bar("canaries, 5 points better: share taken back", None, 0.05, "lower"),
    Bar("canaries, 5 points worse: share taken back", None, 0.95, "higher"),
    Bar("canaries, 5 points worse, 6,000 a minute: requests exposed, beside fixed thresholds", None, 0.5, "lower"),
    Bar("canaries, 5 points worse, 600 a minute: requests exposed, beside tuned thresholds", None, 1.25, "lower"),
    Bar("canaries, 1 point worse: more taken back than by fixed thresholds, 6,000 a minute", None, 0.0, "higher"),
    Bar("fixed thresholds, no difference, 600 a minute: share taken back", None, 0.05, "higher"),
    Bar("peeked t-test, no difference: share taken back", None, 0.05, "higher"),
    Bar("through the whole look, the same release twice: share taken back", None, 0.05, "lower"),
    Bar("through the whole look, 5 points worse: share taken back", None, 0.95, "higher"),
)
Measure = tuple[float | None, str]
BASE, EACH, WINDOW, ABORTS = 0.10, 5, 0.05, 3
BUSY, QUIET = 6_000, 600
CANARIES, STAGES, WHOLE = {QUIET: 160, BUSY: 40}, {QUIET: 5, BUSY: 3}, 20
DIFFERENCES = (0.0, -0.01, -0.05, 0.01, 0.05)


class Course(NamedTuple):
    """The requests of one canary if nothing takes it back, in order. minute, judged, loss: (n,)."""

    minute: Any
    judged: Any
    loss: Any

    def exposed(self, minute: float) -> int:
        """Requests that the challenger answered before a minute."""
        return int((self.judged & (self.minute < minute)).sum())

    @property
    def looks(self) -> list[int]:
        """The minutes at which somebody looks."""
        last = int(self.minute[-1]) + 1
        return [*range(1, min(60, last) + 1), *range(65, last + 1, EACH)]


class Ran(NamedTuple):
    """When a canary was taken back by the guardrail and by the t-test, in minutes, and when each window failed.

    exposed: by the guardrail; by_window: before each failure.
    """

    ours: float
    test: float
    failures: Any
    exposed: int
    by_window: list[int]
    all: int


def measured() -> list[Measure]:
    """Every bar. It takes some minutes on one core."""
    found = {(pace, by): [_ran(by, pace, seed) for seed in range(CANARIES[pace])]
             for pace in CANARIES for by in DIFFERENCES}
    both = {by: [one for pace in CANARIES for one in found[pace, by]] for by in DIFFERENCES}
    shares = [_share([one.ours for one in both[by]], f"{len(both[by])} canaries") for by in (0.0, -0.01, -0.05, 0.05)]
    tuned = next(n for n in range(1, 100) if np.mean([len(one.failures) >= n for one in found[QUIET, 0.0]]) <= 0.05)
    worse, fixed = (float(np.mean(each)) for each in zip(*((np.isfinite(one.ours), len(one.failures) >= ABORTS)
                                                           for one in found[BUSY, 0.01]), strict=True))
    return [*shares, _beside(found[BUSY, 0.05], found[BUSY, 0.0], ABORTS), _beside(found[QUIET, 0.05],
            found[QUIET, 0.0], tuned), (worse - fixed, f"{worse:.0%} beside {fixed:.0%}"),
            _share([_nth(one, ABORTS) for one in found[QUIET, 0.0]], "the third failure aborts"),
            _share([one.test for one in both[0.0]], "p under 5 % at any look"), *_whole()]


def _beside(worse: list[Ran], same: list[Ran], count: int) -> Measure:
    """Median requests exposed until the guardrail acts, as a share of those until so many windows failed."""
    ours = statistics.median(one.exposed for one in worse)
    other = statistics.median((*one.by_window, *[one.all] * count)[count - 1] for one in worse)
    wrong = np.mean([len(one.failures) >= count for one in same])
    return ours / other, f"{ours:,.0f} to {other:,.0f}; {count} failures abort {wrong:.0%} of harmless ones"


def _ran(difference: float, pace: int, seed: int) -> Ran:
    course = _course(difference, pace, seed)
    ours, failed = _taken_back(course, pace), _failures(course)
    return Ran(ours, _t_test(course) if difference == 0 else float("inf"), failed, course.exposed(ours),
               [course.exposed(each) for each in failed[:20]], course.exposed(float("inf")))


def _course(difference: float, pace: int, seed: int) -> Course:
    from shipworthy.core.settings.deployment import Rollout
    from shipworthy.deployment.integration.rollout.rollout import stages

    plan, random = Rollout(), np.random.default_rng([seed, pace, round(1000 * difference) + 100])
    shares: list[float] = []
    for _, share in [each for each in stages(plan) if each[0] == "canary"][: STAGES[pace]]:
        shares += [share] * int(np.ceil(max(plan.minutes, plan.rows / (share * pace)) / EACH) * EACH)
    minute = np.repeat(np.arange(len(shares)), pace)
    judged = random.random(len(minute)) < np.repeat(shares, pace)
    rate = np.where(judged, BASE + difference, BASE)
    return Course(minute, judged, (random.random(len(minute)) < rate).astype(np.float64))


def _taken_back(course: Course, pace: int) -> float:
    """The minute of the look at which the guardrail on loss fails; infinite if none."""
    from shipworthy.core.settings.deployment import Rollout
    from shipworthy.deployment.integration.rollout.guardrails import TESTS, harm
    from shipworthy.deployment.integration.rollout.traffic import paired

    plan = Rollout()
    gaps, known = paired(course.loss, course.judged)
    for look in course.looks:
        seen = int(np.searchsorted(known, look * pace))
        if harm(gaps[:seen], plan, plan.alpha / len(TESTS)).verdict == "fail":
            return float(look)
    return float("inf")


def _failures(course: Course) -> Any:
    """The minutes at which a window of five minutes ended in a failure."""
    place = course.minute // EACH
    size = int(place[-1]) + 1
    rates = []
    for rows in (course.judged, ~course.judged):
        asked = np.bincount(place[rows], minlength=size)
        rates.append(np.bincount(place[rows], weights=course.loss[rows], minlength=size) / np.maximum(asked, 1))
    both = (np.bincount(place[~course.judged], minlength=size) > 0) & (np.bincount(place[course.judged],
                                                                                  minlength=size) > 0)
    return (np.flatnonzero(both & (rates[0] - rates[1] >= WINDOW)) + 1.0) * EACH


def _t_test(course: Course) -> float:
    """The minute at which a one-sided test at 5 % is first significant; infinite if never."""
    from scipy.stats import norm

    own, other = course.loss[course.judged], course.loss[~course.judged]
    when = course.minute[course.judged], course.minute[~course.judged]
    for look in course.looks:
        a, b = (part[: int(np.searchsorted(at, look))] for part, at in zip((own, other), when, strict=True))
        if min(len(a), len(b)) < 20:
            continue
        spread = np.sqrt(a.var() / len(a) + b.var() / len(b))
        if spread > 0 and norm.sf((a.mean() - b.mean()) / spread) < 0.05:
            return float(look)
    return float("inf")


def _nth(ran: Ran, count: int) -> float:
    return float(ran.failures[count - 1]) if len(ran.failures) >= count else float("inf")


def _share(minutes: list[float], note: str) -> Measure:
    found = np.isfinite(minutes)
    when = f", at the median after {statistics.median(np.array(minutes)[found]):.0f} minutes" if found.any() else ""
    return float(found.mean()), f"{note}{when}"


def _whole() -> list[Measure]:
    """Canaries of 12,000 labelled rows in two stages of a half and all, judged by every guardrail of a look."""
    found = []
    for points in (0.0, 0.05):
        back = [_looked(points, seed) for seed in range(WHOLE)]
        named = ", ".join(sorted({each for each in back if each})) or "none"
        found.append((float(np.mean([each != "" for each in back])), f"{WHOLE} canaries of 12,000 rows; {named}"))
    return found


def _looked(points: float, seed: int) -> str:
    """What took a canary back in any of ten looks at `Arms`; empty if nothing did."""
    from shipworthy.core.settings.deployment import Rollout
    from shipworthy.deployment.integration.rollout.guardrails import guardrails
    from shipworthy.deployment.integration.rollout.traffic import Traffic, arms

    log, labels, grid = _traffic(points, seed)
    for share in range(1, 11):
        rows = log.rows * share // 10
        seen = arms(Traffic(log.head(rows), None, labels.head(rows), (), grid), champion="r", challenger="s", since=0,
                    shares=(0.5,))
        failed = [each.check for each in guardrails(seen, Rollout(), shares=(0.5,)) if each.verdict == "fail"]
        if failed:
            return failed[0]
    return ""


def _traffic(points: float, seed: int, rows: int = 12_000) -> tuple[Any, Any, Any]:
    """A log of two arms, its labels, and a reference whose score cells they fall in."""
    import pyarrow as pa

    from shipworthy.core.grid import SCORE_CELLS, Facts, Grid, Plan, Reference
    from shipworthy.core.table import Table

    random = np.random.default_rng([seed, round(1000 * points)])
    judged, truth = random.random(rows) < 0.5, random.random(rows) < 0.4
    wrong = random.random(rows) < np.where(judged, BASE + points, BASE)
    yes = truth ^ wrong
    at = pa.array(1_700_000_000_000_000 + np.arange(rows) * 100_000, pa.timestamp("us", "UTC"))
    ids = pa.array([f"p{place}" for place in range(rows)])
    log = {"prediction_id": ids, "at": at, "release": pa.array(np.where(judged, "s", "r")),
           "arm": pa.array(np.where(judged, "challenger", "champion")), "propensity": pa.array(np.full(rows, 0.5)),
           "score": pa.array(np.where(yes, 0.5, 0.0) + 0.5 * random.random(rows)),
           "decision": pa.array(np.where(yes, "yes", "no")), "abstain": pa.array(np.zeros(rows, np.bool_))}
    labels = {"prediction_id": ids, "label": pa.array(np.where(truth, "yes", "no")), "observed_at": at}
    plan, none = Plan((), ("no", "yes")), np.zeros(0, np.int64)
    cells = np.zeros(2 * SCORE_CELLS + 2, np.int64)
    grid = Grid(plan.digest, {}, cells, 0)
    reference = Reference(Facts(plan, (), 0, 0), grid, grid, np.zeros((len(cells), 2), np.int64),
                          np.zeros(SCORE_CELLS, np.int64), none, np.zeros((0, 2), np.int64))
    return Table.of(log, name="log"), Table.of(labels, name="labels"), reference
