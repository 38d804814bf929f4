"""A linear model that learns row by row, in their order: for labels that come within minutes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.program import Program
from shipworthy.core.table import Floats, Ints
from shipworthy.kernels import pure
from shipworthy.learning.training.lower_linear import design, lower_linear
from shipworthy.marks import learner

RATES = (0.02, 0.1, 0.5)
FORGET = 0.995  # by how much past losses weigh less with every row, where rates are compared
ROOM = 30.0


@dataclass
class Online:
    """Weights of a linear model at three rates of learning, and the moments of its inputs; rows go by one by one.

    Every row is filled, centred and scaled by the rows before it, answered by the rate that has been the best lately,
    and then learnt from by all. Source: Robbins and Monro (1951) for the steps; Welford (1962) for the moments;
    Herbster and Warmuth (1998) for following the best of several.
    """

    job: Job
    seen: int = 0
    mean: Floats = field(default_factory=lambda: np.empty(0))
    square: Floats = field(default_factory=lambda: np.empty(0))
    count: Floats = field(default_factory=lambda: np.empty(0))
    weight: Floats = field(default_factory=lambda: np.empty(0))
    loss: Floats = field(default_factory=lambda: np.zeros(len(RATES)))
    spread: float = 1.0
    middle: float = 0.0

    def __post_init__(self) -> None:
        wide = len(self.job.inputs)
        self.mean, self.square, self.count = np.zeros(wide), np.zeros(wide), np.zeros(wide)
        sizes = np.array([kind.levels if kind.categorical else 2 for kind in self.job.inputs], np.int64)
        self._number = np.array([not kind.categorical for kind in self.job.inputs], np.bool_)
        self._at = np.cumsum(sizes) - sizes
        self._levels = np.where(self._number, 0, sizes)
        self._rate = np.array(RATES)[:, None, None]
        self.weight = np.zeros((len(RATES), int(sizes.sum()) + 1, self.job.outputs))

    @property
    def best(self) -> int:
        """The place of the rate that has been the best lately."""
        return int(self.loss.argmin())

    @property
    def moments(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of every input so far."""
        spread = np.sqrt(self.square / np.maximum(self.count, 1))
        return self.mean, np.where(self._number & (spread > 0), spread, 1.0)

    def run(self, inputs: Floats, truth: Floats | Ints) -> Floats:
        """The margin (n, outputs) of every row before it was learnt from; then it is learnt from."""
        found = np.zeros((len(inputs), self.job.outputs))
        for place, row in enumerate(inputs):
            found[place] = self._row(row, truth[place])
        return found

    def _row(self, row: Floats, truth: float) -> Floats:
        x = self._designed(row)
        margins = np.clip(x @ self.weight, -ROOM, ROOM)  # (rates, outputs)
        answer = self._outward(margins[self.best])
        gap, loss = self._gap(margins, truth)
        size = self._rate if self.job.task != "regression" else self._rate / max(1.0, float(x @ x))
        self.weight -= size * x[None, :, None] * gap[:, None, :]
        self.loss = FORGET * self.loss + loss
        self._moved(row, truth)
        return answer

    def _designed(self, row: Floats) -> Floats:
        """The row of `design`, and a 1 for the intercept."""
        x, known = np.zeros(self.weight.shape[1]), np.isfinite(row)
        x[-1] = 1.0
        mean, spread = self.moments
        number, coded = self._number & known, ~self._number & known
        x[self._at[number]] = (row[number] - mean[number]) / spread[number]
        x[self._at[self._number & ~known] + 1] = 1.0
        if coded.any():
            code = row[coded].astype(np.int64)
            inside = (code >= 0) & (code < self._levels[coded])
            x[self._at[coded][inside] + code[inside]] = 1.0
        return x

    def _gap(self, margins: Floats, truth: float) -> tuple[Floats, Floats]:
        """The slope of the loss in every margin, (rates, outputs), and the loss, (rates,)."""
        if self.job.task == "regression":
            gap = margins - (truth - self.middle) / self.spread
            return np.clip(gap, -5, 5), (gap**2)[:, 0]
        if self.job.task == "binary":
            p = pure.logistic(margins[:, 0])
            return (p - truth)[:, None], np.logaddexp(0, margins[:, 0]) - truth * margins[:, 0]
        share = pure.softmax(margins)
        came = np.eye(self.job.outputs)[int(truth)]
        return share - came, -np.log(np.maximum(share[:, int(truth)], 1e-12))

    def _moved(self, row: Floats, truth: float) -> None:
        self.seen += 1
        known = self._number & np.isfinite(row)
        self.count[known] += 1
        gap = row[known] - self.mean[known]
        self.mean[known] += gap / self.count[known]
        self.square[known] += gap * (row[known] - self.mean[known])
        if self.job.task == "regression" and self.seen == 1:
            self.middle = float(truth)

    def _outward(self, margin: Floats) -> Floats:
        return margin * self.spread + self.middle if self.job.task == "regression" else margin

    def program(self) -> Program:
        """What it answers now, as a program."""
        weight = self.weight[self.best]
        scale, base = (self.spread, self.middle) if self.job.task == "regression" else (1.0, 0.0)
        terms = lower_linear(self.job.inputs, self.moments, weight[:-1] * scale, weight[-1] * scale + base)
        return Program(self.job.inputs, terms, self.job.link, self.job.classes, label="online")


def learnt(inputs: Floats, truth: Floats | Ints, job: Job) -> Online:
    """A model that has seen these rows, in their order."""
    found = Online(job)
    if job.task == "regression" and len(truth):
        found.middle, found.spread = float(np.median(truth)), float(np.std(truth)) or 1.0
        found.seen = 1
    found.run(inputs, truth)
    return found


@learner("online", tasks=("binary", "multiclass", "regression"), glass_box=True, order=15, by_name=True)
def online(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """Logistic, multinomial or least squares steps, one pass over the rows in their order. It has no settings."""
    found = learnt(inputs, truth, job)
    weight, program = found.weight[found.best], found.program()
    moments = tuple(np.array(one) for one in found.moments)
    scale, base = (found.spread, found.middle) if job.task == "regression" else (1.0, 0.0)

    def margin(rows: Floats) -> Floats:
        matrix = design(rows, job.inputs, moments[0], moments[1])
        return np.asarray((matrix @ weight[:-1] + weight[-1]) * scale + base, np.float64)

    return Fitted(program, margin, {}, rows=len(truth))
