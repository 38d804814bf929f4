"""The likelihood-ratio attack on membership: what shadow models say of a row, and what the attack achieved.

Source: Carlini et al. (2022), "Membership inference attacks from first principles".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Mask, Table
from shipworthy.metrics.arrays import Array
from shipworthy.metrics.intervals import clopper_pearson

CLIP = 1e-4
FALSE_ALARMS = 0.01
DRAWS = 200


class Attack(NamedTuple):
    """What an attack achieved, with 95 % intervals over rows.

    auc, low, high: of telling members from others. share: true positives at 1 % false alarms. rows: members and others
    together. targets: how many models were attacked.
    """

    auc: float
    low: float
    high: float
    share: float
    share_low: float
    share_high: float
    rows: int
    targets: int = 1


def signal(model: Model, table: Table) -> Floats:
    """Log-odds of the true label, or minus the log of the absolute error of a regression, (n,).

    Before calibration, which a shadow has not.
    """
    bare = model.with_program(model.program.calibrated(None))
    truth, score = model.truth(table), bare.score(table)
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


def recipe_attack(told: Floats, halves: Array) -> tuple[Attack, Floats]:
    """The attack on a recipe: every model is the target once, the others its shadows; and the mean ratio of each row
    over the targets that held it, (n,).

    told: (s + 1, n) signals. halves: (s + 1, n) the rows that each model was trained on.
    """
    others = ~np.eye(len(told), dtype=np.bool_)
    scores = np.stack([ratio(told[each], told[others[each]], halves[others[each]]) for each in range(len(told))])
    members = halves.sum(axis=0)
    exposed = np.where(members > 0, np.where(halves, scores, 0).sum(axis=0) / np.maximum(members, 1), -np.inf)
    return outcome(scores, halves), exposed


def outcome(scores: Floats, members: Array, *, draws: int = DRAWS, seed: int = 0) -> Attack:
    """What scores (t, n) of t targets achieve against their members (t, n).

    Rows are drawn with replacement, for all targets alike, so that a row that is easy for every target counts as one.
    Ties are broken at random. The upper end of the share is at least Clopper and Pearson's.
    """
    random = np.random.default_rng(seed)
    targets, n = scores.shape
    drawn = random.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)
    weights = np.concatenate([np.ones((1, n)), drawn])
    areas, shares = np.zeros((targets, draws + 1)), np.zeros((targets, draws + 1))
    for each in range(targets):
        order = np.lexsort((random.random(n), -scores[each]))
        areas[each], shares[each] = _curves(weights[:, order], members[each][order])
    area, share = areas.mean(axis=0), shares.mean(axis=0)
    (low, high), (least, most) = (np.percentile(found[1:], (2.5, 97.5)) for found in (area, share))
    counted = int(members[0].sum()) if targets == 1 else n
    exact = clopper_pearson(round(float(share[0]) * counted), counted)[1]
    return Attack(float(area[0]), float(low), float(high), float(share[0]), float(least), max(float(most), exact), n,
                  targets)


def _curves(weights: Floats, members: Mask) -> tuple[Floats, Floats]:
    """AUC and true positives at 1 % false alarms for each draw, (d,), of rows from the highest score to the lowest."""
    inside = np.cumsum(np.where(members, weights, 0), axis=1, dtype=np.float64)
    outside = np.cumsum(np.where(members, 0, weights), axis=1, dtype=np.float64)
    ins, outs = np.maximum(inside[:, -1], 1), np.maximum(outside[:, -1], 1)
    below = np.where(members, weights, 0) * (outside[:, -1:] - outside)
    last = (outside <= FALSE_ALARMS * outs[:, None]).sum(axis=1) - 1
    found = np.where(last >= 0, inside[np.arange(len(inside)), np.maximum(last, 0)], 0.0)
    return np.asarray(below.sum(axis=1) / (ins * outs), np.float64), np.asarray(found / ins, np.float64)


def half(n: int, random: np.random.Generator) -> Mask:
    """A random half of n rows."""
    mask = np.zeros(n, np.bool_)
    mask[random.permutation(n)[: n // 2]] = True
    return mask


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
