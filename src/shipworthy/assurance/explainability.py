"""Do explanations say what the model does? A score of five parts behind a hard gate on additivity.

It scores explanations, not trust: whether people can use them is not measured here.
Sources: Samek et al. (2017), perturbation curves (faithfulness); Alvarez-Melis and Jaakkola (2018), stability;
Adebayo et al. (2018), sanity by permuted labels; Craven and Shavlik (1996), surrogate trees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shipworthy.assurance.surrogate import fit_surrogate
from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Table
from shipworthy.errors import ShipworthyError
from shipworthy.marks import check
from shipworthy.metrics.agreement import spearman

TOP, CARRY, ENOUGH = 5, 0.9, 6
FLOOR = 0.001
SANE = 100
Explain = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Score:
    """The parts in [0, 1] and their geometric mean × 100. gap: largest failure of the shares to add up.

    by_size: faithfulness and sanity by the size of shares alone, as they are usually defined; shown, not held to a
    limit, for true shares do not reach it (see `docs/decisions.md`).
    """

    gap: float
    parts: dict[str, float]
    by_size: dict[str, float]

    @property
    def total(self) -> float:
        return float(100 * np.exp(np.mean([np.log(max(part, FLOOR)) for part in self.parts.values()])))


@check("explainability-score", row="trust.explainability")
def explainability_score(
    model: Model, parts: Parts, steps: Steps, *, limit: float = 70.0, each: float = 0.50, additivity: float = 1e-6,
    rows: int = 400, retrains: int = 5
) -> Finding:
    """Whether the explainability score and every part of it reach their limits, and shares add up to the margin.

    Parts: faithfulness, stability, parsimony, sanity (contributions of `retrains` models trained on permuted labels
    must look different), simulatability (a tree of depth 4 that imitates the margin). On up to `rows` holdout rows; the
    values themselves are held to the limits, for they are of this model on these rows. Faithfulness and sanity by the
    size of shares alone are shown beside them.
    """
    if model.task == "multiclass":
        return say("unknown", "Shares of one of several classes are not defined, so explanations are not scored.")
    asked = _some_rows(parts.holdout, rows)
    inputs = model.inputs(asked)
    if len(inputs) < 50:
        return say("unknown", f"{len(inputs)} holdout rows are too few to score explanations.", n=len(inputs))
    score = scored(model, parts, steps, asked, retrains)
    listed = ", ".join(f"{name} {value:.2f}" for name, value in score.parts.items())
    if score.gap > additivity:
        return say("fail", f"The shares do not add up: they miss the margin by up to {score.gap:.2g} on {len(inputs)} "
                   f"rows ({additivity:g} is allowed).", value=score.gap, limit=additivity, n=len(inputs),
                   remedy="explain with the contributions of this very model and its own reference")
    low = min(score.parts, key=lambda name: score.parts[name])
    good = score.total >= limit and score.parts[low] >= each
    return say("pass" if good else "fail", f"The explainability score is {score.total:.0f} of 100 on {len(inputs)} "
               f"rows ({listed}); the lowest part is {low}. At least {limit:g}, and {each:g} in every part, is asked. "
               f"By size alone: {', '.join(f'{name} {value:.2f}' for name, value in score.by_size.items())}. "
               "How well people foretell the model was not measured.", value=score.total, limit=limit, n=len(inputs),
               chart={"kind": "bars", "name": list(score.parts), "value": list(score.parts.values()), "low": [],
                      "high": [], "limit": [each] * len(score.parts)},
               remedy="" if good
               else {"simulatability": "a simpler model can be foretold: look at the front in learning.complexity",
                     "parsimony": "fewer features carry further: look at those that bring nothing"}.get(
                   low, "see each part: shipworthy checklist trust.explainability"))


def scored(model: Model, parts: Parts, steps: Steps, asked: Table, retrains: int) -> Score:
    """The score of the explanations that `steps.contributions` gives for the rows asked."""
    inputs = model.inputs(asked)

    def explain(rows: Floats) -> Floats:
        return np.asarray(steps.contributions(model, rows), np.float64)

    shares, margin = explain(inputs), model.program.margin(inputs)[:, 0]
    base = float(model.program.margin(model.reference[None, :])[0, 0])
    gap = float(np.abs(shares.sum(axis=1) + base - margin).max())
    sane, sane_by_size = sanity(model, parts, steps, asked, shares=shares, retrains=retrains)
    return Score(gap, {
        "faithfulness": faithfulness(model, inputs, shares),
        "stability": stability(model, parts, inputs, shares, explain),
        "parsimony": parsimony(shares),
        "sanity": sane,
        "simulatability": simulatability(model, parts),
    }, {"faithfulness": faithfulness_by_size(model, inputs, shares), "sanity": sane_by_size})


def faithfulness(model: Model, inputs: Floats, shares: Floats) -> float:
    """How far the margin falls when the highest shares are reset first, and rises when the lowest are, relative to
    resetting by what each input does alone; in [0, 1]. Random order moves it by 0 on the whole.

    The sign counts: by size alone, resets that push up and down cancel, and true shares look like chance.
    """
    own, best = (_parted(model, inputs, one) for one in (shares, _alone(model, inputs)))
    return float(np.clip(own / best, 0, 1)) if best > 0 else 0.0


def faithfulness_by_size(model: Model, inputs: Floats, shares: Floats, *, draws: int = 3) -> float:
    """How far the margin moves when the largest shares are reset first, between a random order (0) and that by what
    each input does alone (1); in [0, 1]. Source: Samek et al. (2017)."""
    random = np.random.default_rng(0)
    own, best = (_moved(model, inputs, np.abs(one)) for one in (shares, _alone(model, inputs)))
    chance = float(np.mean([_moved(model, inputs, random.random(inputs.shape)) for _ in range(draws)]))
    return float(np.clip((own - chance) / (best - chance), 0, 1)) if best > chance else 0.0


def _alone(model: Model, inputs: Floats) -> Floats:
    """How far each input by itself, reset, takes the margin down, (n, d)."""
    margin = model.program.margin(inputs)[:, 0]
    return np.stack([margin - _reset(model, inputs, place) for place in range(inputs.shape[1])], axis=1)


def _moved(model: Model, inputs: Floats, by: Floats) -> float:
    """Mean size of the change of the margin when the highest are reset first, over all steps."""
    order, every, changed = np.argsort(-by, axis=1, kind="stable"), np.arange(len(inputs)), inputs.copy()
    margin, total = model.program.margin(inputs)[:, 0], 0.0
    for at in order.T:
        changed[every, at] = model.reference[at]
        total += float(np.abs(model.program.margin(changed)[:, 0] - margin).mean())
    return float(total / inputs.shape[1])


def _reset(model: Model, inputs: Floats, place: int) -> Floats:
    changed = inputs.copy()
    changed[:, place] = model.reference[place]
    return np.asarray(model.program.margin(changed)[:, 0], np.float64)


def _parted(model: Model, inputs: Floats, by: Floats) -> float:
    """Mean distance between the margins when the lowest are reset first and when the highest are, over all steps."""
    order, every, total = np.argsort(by, axis=1, kind="stable"), np.arange(len(inputs)), 0.0
    lowest, highest = inputs.copy(), inputs.copy()
    for step in range(inputs.shape[1]):
        for changed, at in ((lowest, order[:, step]), (highest, order[:, -1 - step])):
            changed[every, at] = model.reference[at]
        total += float((model.program.margin(lowest)[:, 0] - model.program.margin(highest)[:, 0]).mean())
    return float(total / inputs.shape[1])


def stability(model: Model, parts: Parts, inputs: Floats, shares: Floats, explain: Explain) -> float:
    """Mean overlap of the five largest shares when numbers move by 2 % of their spread, in [0, 1].

    Only rows whose margin stays count: a row that was pushed elsewhere may well have other reasons.
    """
    learn, random = model.inputs(parts.learn), np.random.default_rng(0)
    free = np.array([not one.categorical for one in model.program.inputs])
    with np.errstate(invalid="ignore"):
        spread, low, high = np.nanstd(learn, axis=0), np.nanmin(learn, axis=0), np.nanmax(learn, axis=0)
    whole = np.array([bool(np.all(np.mod(column[np.isfinite(column)], 1) == 0)) for column in learn.T])
    margin, overlaps = model.program.margin(inputs)[:, 0], []
    for _ in range(3):
        noisy = np.where(free, inputs + random.normal(0, 0.02, inputs.shape) * spread, inputs)
        noisy = np.clip(np.where(whole, np.round(noisy), noisy), low, high)
        near = np.abs(model.program.margin(noisy)[:, 0] - margin) < 0.1 * max(1.0, float(margin.std())
                                                                              if model.task == "regression" else 1.0)
        if near.any():
            overlaps.append(_overlap(shares[near], explain(noisy[near])))
    return float(np.mean(overlaps)) if overlaps else 0.0


def _overlap(a: Floats, b: Floats) -> float:
    top: int = min(TOP, int(a.shape[1]))
    sets = [np.argsort(-np.abs(one), axis=1, kind="stable")[:, :top] for one in (a, b)]
    return float(np.mean([len(set(x.tolist()) & set(y.tolist())) / top for x, y in zip(*sets, strict=True)]))


def parsimony(shares: Floats) -> float:
    """1 where six inputs carry 90 % of the shares of the median row, less the more are needed; in [0, 1]."""
    size = -np.sort(-np.abs(shares), axis=1)
    whole = size.sum(axis=1, keepdims=True)
    needed = (np.cumsum(size, axis=1) < CARRY * whole - 1e-12).sum(axis=1) + 1
    return float(min(1.0, ENOUGH / np.median(needed)))


def sanity(
    model: Model, parts: Parts, steps: Steps, asked: Table, *, shares: Floats, retrains: int
) -> tuple[float, float]:
    """1 less the rank correlation with the shares of models trained on permuted labels, in [0, 1]: cell by cell with
    their signs, and of the mean sizes of the columns.

    Signed shares of the same rows: their size alone favours columns of many values, whatever the labels.
    """
    learn, found = _some_rows(parts.learn, 4_000), []
    for seed in range(retrains):
        order = pa.array(np.random.default_rng([7, seed]).permutation(learn.rows))
        shuffled = learn.with_column(model.sheet.target, learn.column(model.sheet.target).take(order))
        try:
            other: Model = steps.train(shuffled, learner="boosted", seed=seed, settings={})
        except ShipworthyError:
            continue
        theirs = np.asarray(steps.contributions(other, other.inputs(asked.head(SANE))), np.float64)
        places = {one.name: place for place, one in enumerate(other.program.inputs)}
        both = [(place, places[one.name]) for place, one in enumerate(model.program.inputs) if one.name in places]
        if both:
            own, new = (np.array([pair[side] for pair in both]) for side in (0, 1))
            found.append([spearman(shares[:SANE, own].ravel(), theirs[:, new].ravel()),
                          spearman(np.abs(shares[:SANE, own]).mean(axis=0), np.abs(theirs[:, new]).mean(axis=0))])
    if not found:
        return 0.0, 0.0
    signed, size = np.nan_to_num(np.array(found)).mean(axis=0)
    return float(1 - max(0.0, signed)), float(1 - max(0.0, size))


def simulatability(model: Model, parts: Parts) -> float:
    """R² on holdout rows of a tree of depth 4 that was fitted to the margin on learning rows, floored at 0."""
    learn, ask = _some(model.inputs(parts.learn), 10_000), _some(model.inputs(parts.holdout), 4_000)
    told = fit_surrogate(learn, model.program.margin(learn)[:, 0])
    truth, guess = model.program.margin(ask)[:, 0], told(ask)
    spread = float(((truth - truth.mean()) ** 2).sum())
    return float(max(0.0, 1 - ((truth - guess) ** 2).sum() / spread)) if spread else 1.0


def _some(inputs: Floats, rows: int) -> Floats:
    return inputs if len(inputs) <= rows else inputs[np.sort(np.random.default_rng(0).permutation(len(inputs))[:rows])]


def _some_rows(table: Table, rows: int) -> Table:
    return table if table.rows <= rows else table.take(np.sort(np.random.default_rng(0).permutation(table.rows)[:rows]))
