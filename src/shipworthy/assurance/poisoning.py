"""Would poisoned labels be found? A drill: flip some at random and look for them among the most suspicious.

Label-noise search is blind to a backdoor, whose labels agree with its trigger; this drill says nothing about those.
Source: Northcutt, Jiang and Chuang (2021), out-of-fold confidence; the measure is recall at a fixed share of rows.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson

LEAST = 500


@check("flips-found", row="security.poisoning")
def flips_found(
    model: Model, parts: Parts, steps: Steps, *, limit: float = 0.60, flips: float = 0.03, looked: float = 0.05,
    rows: int = 3_000, drills: int = 3, share: float = 0.5
) -> Finding:
    """Whether flipped labels turn up among the most suspicious: recall of 3 % flips in the worst 5 % of rows.

    On a noisy target even the true probabilities cannot find them, so the drill is also run with labels drawn from
    the model's own probabilities and ranked by them: that recall is what can be reached. It passes at `limit`, fails
    under `share` of what can be reached (or under the limit where it can be reached), and is unknown between.
    """
    if model.task == "regression":
        return say("not-applicable", "The target is a number: there is no label to flip.")
    learn = parts.learn if parts.learn.rows <= rows else parts.learn.take(
        np.sort(np.random.default_rng(0).permutation(parts.learn.rows)[:rows]))
    if learn.rows < LEAST:
        return say("unknown", f"{learn.rows} learning rows are fewer than {LEAST}.", n=learn.rows)
    found = sum(_drill(model, learn, steps, seed, flips=flips, looked=looked) for seed in range(drills))
    planted = drills * int(flips * learn.rows)
    best = reachable(model, learn, flips, looked)
    recall, (low, high) = found / planted, clopper_pearson(found, planted)
    floor = limit if best * share >= limit else share * best
    verdict: Verdict = "pass" if low >= limit else "fail" if high < floor else "unknown"
    note = "" if best >= limit else " On a target as noisy as this no search can reach the limit."
    return say(verdict, f"Of {planted} flipped labels {recall:.0%} are among the most suspicious {looked:.0%} "
               f"({low:.0%} to {high:.0%}, {drills} drills on {learn.rows:,} rows); {limit:.0%} is asked and "
               f"{best:.0%} can be reached.{note}", value=recall, low=low, high=high, limit=limit, n=planted,
               counterexample={"reachable": best},
               remedy="" if verdict == "pass" else "accept labels only from signed sources, and have people look at "
               "the most suspicious")


def _drill(model: Model, learn: Table, steps: Steps, seed: int, *, flips: float, looked: float) -> int:
    """How many of the flipped rows are among the most suspicious."""
    random = np.random.default_rng([11, seed])
    truth = np.asarray(model.truth(learn), np.int64)
    chosen = random.permutation(learn.rows)[: int(flips * learn.rows)]
    codes = _flipped(truth, chosen, len(model.classes), random)
    target = pa.array(np.array(model.classes, dtype=object)[codes].tolist())
    kind = learn.data[model.sheet.target].type
    poisoned = learn.with_column(model.sheet.target, target if target.type == kind else _cast(target, kind))
    ranking = np.asarray(steps.suspect_labels(poisoned), np.int64)[: int(looked * learn.rows)]
    return int(np.isin(ranking, chosen).sum())


def reachable(model: Model, learn: Table, flips: float, looked: float, *, draws: int = 20) -> float:
    """Mean recall of a search that knows the probabilities by which the labels were drawn, in [0, 1]."""
    random, recalls = np.random.default_rng(13), []
    each = _each(model, learn)
    for _ in range(draws):
        drawn = (each.cumsum(axis=1) > random.random((len(each), 1))).argmax(axis=1).astype(np.int64)
        chosen = random.permutation(len(each))[: int(flips * len(each))]
        codes = _flipped(drawn, chosen, each.shape[1], random)
        doubt = np.argsort(each[np.arange(len(each)), codes], kind="stable")[: int(looked * len(each))]
        recalls.append(np.isin(doubt, chosen).sum() / len(chosen))
    return float(np.mean(recalls))


def _each(model: Model, learn: Table) -> Floats:
    score = model.score(learn)
    return score if score.ndim == 2 else np.stack([1 - score, score], axis=1)


def _flipped(codes: Ints, chosen: Ints, classes: int, random: np.random.Generator) -> Ints:
    turned = codes.copy()
    turned[chosen] = (codes[chosen] + random.integers(1, classes, len(chosen))) % classes
    return turned


def _cast(target: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return target
    return target.cast(kind)
