"""Can one tell who was in the training data? A likelihood-ratio attack with shadow models, and the gap it feeds on.

Source: Carlini et al. (2022), "Membership inference attacks from first principles" (likelihood ratio); Yeom et al.
(2018) for the gap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, Verdict, say, settled
from shipworthy.core.learned import Learned, Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.errors import ShipworthyError
from shipworthy.marks import check
from shipworthy.metrics.arrays import Array
from shipworthy.metrics.intervals import auc_interval

LEAST = 400
CLIP = 1e-4


class Attack(NamedTuple):
    """What one attack achieved. share: true positives at 1 % false positives. rows: members and others together."""

    auc: float
    low: float
    high: float
    share: float
    rows: int


@check("membership", row="security.inversion")
def membership(
    project: Project, learned: Learned, parts: Parts, steps: Steps, *, limit: float = 0.60, gap_limit: float = 0.05,
    rows: int = 4_000, shadows: int = 14
) -> Finding:
    """Whether an attacker with shadow models tells members from others by an AUC up to the limit, at the upper end.

    The recipe of the chosen model is trained again on random halves of up to `rows` rows; one more half is the target.
    Where learning saw over twice as many rows, the released model is attacked with the same shadows and gates instead,
    because leakage falls with rows; both figures are printed. Rows of one small pool are not independent of each other
    through the shadows: the interval is DeLong's and somewhat too narrow. It also fails where the model is right about
    learning rows more often than about new ones by more than `gap_limit`, beyond chance.
    """
    if project.project.subject == "thing" and not project.data.personal:
        return say("not-applicable", 'Rows are declared to be about things, [project] subject = "thing", and no column '
                   'is personal, so there is nobody to recognise.')
    members, others = _sample(parts.learn, rows // 2, 1), _sample(parts.holdout, rows // 2, 2)
    pool = Table(pa.concat_tables([members.data, others.data]), parts.learn.schema, "pool")
    if pool.rows < LEAST or others.rows < LEAST // 8:
        return say("unknown", f"{pool.rows} rows are too few to attack; {LEAST} are needed.", n=pool.rows)
    random = np.random.default_rng(0)
    halves = np.stack([_half(pool.rows, random) for _ in range(shadows + 1)])
    try:
        told = [signal(_shadow(learned, steps, pool.take(half), seed), pool) for seed, half in enumerate(halves)]
    except ShipworthyError as error:
        return say("unknown", f"The recipe could not be trained again, so nothing was attacked: {error.problem}.",
                   n=pool.rows)
    shadow, held = np.stack(told[1:]), halves[1:]
    recipe = _outcome(ratio(told[0], shadow, held), halves[0])
    origin = np.arange(pool.rows) < members.rows
    live = _outcome(ratio(signal(learned.chosen.model, pool), shadow, held), origin)
    big = parts.learn.rows > 2 * members.rows
    gate, name = (live, "The released model") if big else (recipe, "The recipe")
    other, second = (recipe, f"the recipe at {pool.rows // 2:,} rows") if big else (live, "the released model")
    gap = learnt_by_heart(learned.chosen.model, parts)
    verdict: Verdict = "fail" if gap[1] > gap_limit else settled(gate.auc, limit=limit, low=gate.low, high=gate.high,
                                                                 at_most=True)
    return say(verdict, f"{name} gives members away with AUC {gate.auc:.3f}, at the most {gate.high:.3f} ({limit:g} is "
               f"allowed), and {gate.share:.1%} of them at 1 % false alarms; {second} with {other.auc:.3f} ({shadows} "
               f"shadows, {gate.rows:,} rows). It is right on learning rows {gap[0]:+.1%} more often than on new ones, "
               f"beyond chance {max(gap[1], 0):.1%} ({gap_limit:.0%} is allowed).", value=gate.auc, low=gate.low,
               high=gate.high, limit=limit, n=gate.rows,
               remedy="" if verdict == "pass" else "learn less by heart: fewer leaves, more rows a leaf, a lower rate, "
               "or more rows")


def signal(model: Model, table: Table) -> Floats:
    """Log-odds of the true label, or minus the log of the absolute error of a regression, (n,)."""
    truth, score = model.truth(table), model.score(table)
    if model.task == "regression":
        scale = float(np.std(truth)) or 1.0
        return np.asarray(-np.log(np.abs(score - truth) / scale + 1e-3), np.float64)
    codes = np.asarray(truth, np.int64)
    chance = score[np.arange(len(codes)), codes] if score.ndim == 2 else np.where(codes == 1, score, 1 - score)
    chance = np.clip(chance, CLIP, 1 - CLIP)
    return np.asarray(np.log(chance / (1 - chance)), np.float64)


def ratio(target: Floats, shadow: Floats, held: Array) -> Floats:
    """Log likelihood ratio of being a member, (n,); higher is more likely.

    target: (n,) signals of the model attacked. shadow: (s, n) those of the shadows. held: (s, n) rows each held.
    """
    inside, outside = (np.where(mask, shadow, np.nan) for mask in (held, ~held))
    return _log_normal(target, *_moments(inside)) - _log_normal(target, *_moments(outside))


def _moments(signals: Floats) -> tuple[Floats, float]:
    """Mean of every row over the shadows that are not NaN there, and the spread shared by all rows."""
    known = np.isfinite(signals)
    count = known.sum(axis=0)
    filled = np.where(known, signals, 0.0)
    mean = np.where(count > 0, filled.sum(axis=0) / np.maximum(count, 1), filled.sum() / max(1, known.sum()))
    square = np.where(known, (signals - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count, 1)
    return mean, max(float(np.sqrt(square[count > 0].mean())), 1e-6)


def _log_normal(value: Floats, mean: Floats, spread: float) -> Floats:
    return np.asarray(-0.5 * ((value - mean) / spread) ** 2 - np.log(spread), np.float64)


def _outcome(score: Floats, truth: Mask) -> Attack:
    codes: Ints = truth.astype(np.int64)
    low, high = auc_interval(codes, score)
    edge = np.quantile(score[~truth], 0.99)
    return Attack((low + high) / 2, low, high, float((score[truth] > edge).mean()), len(score))


def _half(n: int, random: np.random.Generator) -> Mask:
    mask = np.zeros(n, np.bool_)
    mask[random.permutation(n)[: n // 2]] = True
    return mask


def _sample(table: Table, most: int, seed: int) -> Table:
    order = np.random.default_rng(seed).permutation(table.rows)
    return table if table.rows <= most else table.take(np.sort(order[:most]))


def _shadow(learned: Learned, steps: Steps, table: Table, seed: int) -> Model:
    chosen = learned.chosen
    model: Model = steps.train(table, learner=chosen.learner, seed=seed, settings=dict(chosen.settings))
    return model


def learnt_by_heart(model: Model, parts: Parts) -> tuple[float, float, float]:
    """How much more often the model is right about learning rows than about new ones, with its 95 % interval.

    Share of right decisions; for a regression R². Normal interval of a difference of means.
    """
    marks = [_right(model, _sample(rows, 20_000, 3)) for rows in (parts.learn, parts.holdout)]
    gap = float(marks[0].mean() - marks[1].mean())
    error = float(np.sqrt(sum(mark.var() / len(mark) for mark in marks)))
    return gap, gap - 1.96 * error, gap + 1.96 * error


def _right(model: Model, table: Table) -> Floats:
    truth, score = model.truth(table), model.score(table)
    if model.task == "regression":
        return np.asarray(1 - (score - truth) ** 2 / (float(np.var(truth)) or 1.0), np.float64)
    return np.asarray(model.decide(score) == truth, np.float64)
