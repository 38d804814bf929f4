"""Rehearsing a loop: how soon its gain would be found here, what came back to the same entity, what a holdback teaches.

Off the path of every look: it reads the whole log, or trains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from shipworthy.core.evidence import Finding, Verdict, say, settled
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.deployment.integration.log.tables import HELD, OWN
from shipworthy.deployment.integration.rollout.traffic import entities
from shipworthy.deployment.monitoring.loops import FEWEST, ROW, gain_interval
from shipworthy.deployment.updating.poison import labelled
from shipworthy.metrics.intervals import paired_mean_difference
from shipworthy.metrics.loops import noise_products, simulated
from shipworthy.metrics.losses import row_losses

FOLDS = 5
USUAL, WEEK_SECONDS = 20_000, 7 * 86_400
TREES = {"rounds": 40, "num_leaves": 15}
Train = Callable[[Table, int], Model]


class Rehearsed(NamedTuple):
    """Simulated traffic of a known gain. week: (runs,) the first in which a loop is shown, NaN for never.

    covers: (runs,) whether the interval held the gain in every week.
    """

    gain: float
    week: Floats
    covers: Floats

    @property
    def found(self) -> float:
        """Share of the runs in which a loop was shown."""
        return float(np.isfinite(self.week).mean())


def rehearsed(
    score: Floats, *, gain: float, scale: float, rows: int, weeks: int = 8, runs: int = 20, seed: int = 0
) -> Rehearsed:
    """What simulated weeks of labelled rows show of a loop whose gain is known, looked at once a week.

    score: (n,) probabilities, redrawn. rows: a week, all of them labelled. scale: of the noise.
    """
    week, covers = np.full(runs, np.nan), np.ones(runs)
    for run in range(runs):
        random = np.random.default_rng([19, seed, run])
        sums: Ints = np.zeros(4, np.int64)
        for number in range(1, weeks + 1):
            drawn = random.choice(score, rows)
            noise, came = simulated(drawn, random, gain=gain, scale=scale)
            sums = sums + noise_products(noise, came - drawn).sum(axis=0)
            _, low, high, _ = gain_interval(sums)
            covers[run] *= not (gain < low or gain > high)
            if np.isnan(week[run]) and (low > 0 or high < 0):
                week[run] = number
    return Rehearsed(gain, week, covers)


def later_gain(log: Table, unit: Sequence[str]) -> Ints:
    """The sums of `noise_products` for what a model says next of the same entity, (4,), less what it said before.

    log: of one release, with score, noise and at. unit: columns whose values name an entity.
    """
    code = entities([log], unit)
    if code is None or not log.rows or "noise" not in log.schema:
        return np.zeros(4, np.int64)
    order = np.lexsort((log.numbers("at"), code))
    first, second = order[:-1], order[1:]
    same = code[first] == code[second]
    score, noise = log.numbers("score"), np.nan_to_num(log.numbers("noise"))
    change = score[second[same]] - score[first[same]]
    known = np.isfinite(change)
    return np.asarray(noise_products(noise[first[same]][known], change[known]).sum(axis=0), np.int64)


def holdback_teaches(model: Model, rows: Table, train: Train, *, limit: float = 0.01) -> Finding:
    """Whether a model that learnt from all rows errs more on those held back than one that learnt from those alone.

    rows: labelled rows of a log, cleaned, with the target and the column arm. train: (rows, seed) → a quick model. Each
    row held back is judged by models that have not learnt from it. The first learns from all other rows, the second
    from the others held back, which are fewer; so it says how much more the many rows teach wrongly than they teach.
    """
    held = rows.words("arm") == HELD
    asked = rows.take(held)
    n = asked.rows
    if n < FOLDS * FEWEST:
        return _named(say("unknown", f"{n} labelled rows were held back; {FOLDS * FEWEST} are needed to learn from "
                                     "them alone.", n=n, remedy="[feedback] holdback = 0.05, and wait for labels"))
    fold = np.random.default_rng(23).permutation(n) % FOLDS
    place, everyone, alone = np.flatnonzero(held), np.zeros(n), np.zeros(n)
    apart = []
    for k in range(FOLDS):
        here = fold == k
        others = np.ones(rows.rows, np.bool_)
        others[place[here]] = False
        models = [train(rows.take(others), k), train(asked.take(~here), k)]
        some = asked.take(here)
        everyone[here], alone[here] = (row_losses(one.score(some), model.truth(some), model.task) for one in models)
        one, other = (each.score(some) for each in models)
        apart.append(float(np.abs(one - other).mean()))
    value, low, high = paired_mean_difference(everyone, alone)
    verdict = settled(value, limit=limit, low=low, high=high, at_most=True)
    return _named(say(verdict, f"On {n:,} rows held back, learning from all {rows.rows:,} rows errs by {value:+.4f} "
                               f"({low:+.4f} to {high:+.4f}, at most {limit:+g}) more than learning from the others "
                               f"held back alone; the two differ by {np.mean(apart):.3f} in the score.",
                      value=value, low=low, high=high, limit=limit, n=n,
                      remedy="" if verdict == "pass" else "learn from the rows held back, or with weights: shipworthy "
                                                          "renew"))


def found_soon(score: Floats, *, scale: float, rows: int, weeks: int = 8) -> Finding:
    """Whether this noise and this traffic show a gain of one half within the weeks, and cry at no loop."""
    some, none = (rehearsed(score, gain=gain, scale=scale, rows=rows, weeks=weeks) for gain in (0.5, 0.0))
    half = f"in week {np.nanmedian(some.week):.0f} at the median" if some.found else "never"
    verdict: Verdict = "pass" if some.found >= 0.9 and none.found <= 0.05 else "fail"
    return _named(say(verdict, f"With noise of {scale:g} on {rows:,} labelled rows a week, a gain of one half is shown "
                               f"{half}, in {some.found:.0%} of {len(some.week)} simulated runs of {weeks} weeks; "
                               f"without a loop, one is shown in {none.found:.0%}.",
                      value=some.found, limit=0.9, n=len(some.week),
                      remedy="" if verdict == "pass" else "raise [feedback] randomise, or wait for more traffic"))


def loop_drill(
    case: Mapping[str, Any], log: Table, labels: Table, *, rows: int = 0, scale: float = 0.0
) -> list[Finding]:
    """What can be said of loops from a whole log, and by simulation.

    case: project, model, parts and steps. rows: labelled a week; by default as many as the log has, or 20,000 without
    one. scale: of the simulated noise; by default that of the project, or 0.05.
    """
    project, model, parts = case["project"], case["model"], case["parts"]
    found = []
    if len(model.classes) == 2:
        weeks = float(np.ptp(log.numbers("at"))) / WEEK_SECONDS if log.rows else 0.0
        a_week = rows or (round(labels.rows / max(weeks, 1.0)) if labels.rows else USUAL)
        found.append(found_soon(model.score(parts.holdout), scale=scale or project.feedback.randomise or 0.05,
                                rows=a_week))
    if not log.rows or not labels.rows:
        return found
    gain, low, high, n = gain_interval(later_gain(log, project.feedback.unit or project.rollout.unit))
    if n >= FEWEST:
        verdict: Verdict = "pass" if low <= 0 <= high else "fail"
        found.append(_named(say(verdict, f"{gain:+.0%} of a change of the score comes back in the next score of the "
                                         f"same entity ({low:+.0%} to {high:+.0%}, {n:,} pairs).",
                                value=gain, low=low, high=high, limit=0.0, n=n,
                                remedy="" if verdict == "pass" else "look for the feature that the answer changes")))
    return [*found, holdback_teaches(model, learnable(case, log, labels), partial(_quick, case["steps"]))]


def learnable(case: Mapping[str, Any], log: Table, labels: Table) -> Table:
    """Labelled rows of a log as a quick model learns from them: cleaned, with the target and the column arm."""
    model, schema = case["model"], case["parts"].learn.schema
    found: Table = model.cleaned(labelled(model, log, labels), but=OWN)
    found = found.select([*model.features.columns, model.sheet.target, "arm"])
    own = found.schema
    for name in (*model.features.columns, model.sheet.target):
        own = own.replace(name, kind=schema[name].kind, role=schema[name].role)
    return found.with_schema(own.replace("arm", role="ignored"))


def _quick(steps: Any, rows: Table, seed: int) -> Model:
    made: Model = steps.train(rows, learner="boosted", seed=seed, settings=TREES)
    return made


def _named(finding: Finding) -> Finding:
    return replace(finding, check="feedback-drill", row=ROW)
