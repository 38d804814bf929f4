"""Feedback loops: what noise on the score shows of a loop of known gain, what a holdback shows, and de-biased training.

Simulated. Loops: 20,000 labelled rows a week, looked at once a week; scores from Beta(2, 3). Training: half of the
applicants are refused by an old policy and have no label, but for those whom a random holdback of 5 % let in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.frame import Bar

BARS = (
    Bar("loop gain: runs of 8 weeks without a loop in which one is shown", None, 0.05, "lower"),
    Bar("loop gain: least share of runs whose interval holds the gain (0, 0.1, 0.5) at every look", None, 0.95,
        "higher"),
    Bar("loop gain: gain 0.5 shown in the first week, noise 0.05", None, 0.95, "higher"),
    Bar("loop gain: gain 0.1 shown within 8 weeks, noise 0.1", None, 0.9, "higher"),
    Bar("holdback of 5 %: runs without a loop in which the check fails", None, 0.05, "lower"),
    Bar("holdback of 5 %: runs in which alarms that all come true are found in the first week", None, 0.95,
        "higher"),
    Bar("de-biased training: AUC on all rows with weights, less that without, lower end", None, 0.0, "higher"),
    Bar("de-biased training: log loss on all rows with weights, less that without, upper end", None, 0.0, "lower"),
    Bar("de-biased training: log loss with weights, less that of learning from every label", None, 0.03, "lower"),
)
WEEK, RUNS, WEEKS = 20_000, 200, 8
Found = list[tuple[float | None, str]]
PROJECT = """
[project]
name = "loan"
[data]
target = "paid"
positive = "yes"
weight = "loop_weight"
[[source]]
address = "loans.csv"
"""


def measured() -> Found:
    """A (value, note) for each of `BARS`."""
    return [*_gains(), *_holdbacks(), *_trainings()]


def _gains() -> Found:
    from shipworthy.deployment.monitoring.loop_drill import rehearsed

    score = np.random.default_rng(5).beta(2, 3, 50_000)
    seen = {(gain, scale): rehearsed(score, gain=gain, scale=scale, rows=WEEK, weeks=WEEKS, runs=RUNS)
            for gain in (0.0, 0.1, 0.5) for scale in (0.05, 0.1)}
    none = [one.found for (gain, _), one in seen.items() if not gain]
    covered = {key: float(one.covers.mean()) for key, one in seen.items()}

    def by_week(gain: float, scale: float) -> list[float]:
        return [round(float((seen[gain, scale].week <= week).mean()), 3) for week in range(1, WEEKS + 1)]

    return [(max(none), f"{RUNS} runs at noise 0.05 and 0.1: {none}; a 95 % interval for one look, looked at weekly: "
                        f"{_peeked(score):.3f}"),
            (min(covered.values()), f"{RUNS} runs each; {min(covered, key=lambda key: covered[key])} is the least"),
            (by_week(0.5, 0.05)[0], f"by week, noise 0.05: {by_week(0.5, 0.05)}; 0.1: {by_week(0.5, 0.1)}"),
            (by_week(0.1, 0.1)[-1], f"by week, noise 0.1: {by_week(0.1, 0.1)}; 0.05: {by_week(0.1, 0.05)}")]


def _peeked(score: Any) -> float:
    """How often an interval that is made for one look shows a loop, where there is none and it is looked at weekly."""
    from shipworthy.metrics.loops import loop_gain, noise_products, simulated

    cried = 0
    for run in range(RUNS):
        random, sums, cries = np.random.default_rng([29, run]), np.zeros(4, np.int64), False
        for _ in range(WEEKS):
            drawn = random.choice(score, WEEK)
            noise, came = simulated(drawn, random, gain=0.0, scale=0.1)
            sums = sums + noise_products(noise, came - drawn).sum(axis=0)
            gain, variance, rows = loop_gain(sums)
            cries = cries or abs(gain) > 1.96 * np.sqrt(variance / rows)
        cried += cries
    return cried / RUNS


def _holdbacks() -> Found:
    from shipworthy.deployment.monitoring.loops import Difference, _beyond, difference

    def failed(gain: float, run: int, rows: int = WEEK) -> tuple[bool, Difference]:
        random = np.random.default_rng([31, run])
        held = random.random(rows) < 0.05
        score = random.beta(2, 3, rows)
        came = (random.random(rows) < score) | (~held & (score >= 0.5) & (random.random(rows) < gain))
        found = difference("", [int(came[held].sum()), int(came[~held].sum())], [int(held.sum()), int((~held).sum())],
                            0.025)
        return _beyond(found.value, found.low, found.high, 0.05) == "fail", found

    def share(gain: float, weeks: int = 1) -> float:
        return float(np.mean([failed(gain, run, weeks * WEEK)[0] for run in range(RUNS)]))

    one, told = failed(1.0, 0)[1], f"{RUNS} weeks of {WEEK:,} rows"
    return [(share(0.0), f"{told}; in 4 weeks: {share(0.0, 4):.3f}"),
            (share(1.0), f"{told}; such as {one.value:+.3f} ({one.low:+.3f} to {one.high:+.3f}); where half come true: "
                         f"{share(0.5):.3f}, in 4 weeks {share(0.5, 4):.3f}")]


def _trainings() -> Found:
    from shipworthy.core.project import parse

    project, seeds = parse(PROJECT), 10
    rows = np.array([_training(project, seed) for seed in range(seeds)])  # (seeds, 3 ways, AUC and log loss)
    gained, lost, gap = rows[:, 1, 0] - rows[:, 0, 0], rows[:, 1, 1] - rows[:, 0, 1], rows[:, 1, 1] - rows[:, 2, 1]
    auc, loss = rows.mean(axis=0).T.round(4)
    told = f"{seeds} seeds of 20,000 rows, logistic regression: plain, weighed, all labels"
    return [(float(gained.mean() - 1.96 * gained.std(ddof=1) / seeds**0.5), f"{told}: AUC {auc.tolist()}"),
            (float(lost.mean() + 1.96 * lost.std(ddof=1) / seeds**0.5), f"{told}: log loss {loss.tolist()}"),
            (float(gap.mean()), f"mean of {seeds} seeds")]


def _training(project: Any, seed: int) -> list[tuple[float, float]]:
    """AUC and log loss on new rows of a model that learnt the biased log plainly, with weights, and all labels."""
    from shipworthy.core.table import Table
    from shipworthy.deployment.updating.unbiased import WEIGHT, unbiased
    from shipworthy.learning.selection.ladder import train
    from shipworthy.metrics.classification import auc, log_loss

    random = np.random.default_rng([37, seed])
    table, score = _applicants(random)
    held, coin = random.random(table.rows) < 0.05, random.random(table.rows) < 0.5
    own = score >= np.median(score)
    accepted, chance = np.where(held, coin, own), np.where(held, np.where(coin == own, 0.975, 0.025), 0.975)
    log = table.with_column("propensity", pa.array(chance)).with_column("explored", pa.array(held))
    log = log.with_column("influenced", pa.array(~held & own))
    log = log.with_column("label_source", pa.array(["bank"] * table.rows)).take(accepted)
    weighed = unbiased(log).rows.select([*table.schema.names, WEIGHT])
    asked, _ = _applicants(random)
    found = []
    for rows in (weighed.drop(WEIGHT), weighed, table):
        model = train(_roles(rows, Table), project=project, learner="linear")
        truth, told = (asked.words("paid") == "yes").astype(np.int64), model.score(asked)
        found.append((float(auc(truth, told)), float(log_loss(truth, told))))
    return found


def _roles(rows: Any, kind: Any) -> Any:
    schema = rows.schema.replace("paid", role="target")
    return rows.with_schema(schema.replace("loop_weight", role="ignored") if "loop_weight" in schema else schema)


def _applicants(random: Any) -> tuple[Any, Any]:
    """Applicants whose chance bends where the old policy refuses them, and that policy's score."""
    from shipworthy.core.table import Table

    n = 20_000
    x, z = random.normal(size=n), random.normal(size=n)
    chance = 1 / (1 + np.exp(-(0.6 + 0.3 * x + 3.0 * np.minimum(x + 0.2, 0) + 0.8 * z)))
    paid = np.where(random.random(n) < chance, "yes", "no")
    return Table.of(pa.table({"x": x, "z": z, "paid": pa.array(paid.tolist())}), name="loans"), x + 0.3 * z
