"""Label shift: the shares of the classes moved and nothing else. Today's shares from scores, and the model for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from shipworthy.core.model import Model
from shipworthy.core.program import TINY, Calibration, Linear, Program, Scaling, Term
from shipworthy.core.table import Floats, Ints

ROUNDS, STILL = 1_000, 1e-9
ILL = 20.0
LEAST = 1e-4


@dataclass(frozen=True)
class Priors:
    """Shares of the classes. before: where the model was judged, after: today, each (k,).

    crossed: today's by the confusion of decisions, (k,), as a second opinion; condition: of the confusion matrix,
    above 20 the second opinion is worth little.
    """

    before: Floats
    after: Floats
    crossed: Floats
    condition: float

    @property
    def warning(self) -> str:
        """What speaks against trusting the shares, in words; empty for nothing."""
        if self.condition > ILL:
            return f"the classes are hard to tell apart (condition {self.condition:.0f}, at most {ILL:.0f} is sound)"
        gap = float(np.abs(self.after - self.crossed).max())
        return f"decisions say {gap:.0%} otherwise" if gap > 0.1 else ""


def new_priors(score: Floats, before: Floats) -> Floats:
    """The shares of the classes among rows that a calibrated model scored so, (k,).

    score: (n, k) probabilities. before: (k,) shares of the classes where they were calibrated.
    Source: Saerens, Latinne and Decaestecker (2002), eq. 2.8-2.9, expectation maximisation.
    """
    now = before
    for _ in range(ROUNDS):
        weighed = score * (now / before)
        last, now = now, (weighed / weighed.sum(axis=1, keepdims=True)).mean(axis=0)
        if np.abs(now - last).max() < STILL:
            break
    return now


def crossed_priors(decided: Ints, truth: Ints, today: Ints, k: int) -> tuple[Floats, float]:
    """The shares of the classes by solving C · w = μ, (k,), and the condition number of C.

    decided, truth: (n,) codes where the model was judged; C: their joint shares. today: (m,) decisions of today; μ:
    their shares. Source: Lipton, Wang and Smola (2018), black box shift estimation.
    """
    joint = np.bincount(decided * k + truth, minlength=k * k).reshape(k, k) / len(truth)
    condition = float(np.linalg.cond(joint))
    if not np.isfinite(condition):
        return np.full(k, np.nan), float("inf")
    weight = np.clip(np.linalg.solve(joint, np.bincount(today, minlength=k) / len(today)), 0, None)
    after = weight * joint.sum(axis=0)
    return after / max(float(after.sum()), TINY), condition


def estimated(model: Model, score: Floats, truth: Ints, today: Floats) -> Priors:
    """Today's shares of the classes. score, truth: of rows on which the model was judged; today: of newer rows."""
    k = len(model.classes)
    before = (np.bincount(truth, minlength=k) + 1) / (len(truth) + k)
    crossed, condition = crossed_priors(model.decide(score), truth, model.decide(today), k)
    return Priors(before, new_priors(each_class(today), before), crossed, condition)


def each_class(score: Floats) -> Floats:
    """(n, k) probabilities of every class, within (0, 1)."""
    return np.clip(score if score.ndim == 2 else np.stack([1 - score, score], axis=1), TINY, 1.0)


def corrected(program: Program, found: Priors) -> Program | None:
    """The program for today's shares: p′ ∝ p · after / before; None where its form cannot hold that.

    Two classes: the log-odds move, in the calibration. More: the margins move by a constant.
    """
    move = np.log(np.maximum(found.after, LEAST) / np.maximum(found.before, LEAST))
    after = program.calibration
    if program.link == "softmax":
        slope = after.slope if isinstance(after, Scaling) else 1.0
        return replace(program, terms=(*program.terms, constant(move / slope)))
    if len(program.classes) != 2:
        return None
    odds = float(move[1] - move[0])
    if isinstance(after, Calibration):
        value = np.array(after.value)
        moved = value * np.exp(odds) / (value * np.exp(odds) + 1 - value)
        return program.calibrated(Calibration(after.score, tuple(map(float, moved))))
    known = after or Scaling(1.0)
    return program.calibrated(Scaling(known.slope, known.intercept + odds))


def constant(value: Floats) -> Term:
    """A term that adds the same to every row. value: (outputs,)."""
    none = np.empty((0, len(value)))
    return Term(Linear(), {"place": np.empty(0, np.int64), "fill": np.empty(0), "weight": none, "missing": none,
                           "intercept": np.asarray(value, np.float64)})
