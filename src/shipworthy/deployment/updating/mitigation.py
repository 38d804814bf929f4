"""What can be mended without one new label: the classes' shares, the calibration, the intervals; or why nothing can.

Two assumptions, each checked as far as scores and rows allow. Label shift: classes came more or less often, the rows
of a class look as they did. Covariate shift: other rows came, a row means what it meant. Neither is concept drift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from shipworthy.core.grid import FIXED, SCORE_CELLS, Reference
from shipworthy.core.model import Model
from shipworthy.core.program import TINY, Calibration, Linear, Program, Scaling, Term
from shipworthy.core.table import Floats, Ints, Mask
from shipworthy.errors import Misuse, NotFit
from shipworthy.metrics.classification import auc

LEAST_ROWS, LEAST_OVERLAP, LEAST_REACHED, MOST_CONDITION = 200, 0.2, 0.5, 20.0
CLIPPED_AT, KNOWN, BORNE_GAP = 0.99, 0.02, 0.02
ROUNDS, CLOSE = 2_000, 1e-9
KNOT_STEP = 1 / 256
_TREES = {"objective": "binary", "num_leaves": 8, "learning_rate": 0.1, "min_data_in_leaf": 40, "verbosity": -1,
          "num_threads": 1, "deterministic": True, "force_row_wise": True}


# ── label shift ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Priors:
    """How often each class comes, (k,): before, in the reference; after, in the traffic.

    checked: (k,) the same by confusion counts, NaN where they cannot say. error: of them, one standard error at most.
    condition: of those counts; above 20 they say little. rows: of traffic. gain: by how much the log likelihood of the
    scores rises from before to after. misfit: largest gap between the distributions of scores, as counted and as the
    new shares would have them; NaN where rows, not cells, were given.
    """

    before: Floats
    after: Floats
    checked: Floats
    error: float
    condition: float
    rows: int
    gain: float
    misfit: float

    @property
    def ratio(self) -> Floats:
        """(k,) how many times as often each class comes as before."""
        return np.asarray(self.after / self.before)

    @property
    def warning(self) -> str:
        """Why the shares are to be doubted; empty if nothing says so."""
        if self.condition > MOST_CONDITION:
            return f"the classes are told apart too badly to check it (condition {self.condition:.0f}, at most 20)"
        apart = float(np.abs(self.after - self.checked).max())
        if apart > BORNE_GAP + 3 * self.error:
            return f"confusion counts say otherwise, by {apart:.2f}: the rows of a class may not look as they did"
        return ""


def new_priors(counts: Ints, reference: Reference) -> Priors:
    """The classes' shares in traffic of which only scores are known, of a binary model.

    counts: (score cells,) of the traffic. Raises Misuse for a model of another kind, NotFit under 200 rows.
    Source: Saerens, Latinne and Decaestecker (2002), on the calibrated cells; Lipton, Wang and Smola (2018), BBSE,
    for the check by confusion counts.
    """
    if len(reference.plan.classes) != 2:
        raise Misuse("score cells hold the classes' shares of two classes only", where="new_priors",
                     hint="give the probabilities of rows: new_shares")
    cells, half = np.asarray(counts, np.float64)[: 2 * SCORE_CELLS], SCORE_CELLS
    g, seen = reference.expected, reference.outcomes[: 2 * half] / np.array([1, FIXED])
    chance = np.stack([1 - g, g], axis=1)
    came = np.stack([seen[:, 0] - seen[:, 1], seen[:, 1]], axis=1)
    came, counted = came[:half] + came[half:], cells[:half] + cells[half:]
    high = g >= came[:, 1].sum() / max(1.0, came.sum())  # at the usual share the two are told apart best
    joint = np.stack([came[~high].sum(axis=0), came[high].sum(axis=0)])
    return _priors(chance, counted, came, joint=joint, decided=np.array([counted[~high].sum(), counted[high].sum()]))


def new_shares(scores: Floats, before: Floats, truth: Ints) -> Priors:
    """The same from rows, for any number of classes: scores (n, k) of traffic; before (m, k), truth (m,) of reference.

    A row counts for the class that is likeliest in the confusion counts. Raises NotFit under 200 rows.
    """
    k = before.shape[1]
    once = np.eye(k)
    joint = once[before.argmax(axis=1)].T @ once[truth]
    decided = once[scores.argmax(axis=1)].sum(axis=0)
    return _priors(scores, np.ones(len(scores)), None, joint=joint, decided=decided, shares=once[truth].mean(axis=0))


def _priors(chance: Floats, counts: Floats, came: Floats | None, *, joint: Floats, decided: Floats,
            shares: Floats | None = None) -> Priors:
    """chance: (b, k) of each class by cell, and counts (b,) of traffic. came: (b, k) reference rows by cell and class.

    joint: (k, k) reference rows by decision and class. decided: (k,) traffic rows by decision.
    """
    rows = float(counts.sum())
    if rows < LEAST_ROWS or joint.sum() < LEAST_ROWS:
        raise NotFit(f"{min(rows, joint.sum()):,.0f} rows are too few to say how often each class comes",
                     where="traffic and reference", hint=f"wait for {LEAST_ROWS} usable scores")
    before = joint.sum(axis=0) / joint.sum() if shares is None else shares
    if (before <= 0).any():
        raise NotFit("the reference has no row of a class", where="reference", hint="hold out rows of every class")
    kept = counts > 0
    after, gain = _most_likely(chance[kept], counts[kept], before)
    seen = joint / joint.sum(axis=0)
    condition = float(np.linalg.cond(joint / joint.sum()))
    turned = np.linalg.inv(seen) if condition < 1e9 else np.full_like(seen, np.nan)
    checked = turned @ decided / rows
    error = 0.5 * float(np.linalg.norm(turned)) * float(np.sqrt(1 / rows + 1 / joint.sum(axis=0).min()))
    misfit = float("nan")
    if came is not None:
        meant = (came / came.sum(axis=0)) @ after
        misfit = float(np.abs(np.cumsum(meant) - np.cumsum(counts / rows)).max())
    return Priors(before, after, np.asarray(checked), error, condition, int(rows), gain, misfit)


def _most_likely(chance: Floats, counts: Floats, before: Floats) -> tuple[Floats, float]:
    """The shares with the highest likelihood by expectation maximisation, and the gain over those before."""
    odds, rows = chance / before, counts.sum()
    after = before.copy()
    for _ in range(ROUNDS):
        weighted = odds * after
        now = (weighted / np.maximum(weighted.sum(axis=1, keepdims=True), TINY) * counts[:, None]).sum(axis=0) / rows
        close = np.abs(now - after).max() < CLOSE
        after = now / now.sum()
        if close:
            break
    gain = float((counts * np.log(np.maximum(odds @ after, TINY))).sum())
    return np.asarray(after), gain


def corrected(model: Model, ratio: Floats, *, move_threshold: bool = True) -> Model:
    """The model whose probabilities are those of traffic where each class comes `ratio` (k,) times as often as before.

    p′ ∝ p·ratio: exact for log-odds and softmax; on knots, knots are added until no step is over 1/256. A binary
    threshold moves along, so that decisions stay as they were and only probabilities change; with move_threshold
    false it stays, as one that amounts have set must. Raises Misuse for a regression, and for many shares that add up.
    """
    if not model.classes or len(ratio) != len(model.classes) or not (np.isfinite(ratio) & (ratio > 0)).all():
        raise Misuse("the classes' shares are corrected by one finite ratio above 0 a class", where="corrected",
                     hint="a regression has none; a class that never comes cannot be corrected for")
    if model.task == "multiclass":
        return model.with_program(_many(model.program, np.log(ratio)))
    shift = float(np.log(ratio[1]) - np.log(ratio[0]))
    changed = model.with_program(model.program.calibrated(shifted(model.program.calibration, shift)))
    cut = model.sheet.threshold
    if move_threshold and 0 < cut < 1:
        changed = changed.with_sheet(threshold=float(Scaling(1.0, shift)(np.array([cut]))[0]))
    return changed


def shifted(calibration: Calibration | Scaling | None, shift: float) -> Calibration | Scaling:
    """A calibration of two classes with `shift` added to the log-odds that it gives."""
    if not isinstance(calibration, Calibration):
        return Scaling(calibration.slope, calibration.intercept + shift) if calibration else Scaling(1.0, shift)
    score, value = np.array(calibration.score), np.array(calibration.value)
    move = Scaling(1.0, shift)
    dense = [score[:1]]
    for low, high, start, end in zip(score, score[1:], value, value[1:], strict=False):
        pieces = int(np.ceil(max(end - start, float(np.ptp(move(np.array([start, end]))))) / KNOT_STEP))
        dense.append(np.linspace(low, high, max(1, pieces) + 1)[1:])
    knots = np.concatenate(dense)
    return Calibration(tuple(map(float, knots)), tuple(map(float, np.maximum.accumulate(move(calibration(knots))))))


def _many(program: Program, shift: Floats) -> Program:
    if program.link != "softmax":
        raise Misuse("shares of many classes that add up have no margin to correct", where=program.label,
                     hint="choose a learner with a softmax, or renew with new labels")
    slope = program.calibration.slope if isinstance(program.calibration, Scaling) else 1.0
    none = np.zeros((0, len(shift)))
    term = Term(Linear(), {"place": np.zeros(0, np.int32), "fill": np.zeros(0), "weight": none, "missing": none,
                           "intercept": shift / slope})
    return replace(program, terms=(*program.terms, term))


# ── covariate shift ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Importance:
    """How much likelier each reference row is in the traffic. weights: (n,) mean 1, clipped. overlap: effective share
    of the rows, (Σw)² / (n Σw²), in (0, 1]. reached: share of the traffic that lies where the reference has rows, the
    mean ratio. most: the largest weight that any row can have. auc: of telling the two apart, with its standard error
    if they are alike. of: the weights of other rows.
    """

    weights: Floats
    overlap: float
    reached: float
    most: float
    auc: float
    error: float
    of: Callable[[Floats], Floats]

    @property
    def moved(self) -> bool:
        """Whether traffic can be told from the reference at all, by three standard errors."""
        return self.auc - 0.5 > 3 * self.error

    @property
    def refusal(self) -> str:
        """Why nothing may be concluded from the weights; empty if they may be used."""
        if self.reached < LEAST_REACHED:
            return f"{1 - self.reached:.0%} of the traffic lies where the reference has no rows"
        if self.overlap < LEAST_OVERLAP:
            return f"traffic and reference overlap too little: the weights leave {self.overlap:.0%} of the rows, " \
                   f"{LEAST_OVERLAP:.0%} are needed"
        return ""


def clipped(ratio: Floats) -> Floats:
    """Density ratios (n,) cut at their 99 % quantile, with mean 1."""
    some = np.minimum(ratio, np.quantile(ratio, CLIPPED_AT))
    return np.asarray(some / some.mean())


def effective(weights: Floats) -> float:
    """The share of rows that weights (n,) leave, (Σw)² / (n Σw²). Source: Kish (1965)."""
    return float(weights.sum() ** 2 / (len(weights) * (weights**2).sum())) if len(weights) and weights.any() else 0.0


def importance(before: Floats, now: Floats, *, seed: int = 0) -> Importance:
    """Weights that make reference rows look like traffic, from a cross-fitted classifier of the two.

    before: (n, d) and now: (m, d) inputs of both, NaN for missing. Raises NotFit under 200 rows a side.
    Source: Bickel, Brückner and Scheffer (2007); Sugiyama et al. (2007).
    """
    import lightgbm

    if min(len(before), len(now)) < LEAST_ROWS:
        raise NotFit(f"{min(len(before), len(now))} rows are too few to weigh", where="traffic and reference",
                     hint=f"wait for {LEAST_ROWS} of each")
    random = np.random.default_rng(seed)
    x, side = np.concatenate([before, now]), np.repeat([0, 1], [len(before), len(now)])
    fold = random.integers(0, 2, len(x))
    fitted = [lightgbm.train(_TREES | {"seed": seed}, lightgbm.Dataset(x[fold != k], side[fold != k]), 60)
              for k in (0, 1)]
    prior = len(before) / len(now)

    def odds(rows: Floats, model: lightgbm.Booster) -> Floats:
        told = np.clip(np.asarray(model.predict(rows, num_threads=1), np.float64), KNOWN, 1 - KNOWN)
        return np.asarray(told / (1 - told) * prior)

    every = np.zeros(len(x))
    for k in (0, 1):
        every[fold == k] = odds(x[fold == k], fitted[k])
    raw = every[: len(before)]
    weights, cut = clipped(raw), float(np.quantile(raw, CLIPPED_AT))
    scale = float(np.minimum(raw, cut).mean())

    def of(rows: Floats) -> Floats:
        both = (odds(rows, fitted[0]) + odds(rows, fitted[1])) / 2
        return np.asarray(np.minimum(both, cut) / scale)

    error = float(np.sqrt((1 / len(before) + 1 / len(now)) / 12))
    return Importance(weights, effective(weights), float(raw.mean()), cut / scale, float(auc(side, every)), error, of)


def weighted_quantile(scores: Floats, weights: Floats, *, level: float, own: float = 0.0) -> float:
    """The smallest score below or at which a share `level` of the weight lies; a new row's own weight lies at +∞.

    scores, weights: (n,). own: 0 gives the plain weighted quantile. Infinite where the weight of the rows is too
    little for the level. An interval of a prediction ± this covers at least `level` under covariate shift.
    Source: Tibshirani, Barber, Candès and Ramdas (2019), Conformal prediction under covariate shift, lemma 3.
    """
    if not 0 < level < 1 or own < 0 or (np.asarray(weights) < 0).any():
        raise Misuse("a level lies between 0 and 1, and no weight is below 0", where="weighted_quantile",
                     hint="such as level=0.9")
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(np.asarray(weights, np.float64)[order])
    total = (reached[-1] if len(reached) else 0.0) + own
    at = int(np.searchsorted(reached, level * total * (1 - 1e-12)))
    return float(np.asarray(scores)[order][at]) if at < len(reached) else float("inf")


def weighted_edge(model: Model, scores: Floats, truth: Floats | Ints, weights: Floats, *, most: float) -> Model:
    """The model whose sets and intervals cover its level under weights; `most` is the largest weight of a new row.

    scores, truth, weights: of (n,) rows that it has not learnt from. An edge that is nowhere reached is none at all:
    every class is in the set, and every answer abstains; a regression's is the largest finite number.
    """
    found = weighted_quantile(nonconformity(model, scores, truth), weights, level=model.sheet.level, own=most)
    largest = 1.0 if model.classes else float(np.finfo(np.float64).max)
    return model.with_sheet(conformal=min(found, largest))


def nonconformity(model: Model, scores: Floats, truth: Floats | Ints) -> Floats:
    """How far each truth lies from its answer, (n,): 1 − its probability, or the absolute residual."""
    if not model.classes:
        return np.abs(scores - np.asarray(truth, np.float64))
    codes = np.asarray(truth, np.int64)
    each = scores if scores.ndim == 2 else np.stack([1 - scores, scores], axis=1)
    return np.asarray(1 - each[np.arange(len(codes)), codes])


def recalibrated(model: Model, scores: Floats, truth: Ints, weights: Floats) -> Model:
    """The binary model with slope and intercept of its log-odds fitted on weighted rows; itself where no slope above 0
    fits.

    scores: (n,) that it gives. Knots are kept, and moved by the line. Source: Platt (1999), with weights.
    """
    chance = np.clip(scores, TINY, 1 - TINY)
    odds, share = np.log(chance / (1 - chance)), weights / weights.sum()
    given = np.stack([odds, np.ones(len(odds))], axis=1)
    line = np.array([1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-(given @ line)))
        bend = (given * (share * p * (1 - p))[:, None]).T @ given + 1e-9 * np.eye(2)
        step, size = np.linalg.solve(bend, given.T @ (share * (p - truth))), 1.0
        while size > 1e-6 and _cost(given @ (line - size * step), truth, share) > _cost(given @ line, truth, share):
            size /= 2
        line = line - size * step
        if np.abs(size * step).max() < 1e-9:
            break
    if not (np.isfinite(line).all() and line[0] > 0):
        return model
    moved = _lined(model.program.calibration, float(line[0]), float(line[1]))
    return model.with_program(model.program.calibrated(moved))


def _cost(odds: Floats, truth: Ints, share: Floats) -> float:
    """Mean log loss of log-odds under weights that add up to 1."""
    return float(share @ (np.logaddexp(0, odds) - truth * odds))


def _lined(calibration: Calibration | Scaling | None, slope: float, shift: float) -> Calibration | Scaling:
    if not isinstance(calibration, Calibration):
        before = calibration or Scaling(1.0)
        return Scaling(before.slope * slope, before.intercept * slope + shift)
    moved = Scaling(slope, shift)(np.array(calibration.value))
    return msgspec.structs.replace(calibration, value=tuple(map(float, np.maximum.accumulate(moved))))


def thinned(weights: Floats, *, seed: int = 0) -> Mask:
    """Which rows to keep so that those kept look like the traffic: each with the chance weight / largest weight.

    Every row is kept at most once, so that checks that hold out rows stay honest. Source: von Neumann (1951).
    """
    chance = weights / weights.max()
    return np.asarray(np.random.default_rng([1951, seed]).random(len(weights)) < chance)
