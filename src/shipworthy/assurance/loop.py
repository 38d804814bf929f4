"""Does a gap between groups widen when the model's own decisions choose the rows that it is trained on next?

The loop is simulated: rows arrive, the model decides, only accepted rows return their outcome, a quick learner is
fitted to what is known by then. The first decider is the model itself; the learner after it is a logistic regression
over the model's inputs, so that twenty loops of five rounds take a second or two.
Sources: Lakkaraju et al. (2017), selective labels; Ensign et al. (2018), runaway feedback loops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy import special

from shipworthy.assurance.groups import (
    Grouping,
    came_true,
    favourable,
    groupings,
    in_words,
    unmeasured,
    wished,
)
from shipworthy.core.evidence import Finding, Verdict, say, settled
from shipworthy.core.features import Input
from shipworthy.core.found import Profile
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.marks import check

KNOWN, ARRIVING, EVALUATED = 1_500, 1_000, 6_000
LEVELS, RIDGE, STEPS = 8, 1.0, 5
Decide = Callable[[Floats], Mask]


class _Ground(NamedTuple):
    """What a loop runs on. outcome: (n,) 1 where the outcome wished for came true. accepts: of the model itself."""

    inputs: Floats
    outcome: Ints
    accepts: Mask
    threshold: float
    explore: float
    recorded: bool


@check("gap-slope", row="ethics.bias")
def gap_slope(
    project: Project, profile: Profile, model: Model, parts: Parts, *, limit: float = 0.01, rounds: int = 5,
    seeds: int = 20, least: int = 50
) -> Finding:
    """Whether the gap in selection rates grows by at most the limit in each round of retraining on own decisions.

    The slope over the rounds by least squares, from what learning without the loop gives, for the group with the higher
    base rate less the one with the lower, of every protected column and intersection; the interval is that of the mean
    over the seeds. `[fairness] explore` and `unseen_outcome` say how the project decides and what it records. Rows are
    redrawn from learn and tune; gaps are measured on holdout rows.
    """
    asked = _some(parts.holdout)
    why_not = unmeasured(project, profile, model, asked, what="Bias")
    if why_not is not None:
        return why_not
    if not project.project.decides:
        return say("not-applicable", "The answer decides nothing, [project] decides = false, so it chooses no rows to "
                   "learn from.")
    wish = wished(project, model)
    ways = [way for way in groupings(asked, least=least) if way.groups >= 2]
    if not ways:
        return say("unknown", f"No two groups have {least} rows each.", n=asked.rows, remedy="hold out more rows")
    evaluated, ground = model.inputs(asked), _ground(project, model, parts, wish)
    pairs = [_extremes(way, came_true(model, model.truth(asked), wish)) for way in ways]
    gaps = np.stack([_loop(ground, model.program.inputs, evaluated, pairs, rounds=rounds, seed=seed)
                     for seed in range(seeds)])
    slopes = _slopes(gaps)
    found = [_judged(slopes[:, at], limit) for at in range(len(ways))]
    order: tuple[Verdict, ...] = ("fail", "unknown", "pass")
    at = min(range(len(ways)), key=lambda place: (order.index(found[place][3]), -found[place][2]))
    slope, low, high, verdict = found[at]
    mean = gaps[:, :, at].mean(axis=0)
    one, other = pairs[at][2]
    remedy = "" if verdict == "pass" else _remedy(project)
    return say(verdict, f"By {ways[at].name}, retraining on its own decisions moves the gap in {in_words(model, wish)} "
               f"({one} less {other}) by {slope:+.4f} a round ({low:+.4f} to {high:+.4f}, {seeds} simulated loops), "
               f"from {mean[0]:+.3f} to {mean[-1]:+.3f} in {rounds} rounds; {limit:+g} a round is allowed.",
               value=slope, low=low, high=high, limit=limit, n=seeds, remedy=remedy)


def _remedy(project: Project) -> str:
    """What breaks the loop and is not done yet."""
    rules = project.fairness
    if rules.unseen_outcome == "unfavourable":
        return 'record an outcome that nobody saw as unseen, not as unfavourable: [fairness] unseen_outcome = "dropped"'
    more = "0.05" if not rules.explore else f"{min(2 * rules.explore, 1.0):g}, twice as many as now"
    return (f"accept a share of the refused at random and learn from them: [fairness] explore = {more}; or accept it "
            "for a time: shipworthy waive ethics.bias --by WHO --reason WHY --until DAY")


def _ground(project: Project, model: Model, parts: Parts, wish: int) -> _Ground:
    table = Table(pa.concat_tables([parts.learn.data, parts.tune.data]), parts.learn.schema, "learn and tune",
                  parts.learn.origin)
    inputs, rules = model.inputs(table), project.fairness
    score = model.program.score(inputs)
    threshold = 0.5 if model.task == "regression" else model.sheet.threshold if wish else 1 - model.sheet.threshold
    return _Ground(inputs, came_true(model, model.truth(table), wish),
                   favourable(model, score, wish).astype(np.bool_), float(threshold), rules.explore,
                   rules.unseen_outcome == "unfavourable")


def _loop(
    ground: _Ground, kinds: tuple[Input, ...], evaluated: Floats, pairs: list[tuple[Mask, Mask, tuple[str, str]]], *,
    rounds: int, seed: int
) -> Floats:
    """The gap of every grouping before the first round of one loop and after each, (rounds + 1, groupings)."""
    random = np.random.default_rng([11, seed])
    known = random.integers(0, len(ground.inputs), KNOWN)
    design = _design(ground.inputs[known], kinds)
    rows, truth = design(ground.inputs[known]), ground.outcome[known]
    asked, edge = design(evaluated), _logit(ground.threshold)
    weights = _fit(rows, truth, None)
    gaps = [_gaps(asked @ weights >= edge, pairs)]
    for number in range(rounds):
        here = random.integers(0, len(ground.inputs), ARRIVING)
        arrived = design(ground.inputs[here])
        accepted = arrived @ weights >= edge if number else ground.accepts[here]
        accepted = accepted | (random.random(ARRIVING) < ground.explore)
        seen = np.ones(ARRIVING, np.bool_) if ground.recorded else accepted
        rows = np.concatenate([rows, arrived[seen]])
        truth = np.concatenate([truth, np.where(accepted, ground.outcome[here], 0)[seen]])
        weights = _fit(rows, truth, weights)
        gaps.append(_gaps(asked @ weights >= edge, pairs))
    return np.stack(gaps)


def _gaps(chosen: Mask, pairs: list[tuple[Mask, Mask, tuple[str, str]]]) -> Floats:
    return np.array([chosen[one].mean() - chosen[other].mean() for one, other, _ in pairs])


def _extremes(way: Grouping, true: Ints) -> tuple[Mask, Mask, tuple[str, str]]:
    """The rows of the group with the highest base rate, those of the lowest, and both names."""
    names = np.unique(way.label[way.kept])
    rates = [float(true[way.kept & (way.label == name)].mean()) for name in names]
    high, low = int(np.argmax(rates)), int(np.argmin(rates))
    high, low = (high, low) if high != low else (0, 1)
    return (way.kept & (way.label == names[high]), way.kept & (way.label == names[low]),
            (str(names[high]), str(names[low])))


def _slopes(gaps: Floats) -> Floats:
    """Least-squares slope over the rounds, (seeds, groupings), of gaps (seeds, rounds, groupings)."""
    at = np.arange(gaps.shape[1]) - (gaps.shape[1] - 1) / 2
    return np.asarray(np.einsum("r,srg->sg", at, gaps) / (at @ at), np.float64)


def _judged(slope: Floats, limit: float) -> tuple[float, float, float, Verdict]:
    """Mean, its interval by Student's t, and the verdict."""
    n, mean = len(slope), float(slope.mean())
    half = float(special.stdtrit(n - 1, 0.975) * slope.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    low, high = mean - half, mean + half
    return mean, low, high, settled(mean, limit=limit, low=low, high=high, at_most=True, chance=True)


def _design(inputs: Floats, kinds: tuple[Input, ...]) -> Callable[[Floats], Floats]:
    """A function from inputs to columns of a regression: scaled numbers, a flag for missing, frequent levels, and 1."""
    with np.errstate(invalid="ignore"):
        known = np.where(np.isfinite(inputs), inputs, np.nan)
        empty = np.isnan(known).all(axis=0)
        known[:, empty] = 0.0
        middle, spread = np.nanmean(known, axis=0), np.nanstd(known, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    levels = [np.unique(column[np.isfinite(column)], return_counts=True) for column in inputs.T]
    top = [values[np.argsort(-count)[:LEVELS]] for values, count in levels]

    def columns(rows: Floats) -> Floats:
        made: list[Floats] = [np.ones(len(rows))]
        for place, kind in enumerate(kinds):
            column = rows[:, place]
            if kind.categorical:
                made += [np.asarray(column == level, np.float64) for level in top[place]]
            else:
                scaled = np.clip((column - middle[place]) / spread[place], -5, 5)
                made += [np.nan_to_num(scaled), np.isnan(column).astype(np.float64)]
        return np.stack(made, axis=1)

    return columns


def _fit(rows: Floats, truth: Ints, start: Floats | None) -> Floats:
    """Ridge-penalised logistic regression by Newton's steps from a start."""
    weights = np.zeros(rows.shape[1]) if start is None else start.copy()
    penalty = np.full(rows.shape[1], RIDGE)
    penalty[0] = 1e-6
    for _ in range(STEPS):
        p = special.expit(rows @ weights)
        slope = rows.T @ (truth - p) - penalty * weights
        bend = (rows * (p * (1 - p))[:, None]).T @ rows + np.diag(penalty)
        weights = weights + np.linalg.solve(bend, slope)
    return np.asarray(weights, np.float64)


def _logit(share: float) -> float:
    share = min(max(share, 1e-9), 1 - 1e-9)
    return float(np.log(share / (1 - share)))


def _some(table: Table) -> Table:
    if table.rows <= EVALUATED:
        return table
    return table.take(np.sort(np.random.default_rng(0).permutation(table.rows)[:EVALUATED]))
