"""Can one tell who was in the training data? A likelihood-ratio attack with shadow models, and the gap it feeds on.

Source: Carlini et al. (2022), "Membership inference attacks from first principles" (likelihood ratio); Yeom et al.
(2018) for the gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from shipworthy.assurance.shadows import Attack, half, outcome, ratio, recipe_attack, signal
from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, Verdict, say, settled
from shipworthy.core.learned import Parts, Recipe
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.errors import ShipworthyError
from shipworthy.marks import check

LEAST = 400
LEAST_NEW = 1_000
THINGS = ('Rows are declared to be about things, [project] subject = "thing", and no column is personal, so there is '
          "nobody to recognise.")
HELPS = ("learn less by heart: [learning] cautious = true, or more rows; what it would bring: shipworthy drill "
         "membership --remedy")


@check("membership", row="security.inversion")
def membership(
    project: Project, model: Model, recipe: Recipe, parts: Parts, steps: Steps, *, limit: float = 0.60,
    share_limit: float = 0.03, gap_limit: float = 0.05, rows: int = 4_000, shadows: int = 12
) -> Finding:
    """Whether an attacker with shadow models tells members from others: AUC and the share at 1 % false alarms.

    The recipe is trained again on random halves of up to `rows` learning and holdout rows; every one of these models is
    the target once. With 1,000 holdout rows, and over twice as many learning rows as the attack can hold, the released
    model is attacked with the same models as shadows and gates instead, because leakage falls with rows; both figures
    are printed. Held to the limits are the upper ends. It fails too where the model is right about learning rows more
    often than about new ones by more than `gap_limit`, beyond chance. Power: against boosted trees
    of 31 leaves on Adult the full attack (6,000 rows, 24 shadows: `shipworthy drill membership`) reaches AUC 0.69 with
    an interval of ± 0.006, this one 0.69 ± 0.01.
    """
    if project.project.subject == "thing" and not project.data.personal:
        return say("not-applicable", THINGS)
    ground = pool(parts, rows)
    if ground.table.rows < LEAST or ground.others < LEAST // 8:
        return say("unknown", f"{ground.table.rows} rows are too few to attack; {LEAST} are needed.",
                   n=ground.table.rows, remedy="give the holdout a larger share: [split] holdout")
    try:
        found = attack(ground, model, recipe, steps, shadows=shadows)
    except ShipworthyError as error:
        return say("unknown", f"The recipe could not be trained again, so nothing was attacked: {error.problem}.",
                   n=ground.table.rows, remedy=error.hint)
    return _told(found, learnt_by_heart(model, parts), limit=limit, share_limit=share_limit, gap_limit=gap_limit)


@dataclass(frozen=True)
class Pool:
    """The rows that an attack is tried on: members of the released model first, then rows that it never saw.

    places: (members,) of the learning part. big: whether the released model learnt from many more rows than these.
    """

    table: Table
    places: Ints
    others: int
    big: bool


@dataclass(frozen=True)
class Found:
    """What the attacks on a recipe and on a released model achieved, which of them counts, and who is most exposed.

    exposed: (k,) rows of the learning part, the most exposed first, with their log likelihood ratios.
    """

    recipe: Attack
    released: Attack
    gate: Literal["recipe", "released"]
    shadows: int
    exposed: tuple[tuple[int, float], ...]

    @property
    def counts(self) -> Attack:
        return self.released if self.gate == "released" else self.recipe


def pool(parts: Parts, rows: int) -> Pool:
    """Up to `rows` rows, half of them from the learning part, the others from the holdout."""
    places, others = _drawn(parts.learn, rows // 2, 1), _drawn(parts.holdout, rows // 2, 2)
    table = Table(pa.concat_tables([parts.learn.take(places).data, parts.holdout.take(others).data]),
                  parts.learn.schema, "pool")
    return Pool(table, places, len(others), parts.learn.rows > 2 * len(places) and len(others) >= LEAST_NEW)


def attack(ground: Pool, model: Model, recipe: Recipe, steps: Steps, *, shadows: int) -> Found:
    """Attack the recipe and the released model. Raises ShipworthyError where the recipe cannot be trained again."""
    random, n = np.random.default_rng(0), ground.table.rows
    halves = np.stack([half(n, random) for _ in range(shadows + 1)])
    told = np.stack([signal(_shadow(recipe, steps, ground.table.take(rows), seed), ground.table)
                     for seed, rows in enumerate(halves)])
    again, exposed = recipe_attack(told, halves)
    origin = np.arange(n) < len(ground.places)
    scores = ratio(signal(model, ground.table), told[1:], halves[1:])
    live = outcome(scores[None], origin[None])
    worst = (scores if ground.big else exposed)[: len(ground.places)]
    most = np.argsort(-worst, kind="stable")[: max(1, len(worst) // 100)]
    return Found(again, live, "released" if ground.big else "recipe", shadows,
                 tuple((int(ground.places[row]), float(worst[row])) for row in most))


def _told(found: Found, gap: tuple[float, float, float], *, limit: float, share_limit: float,
          gap_limit: float) -> Finding:
    gate = found.counts
    verdicts: tuple[Verdict, ...] = (
        settled(gate.auc, limit=limit, low=gate.low, high=gate.high, at_most=True),
        settled(gate.share, limit=share_limit, low=gate.share_low, high=gate.share_high, at_most=True, chance=True),
        "fail" if gap[1] > gap_limit else "pass")
    verdict: Verdict = next((one for one in ("fail", "unknown") if one in verdicts), "pass")
    name, other = ("The released model", "the recipe") if found.gate == "released" else ("The recipe",
                                                                                          "the released model")
    rest = found.recipe if found.gate == "released" else found.released
    rows, ratios = zip(*found.exposed, strict=True)
    exposed: dict[str, Any] = {"learning row": list(rows), "log ratio": [round(each, 2) for each in ratios]}
    return say(verdict, f"{name} gives members away with AUC {gate.auc:.3f}, at the most {gate.high:.3f} ({limit:g} is "
               f"allowed), and {gate.share:.1%} of them at 1 % false alarms, at the most {gate.share_high:.1%} "
               f"({share_limit:.0%} is allowed); {other} with {rest.auc:.3f} ({found.shadows} shadows, {gate.rows:,} "
               f"rows). It is right on learning rows {gap[0]:+.1%} more often than on new ones, beyond chance "
               f"{max(gap[1], 0):.1%} ({gap_limit:.0%} is allowed).", value=gate.auc, low=gate.low, high=gate.high,
               limit=limit, n=gate.rows, counterexample=exposed, remedy="" if verdict == "pass" else HELPS)


def learnt_by_heart(model: Model, parts: Parts) -> tuple[float, float, float]:
    """How much more often the model is right about learning rows than about new ones, with its 95 % interval.

    Share of right decisions; for a regression R². Normal interval of a difference of means.
    """
    marks = [_right(model, rows.take(_drawn(rows, 20_000, 3))) for rows in (parts.learn, parts.holdout)]
    gap = float(marks[0].mean() - marks[1].mean())
    error = float(np.sqrt(sum(mark.var() / len(mark) for mark in marks)))
    return gap, gap - 1.96 * error, gap + 1.96 * error


def _right(model: Model, table: Table) -> Floats:
    truth, score = model.truth(table), model.score(table)
    if model.task == "regression":
        return np.asarray(1 - (score - truth) ** 2 / (float(np.var(truth)) or 1.0), np.float64)
    return np.asarray(model.decide(score) == truth, np.float64)


def _shadow(recipe: Recipe, steps: Steps, table: Table, seed: int) -> Model:
    model: Model = steps.train(table, learner=recipe.learner, seed=seed, settings=dict(recipe.settings))
    return model


def _drawn(table: Table, most: int, seed: int) -> Ints:
    order = np.random.default_rng(seed).permutation(table.rows)[:most]
    return np.sort(order).astype(np.int64)
