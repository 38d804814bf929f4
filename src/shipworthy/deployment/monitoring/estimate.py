"""How good the model is on traffic without labels, from counts of its scores and a sample of its rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import FIXED, SCORE_CELLS, Plan, Reference
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Sample, Sums, Tallies
from shipworthy.deployment.monitoring.expected import by_score, modelled_loss
from shipworthy.deployment.monitoring.figures import PAIR, expected_figures, expected_told, macro_f1, true_figures
from shipworthy.deployment.monitoring.joint import density_ratio
from shipworthy.deployment.monitoring.reference import calibrated
from shipworthy.marks import check

DRAWS = 200
DECILES = 10
MOST_UNUSABLE = 0.01
FEWEST_ROWS = 30
FEWEST_SAMPLED = 1_000
MOST_ROWS = 20_000
SHOWN = {"auc": "AUROC", "f1": "F1", "accuracy": "accuracy", "loss": "loss"}
BLIND = "The estimate is blind to a changed relation between features and outcome."


@dataclass(frozen=True)
class Unlabelled:
    """What is counted of traffic without labels.

    score: (score cells,). rows: (n, columns + 1) cells of a sample and their score cells, for the loss model of a
    regression. decided: (classes × 64,) rows by decided class and its probability, of more than two classes; empty
    where that was not counted.
    """

    score: Ints
    rows: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    decided: Ints = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class Estimate:
    """Estimated figures of a window, and how far each has fallen since the reference, with its 95 % interval.

    figures: name → value; accuracy, f1 and auc of a binary model, accuracy and f1 (macro) of many classes, loss of a
    regression. drops: name → (drop, low, high); above 0 is worse. why: why nothing can be said, else empty.
    """

    figures: dict[str, float]
    drops: dict[str, tuple[float, float, float]]
    why: str = ""


def unlabelled(rows: Sums, sample: Sample) -> Unlabelled:
    """What these sums of served rows and a sample of them say without labels."""
    return Unlabelled(rows.total("score"), sample.cells[-MOST_ROWS:], rows.total("decided"))


def estimate(reference: Reference, now: Unlabelled, *, weights: Floats | None = None, seed: int = 0) -> Estimate:
    """Figures of traffic, by the reference's calibration, or by the loss model of a regression.

    weights: (sample rows,) density ratio of traffic to reference; with it the calibration of a classification is moved
    to where the traffic is. Blind to a changed relation of features and outcome.
    Source: NannyML's CBPE and DLE on a histogram; Białek et al. (2024), PAPE, for the weights.
    """
    plan, rows = reference.plan, float(now.score.sum())
    usable = now.score[:-4].sum() if plan.value else now.score[: 2 * SCORE_CELLS].sum()
    if rows - usable > MOST_UNUSABLE * max(1.0, rows) or usable < FEWEST_ROWS:
        return Estimate({}, {}, "too few usable scores")
    if plan.value:
        return _of_loss(reference, now)
    if not reference.outcomes[:, 0].any():
        return Estimate({}, {}, "the reference holds no rows")
    return _of_classes(reference, now, weights, seed)


def _of_loss(reference: Reference, now: Unlabelled) -> Estimate:
    """The expected loss of all rows by their scores, put right by the loss model on the sample of them."""
    n, before, each = int(now.score.sum()), reference.outcomes.sum(axis=0), by_score(reference)
    loss, then = float(now.score @ each / n), float(before[1] / FIXED / max(1, before[0]))
    more, variance = 0.0, float((reference.sample[:, -1] / FIXED).var()) if len(reference.sample) > 1 else 0.25
    spread = variance / n + variance / max(1, before[0])
    found = modelled_loss(reference, now.rows) if len(now.rows) else None
    if found is not None:
        apart = found - each[now.rows[:, -1]]
        more, spread = float(apart.mean()), spread + float(apart.var()) / len(apart)
    loss, half = max(0.0, loss + more), 1.96 * float(np.sqrt(spread))
    return Estimate({"loss": loss}, {"loss": (loss - then, loss - then - half, loss - then + half)})


def _of_classes(reference: Reference, now: Unlabelled, weights: Floats | None, seed: int) -> Estimate:
    plan, outcomes, random = reference.plan, reference.outcomes, np.random.default_rng(seed)
    counted = now.score.astype(np.float64)
    g = shifted(reference, reference.expected, weights)
    found, before = figures(reference, counted, now.decided, g), _before(reference, outcomes, reference.told)
    drawn: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(DRAWS):
        again, told = _redrawn(outcomes, random), _shaken(reference.told, random)
        fitted = shifted(reference, calibrated(again, plan), weights, random=random)
        traffic = _shaken(now.score, random).astype(np.float64)
        then = _before(reference, again, told)
        later = figures(reference, traffic, _shaken(now.decided, random), _came_true(fitted, traffic, plan, random))
        for name in found:
            drawn[name].append(then[name] - later[name])
    drops = {}
    for name, value in found.items():
        known = np.array(drawn[name])
        ends = np.nanquantile(known, (0.025, 0.975)) if np.isfinite(known).any() else np.full(2, np.nan)
        drops[name] = (before[name] - value, float(ends[0]), float(ends[1]))
    return Estimate(found, drops)


def shifted(
    reference: Reference, g: Floats, weights: Floats | None, *, random: np.random.Generator | None = None
) -> Floats:
    """A calibration moved to where the traffic is, (256,).

    By decile of the score, by as much as what came true of the reference's sample, less what was expected, moves when
    its rows are weighted; the errors common to both means cancel. What chance would move is taken off: the whole move
    is shrunk by its signal over signal and noise. random: draws the sample's rows anew, for an interval.
    Source: Efron and Morris (1973), shrinkage; Glasserman (2003), control variates.
    """
    cell, came = reference.sample[:, -2], reference.came / FIXED
    inside = cell < 2 * SCORE_CELLS
    if weights is None or not inside.any():
        return g
    cell, rest = cell[inside] % SCORE_CELLS, came[inside] - g[cell[inside] % SCORE_CELLS]
    drawn = np.ones(len(cell)) if random is None else random.poisson(1.0, len(cell)).astype(np.float64)
    decile, middle = _deciles(cell)
    group, w = decile[cell], weights[inside] * drawn
    total, rows = (np.maximum(_by(group, part), 1e-9) for part in (w, drawn))
    apart = w / total[group] - drawn / rows[group]
    move, noise = _by(group, apart * rest), _by(group, (apart * rest) ** 2)
    signal = float((total * move**2).sum())
    share = signal / max(signal + float((total * noise).sum()), 1e-12)
    some = np.isfinite(middle)
    return np.clip(g + np.interp(np.arange(SCORE_CELLS), middle[some], share * move[some]), 0.0, 1.0)


def _deciles(cell: Ints) -> tuple[Ints, Floats]:
    """The decile of every score cell, (256,), and the mean cell of every decile, (10,), NaN where it is empty."""
    n = np.bincount(cell, minlength=SCORE_CELLS).astype(np.float64)
    decile = np.minimum((np.cumsum(n) - n / 2) / n.sum() * DECILES, DECILES - 1).astype(np.int64)
    rows = _by(decile, n)
    return decile, np.where(rows > 0, _by(decile, n * np.arange(SCORE_CELLS)) / np.maximum(rows, 1), np.nan)


def _by(group: Ints, values: Floats) -> Floats:
    return np.bincount(group, weights=values, minlength=DECILES).astype(np.float64)


def figures(reference: Reference, counted: Floats, decided: Ints, g: Floats) -> dict[str, float]:
    """The figures of a classification whose outcomes are as frequent as g says. counted, decided: as `Unlabelled`."""
    found = expected_figures(reference.plan, counted, g)
    if decided.size:
        told = expected_told(reference.told, decided.reshape(-1, PAIR).astype(np.float64), g)
        found["f1"] = macro_f1(told)
    return found


def _before(reference: Reference, outcomes: Ints, told: Ints) -> dict[str, float]:
    found = true_figures(reference.plan, outcomes)
    return found | {"f1": macro_f1(told.astype(np.float64))} if told.size else found


def _shaken(counted: Ints, random: np.random.Generator) -> Ints:
    """As many rows drawn from these counts."""
    rows = int(counted.sum())
    flat = counted.ravel()
    return random.multinomial(rows, flat / rows).reshape(counted.shape) if rows else counted


def _redrawn(outcomes: Ints, random: np.random.Generator) -> Ints:
    rows = outcomes[:, 0]
    drawn = random.multinomial(rows.sum(), rows / rows.sum())
    share = np.clip(outcomes[:, 1] / np.maximum(rows, 1) / FIXED, 0, 1)
    return np.stack([drawn, random.binomial(drawn, share) * FIXED], axis=1).astype(np.int64)


def _came_true(g: Floats, traffic: Floats, plan: Plan, random: np.random.Generator) -> Floats:
    """Outcomes drawn at their expected share, so that the interval holds what chance adds to a window."""
    size = (traffic[:SCORE_CELLS] + traffic[SCORE_CELLS : 2 * SCORE_CELLS]).astype(np.int64)
    return np.where(size > 0, random.binomial(size, np.clip(g, 0, 1)) / np.maximum(size, 1), g)


@check("estimated-performance", row="deployment.monitoring")
def estimated_performance(project: Project, grid: Reference, tallies: Tallies) -> Finding:
    """How far accuracy and ranking have probably fallen, before a single label has arrived.

    The calibration of a classification is moved to where the traffic is, by a density ratio of a sample of its rows;
    where that rests on less than a fifth of the reference's rows, nothing is said. A regression has a loss model.
    """
    now = unlabelled(tallies.rows.whole, tallies.sample)
    rows, weights = int(now.score.sum()), None
    if not grid.plan.value and len(grid.sample) >= FEWEST_SAMPLED:
        ratio = density_ratio(grid, tallies.sample.cells[:, :-1])
        if ratio is not None and not ratio.usable:
            return say("unknown", f"Performance cannot be estimated on {rows:,} rows: they overlap the reference by "
                       f"{ratio.overlap:.0%}, and at least 20 % is needed.", n=rows, value=ratio.overlap, limit=0.2,
                       remedy=AUDIT)
        weights = ratio.weights if ratio else None
    return judged(estimate(grid, now, weights=weights), project.watch.tolerance, rows)


AUDIT = "label a random sample of the newest rows, see [watch] audit"


def judged(found: Estimate, tolerance: float, rows: int) -> Finding:
    """The finding of an estimate: held to the tolerance by the interval of the largest drop."""
    if found.why:
        return say("unknown", f"Performance cannot be estimated on {rows:,} rows: {found.why}.", n=rows)
    held = {name: drop for name, drop in found.drops.items() if name != "f1" and np.isfinite(drop[1])}
    if not held:
        return say("unknown", f"Performance cannot be estimated on {rows:,} rows: no figure has an interval.", n=rows)
    name = max(held, key=lambda key: held[key][1])
    drop, low, high = held[name]
    facts = {"value": drop, "low": low, "high": high, "limit": tolerance, "n": rows, "chart": {
        "kind": "bars", "name": list(held), "value": [d[0] for d in held.values()],
        "low": [d[1] for d in held.values()], "high": [d[2] for d in held.values()], "limit": tolerance}}
    span = f"{drop:+.3f} (95 % interval {low:+.3f} to {high:+.3f}, tolerance {tolerance:g}, {rows:,} rows)"
    if low > tolerance:
        return say("fail", f"Without labels, the model's {SHOWN[name]} is estimated to be worse by {span}. {BLIND}",
                   **facts, remedy="get labels for a random sample of recent rows, and renew if they agree")
    if max(d[2] for d in held.values()) > tolerance:
        return say("unknown", f"Without labels, the model's {SHOWN[name]} may be worse: {span}. {BLIND}", **facts,
                   remedy=AUDIT)
    return say("pass", f"Without labels, no estimated figure is worse beyond tolerance; {SHOWN[name]} {span}. {BLIND}",
               **facts)
