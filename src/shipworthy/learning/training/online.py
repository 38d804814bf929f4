"""A linear model that learns row by row, in their order: for labels that come within minutes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.program import Program
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.lower_linear import design, lower_linear
from shipworthy.marks import learner

HALF_LIVES = (np.inf, 2_000.0, 250.0, 30.0)  # rows after which a row counts half, eight times less each
LATELY = 200  # rows whose losses say how much a model weighs
ROOM = 30.0  # the largest margin that is learnt from
REACH, FAR = 5.0, 20.0  # deviations up to which a row is learnt from, and moves mean and scale
FLAT = 0.01  # the least curvature of the loss that a row is taken to have


@dataclass
class Online:
    """Sixteen linear models and what they answer together; rows go by one by one.

    Each of four memories centres the inputs, and with each of the same four a model forgets what it learnt: a level
    that wanders and a relation that changes are followed apart. Every row is filled, centred and scaled by the rows
    before it, answered by the mean margin of the models, each weighed by its likelihood lately, and then learnt from
    by all. A step is as long as a weight is in doubt, and every row learnt from lessens the doubt.

    lag: how many rows are answered by what stands before any of them is learnt from. Those answers say what the models
    weigh, and memories of less than half as many rows have none: they are good for the next row, not for those after.
    mean, count: (memories, inputs). square: (inputs,). weight, doubt: (columns and an intercept, models, outputs).
    loss: (models,). Source: McCormick, Raftery, Madigan and Burd (2012), dynamic logistic regression and model
    averaging; Crammer, Kulesza and Dredze (2009), a variance of each weight alone; Welford (1962) for the moments.
    """

    job: Job
    lag: int = 1
    seen: int = 0
    mean: Floats = field(init=False)
    count: Floats = field(init=False)
    square: Floats = field(init=False)
    weight: Floats = field(init=False)
    doubt: Floats = field(init=False)
    loss: Floats = field(init=False)
    spread: float = 1.0
    middle: float = 0.0

    def __post_init__(self) -> None:
        lives = np.array([one for one in HALF_LIVES if one >= self.lag / 2])
        wide, memories = len(self.job.inputs), len(lives)
        sizes = np.array([kind.levels if kind.categorical else 2 for kind in self.job.inputs], np.int64)
        self._number = np.array([not kind.categorical for kind in self.job.inputs], np.bool_)
        self._at = np.cumsum(sizes) - sizes
        self._levels = np.where(self._number, 0, sizes)
        self._keep = 0.5 ** (1 / lives)[:, None]
        self._forget = 1 - 1 / max(LATELY, 2 * self.lag)
        self._hold = np.tile(self._keep, (memories, 1))
        self.mean, self.count, self.square = np.zeros((memories, wide)), np.zeros((memories, wide)), np.zeros(wide)
        self.weight = np.zeros((int(sizes.sum()) + 1, memories**2, self.job.outputs))
        self.doubt, self.loss = np.ones(self.weight.shape), np.zeros(memories**2)

    @property
    def moments(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of every input so far."""
        spread = np.sqrt(self.square / np.maximum(self.count[0], 1))
        return self.mean[0], np.where(self._number & (spread > 0), spread, 1.0)

    @property
    def share(self) -> Floats:
        """(models,) what each model weighs in the answer."""
        loss = self.loss
        if self.job.task == "regression":  # the likelihood at the noise that fits best
            loss = np.log(np.maximum(loss, 1e-12)) * min(self.seen, LATELY) / 2
        return _shares(-loss)

    def scaled(self, truth: Floats | Ints) -> Online:
        """Itself, with the target of a regression centred and scaled as in these rows."""
        if self.job.task == "regression" and len(truth):
            low, self.middle, high = map(float, np.quantile(truth, (0.1, 0.5, 0.9)))
            self.spread = (high - low) / 2 or float(np.std(truth)) or 1.0
        return self

    def run(self, inputs: Floats, truth: Floats | Ints) -> Floats:
        """The margin (n, outputs) of every row before it was learnt from; then it is learnt from."""
        found, lag = np.zeros((len(inputs), self.job.outputs)), self.lag
        for start in range(0, len(inputs), lag):
            rows, came = inputs[start : start + lag], truth[start : start + lag]
            stood = self._margins(rows) if lag > 1 else None
            before = np.stack([self._learn(row, one) for row, one in zip(rows, came, strict=True)])
            margins = before if stood is None else stood
            found[start : start + lag] = self._outward(np.einsum("e,nek->nk", self.share, margins))
            loss = self._loss(np.clip(margins, -ROOM, ROOM), came)
            self.loss = self._forget ** len(rows) * self.loss + loss.sum(axis=0)
        return found

    def _margins(self, rows: Floats) -> Floats:
        """(n, models, outputs) as the models stand."""
        each = np.split(self.weight, len(self.mean), axis=1)
        spread, kinds = self.moments[1], self.job.inputs
        return np.concatenate([np.einsum("nd,dek->nek", design(rows, kinds, mean, spread), weight[:-1]) + weight[-1]
                               for mean, weight in zip(self.mean, each, strict=True)], axis=1)

    def _learn(self, row: Floats, truth: float) -> Floats:
        """Learn from one row; the margins (models, outputs) before."""
        at, x = self._designed(row)
        weight, doubt = self.weight[at], np.minimum(self.doubt[at] / self._hold, 1.0)
        margins = (x * weight).sum(axis=0)
        gap, steep = self._slope(np.clip(margins, -ROOM, ROOM), truth)
        near = np.clip(x, -REACH, REACH)
        pull = doubt * near
        size = 1 + steep * (pull * near).sum(axis=0)
        self.weight[at] = weight - pull * (gap / size)
        self.doubt[at] = doubt - pull**2 * (steep / size)
        self._moved(row)
        return np.asarray(margins, np.float64)

    def _designed(self, row: Floats) -> tuple[Ints, Floats]:
        """The columns of `design` that are not 0 in this row, and an intercept; (columns, models, 1) what they are."""
        known = np.isfinite(row)
        number, coded = np.flatnonzero(self._number & known), np.flatnonzero(~self._number & known)
        code = row[coded].astype(np.int64)
        inside = (code >= 0) & (code < self._levels[coded])
        at = np.concatenate([self._at[number], self._at[self._number & ~known] + 1, self._at[coded[inside]]
                             + code[inside], [len(self.weight) - 1]])
        x = np.ones((len(at), len(self.mean)))
        x[: len(number)] = ((row[number] - self.mean[:, number]) / self.moments[1][number]).T
        return at, np.repeat(x, len(self.mean), axis=1)[:, :, None]

    def _slope(self, margins: Floats, truth: float) -> tuple[Floats, Floats]:
        """Slope and curvature of the loss in every margin, each (models, outputs)."""
        if self.job.task == "regression":
            gap = np.clip(margins - self._inward(truth), -REACH, REACH)
            return gap, np.ones(gap.shape)
        if self.job.task == "binary":
            p, came = 1 / (1 + np.exp(-margins)), np.array([truth])
        else:
            p, came = _shares(margins), np.eye(self.job.outputs)[int(truth)]
        return p - came, np.maximum(p * (1 - p), FLAT)

    def _loss(self, margins: Floats, truth: Floats | Ints) -> Floats:
        """(n, models) of margins (n, models, outputs)."""
        if self.job.task == "regression":
            gap = margins[:, :, 0] - self._inward(np.asarray(truth, np.float64))[:, None]
            return np.asarray(np.clip(gap, -REACH, REACH) ** 2, np.float64)
        if self.job.task == "binary":
            return np.asarray(np.logaddexp(0, margins) - truth[:, None, None] * margins, np.float64)[:, :, 0]
        given = _shares(margins)[np.arange(len(truth)), :, np.asarray(truth, np.int64)]
        return np.asarray(-np.log(np.maximum(given, 1e-12)), np.float64)

    def _moved(self, row: Floats) -> None:
        self.seen += 1
        known = np.flatnonzero(self._number & np.isfinite(row))
        count = self._keep * self.count[:, known] + 1
        spread = np.sqrt(self.square[known] / np.maximum(self.count[0, known], 1))
        edge = np.where(spread > 0, FAR * spread, np.inf)
        gap = np.clip(row[known] - self.mean[:, known], -edge, edge)
        self.count[:, known] = count
        self.mean[:, known] += gap / count
        self.square[known] += gap[0] ** 2 * (1 - 1 / count[0])

    def _inward(self, truth: Any) -> Any:
        return (truth - self.middle) / self.spread

    def _outward(self, margin: Floats) -> Floats:
        return margin * self.spread + self.middle if self.job.task == "regression" else margin

    def weights(self) -> tuple[Floats, Floats]:
        """Coefficients (columns of `design`, outputs) by the moments of all rows, and the intercept (outputs,)."""
        mean, spread = self.moments
        each = self.weight * self.share[:, None]
        total, number = each.sum(axis=1), np.flatnonzero(self._number)
        apart = np.repeat((mean - self.mean)[:, number] / spread[number], len(self.mean), axis=0)
        moved = (each[self._at[number]] * apart.T[:, :, None]).sum(axis=1)  # by centring at other means
        total[-1] += moved.sum(axis=0)
        total[self._at[number] + 1] -= moved
        scale, base = (self.spread, self.middle) if self.job.task == "regression" else (1.0, 0.0)
        return total[:-1] * scale, total[-1] * scale + base

    def program(self) -> Program:
        """What it answers now, as a program."""
        terms = lower_linear(self.job.inputs, self.moments, *self.weights())
        return Program(self.job.inputs, terms, self.job.link, self.job.classes, label="online")


def _shares(margins: Floats) -> Floats:
    each = np.exp(margins - margins.max(axis=-1, keepdims=True))
    return np.asarray(each / each.sum(axis=-1, keepdims=True), np.float64)


def learnt(inputs: Floats, truth: Floats | Ints, job: Job) -> Online:
    """A model that has seen these rows, in their order."""
    found = Online(job).scaled(truth)
    found.run(inputs, truth)
    return found


@learner("online", tasks=("binary", "multiclass", "regression"), glass_box=True, order=15, by_name=True)
def online(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """Logistic, multinomial or least squares steps, one pass over the rows in their order. It has no settings."""
    found = learnt(inputs, truth, job)
    (weight, intercept), program = found.weights(), found.program()
    moments = tuple(np.array(one) for one in found.moments)

    def margin(rows: Floats) -> Floats:
        return np.asarray(design(rows, job.inputs, moments[0], moments[1]) @ weight + intercept, np.float64)

    return Fitted(program, margin, {}, rows=len(truth))
