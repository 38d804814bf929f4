"""How good the model is on traffic without labels, from its score counts alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import FIXED, SCORE_CELLS, Plan, Reference
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Tallies
from shipworthy.deployment.monitoring.reference import calibrated, isotonic
from shipworthy.marks import check

DRAWS = 200
MOST_UNUSABLE = 0.01


@dataclass(frozen=True)
class Estimate:
    """Estimated figures of a window, and how far each has fallen since the reference, with its 95 % interval.

    figures: name → value; accuracy, f1 and auc of a binary model, accuracy of many classes, loss of a regression.
    drops: name → (drop, low, high); above 0 is worse. why: why nothing can be said, else empty.
    """

    figures: dict[str, float]
    drops: dict[str, tuple[float, float, float]]
    why: str = ""


def estimate(reference: Reference, score: Ints, *, weights: Floats | None = None, seed: int = 0) -> Estimate:
    """Figures of traffic from its score counts, by the reference's calibration.

    score: (score cells,) counts. weights: (sample rows,) density ratio of traffic to reference; with it the
    calibration is fitted anew on reference rows weighted to look like the traffic.
    Blind to a changed relation of features and outcome. Source: NannyML's CBPE on a histogram; Kivimäki et al.
    (2024), PAPE, for the weights.
    """
    plan, counted = reference.plan, score.astype(np.float64)
    usable = counted[: 2 * SCORE_CELLS].sum() if not plan.value else counted[:-4].sum()
    if counted.sum() - usable > MOST_UNUSABLE * max(1.0, counted.sum()) or usable < 30:
        return Estimate({}, {}, "too few usable scores")
    outcomes = reference.outcomes
    g = reference.expected if weights is None else reweighted(reference, weights)
    now = _figures(plan, counted, g)
    before = _true_figures(plan, outcomes)
    random = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in now}
    for _ in range(DRAWS):
        again = _redrawn(outcomes, plan, random)
        fitted = calibrated(again, plan) if weights is None else g
        traffic = random.multinomial(int(counted.sum()), counted / counted.sum()).astype(np.float64)
        then, later = _true_figures(plan, again), _figures(plan, traffic, _came_true(fitted, traffic, plan, random))
        for name in now:
            drawn[name].append(_drop(plan, then[name], later[name]))
    drops = {}
    for name, value in now.items():
        values = np.array(drawn[name])
        low, high = (float(x) for x in np.nanquantile(values, (0.025, 0.975))) if np.isfinite(values).any() else (
            float("nan"), float("nan"))
        drops[name] = (_drop(plan, before[name], value), low, high)
    return Estimate(now, drops)


def reweighted(reference: Reference, weights: Floats) -> Floats:
    """The calibration fitted on the reference sample under weights, (calibration cells,)."""
    where, loss = reference.sample[:, -2], reference.sample[:, -1] / FIXED
    size = reference.plan.score_cells
    if reference.plan.value:
        total = np.bincount(where, weights=weights * loss, minlength=size)
        rows = np.bincount(where, weights=weights, minlength=size)
        return np.asarray((total + loss.mean()) / (rows + 1))
    binary = len(reference.plan.classes) == 2
    came = np.where(where >= SCORE_CELLS, 1 - loss, loss) if binary else 1 - loss
    inside = where < 2 * SCORE_CELLS
    cell = where[inside] % SCORE_CELLS
    sums = [np.bincount(cell, weights=part[inside], minlength=SCORE_CELLS) for part in (weights, weights * came)]
    return isotonic(sums[0].astype(np.float64), sums[1].astype(np.float64))


def _drop(plan: Plan, before: float, now: float) -> float:
    return now - before if plan.value else before - now


def _figures(plan: Plan, counted: Floats, g: Floats) -> dict[str, float]:
    if plan.value:
        return {"loss": float((counted * g).sum() / counted.sum())}
    no, yes = counted[:SCORE_CELLS], counted[SCORE_CELLS : 2 * SCORE_CELLS]
    if len(plan.classes) != 2:
        return {"accuracy": float(((no + yes) * g).sum() / (no + yes).sum())}
    return _binary((no * g, no * (1 - g)), (yes * g, yes * (1 - g)))


def _true_figures(plan: Plan, outcomes: Ints) -> dict[str, float]:
    rows, came = outcomes[:, 0].astype(np.float64), outcomes[:, 1] / FIXED
    if plan.value:
        return {"loss": float(came.sum() / rows.sum())}
    no, yes = slice(0, SCORE_CELLS), slice(SCORE_CELLS, 2 * SCORE_CELLS)
    if len(plan.classes) != 2:
        return {"accuracy": float(came.sum() / rows.sum())}
    missed = rows - came
    return _binary((came[no], missed[no]), (came[yes], missed[yes]))


def _binary(no: tuple[Floats, Floats], yes: tuple[Floats, Floats]) -> dict[str, float]:
    """Figures from positives and negatives per score cell, among rows decided no and rows decided yes."""
    positive, negative = no[0] + yes[0], no[1] + yes[1]
    tp, fp, fn, tn = (float(part.sum()) for part in (*yes, *no))
    total, pairs = tp + fp + fn + tn, positive.sum() * negative.sum()
    f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn > 0 else float("nan")
    below = np.cumsum(negative) - negative / 2
    auc = float((positive * below).sum() / pairs) if pairs > 0 else float("nan")
    return {"accuracy": float((tp + tn) / total), "f1": float(f1), "auc": auc}


def _redrawn(outcomes: Ints, plan: Plan, random: np.random.Generator) -> Ints:
    rows = outcomes[:, 0]
    drawn = random.multinomial(rows.sum(), rows / rows.sum())
    share = np.clip(outcomes[:, 1] / np.maximum(rows, 1) / FIXED, 0, 1)
    if plan.value:
        return np.stack([drawn, np.rint(drawn * share * FIXED)], axis=1).astype(np.int64)
    return np.stack([drawn, random.binomial(drawn, share) * FIXED], axis=1).astype(np.int64)


def _came_true(g: Floats, traffic: Floats, plan: Plan, random: np.random.Generator) -> Floats:
    """Outcomes drawn at their expected share, so that the interval holds what chance adds to a window."""
    if plan.value:
        return g
    size = (traffic[:SCORE_CELLS] + traffic[SCORE_CELLS : 2 * SCORE_CELLS]).astype(np.int64)
    return np.where(size > 0, random.binomial(size, np.clip(g, 0, 1)) / np.maximum(size, 1), g)


@check("estimated-performance", row="deployment.monitoring")
def estimated_performance(project: Project, grid: Reference, tallies: Tallies) -> Finding:
    """How far accuracy and ranking have probably fallen, before a single label has arrived."""
    score = tallies.rows.whole.total("score")
    return judged(estimate(grid, score), project.watch.tolerance, int(score.sum()))


def judged(found: Estimate, tolerance: float, rows: int) -> Finding:
    """The finding of an estimate: held to the tolerance by the interval of the largest drop."""
    blind = "The estimate is blind to a changed relation between features and outcome."
    if found.why:
        return say("unknown", f"Performance cannot be estimated on {rows:,} rows: {found.why}.", n=rows)
    held = {name: drop for name, drop in found.drops.items() if name != "f1" and np.isfinite(drop[1])}
    name = max(held, key=lambda key: held[key][1])
    drop, low, high = held[name]
    facts = {"value": drop, "low": low, "high": high, "limit": tolerance, "n": rows, "chart": {
        "kind": "bars", "name": list(held), "value": [d[0] for d in held.values()],
        "low": [d[1] for d in held.values()], "high": [d[2] for d in held.values()], "limit": tolerance}}
    span = f"{drop:+.3f} (95 % interval {low:+.3f} to {high:+.3f}, tolerance {tolerance:g}, {rows:,} rows)"
    if low > tolerance:
        return say("fail", f"Without labels, the model's {name} is estimated to be worse by {span}. {blind}", **facts,
                   remedy="get labels for a random sample of recent rows, and renew if they agree")
    if max(d[2] for d in held.values()) > tolerance:
        return say("unknown", f"Without labels, the model's {name} may be worse: {span}. {blind}", **facts,
                   remedy="wait for more traffic, or label a random sample")
    return say("pass", f"Without labels, no estimated figure is worse beyond tolerance; {name} {span}. {blind}",
               **facts)
