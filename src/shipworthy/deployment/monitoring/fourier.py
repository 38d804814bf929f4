"""Has the joint distribution changed, always on: random Fourier features of rows, in integers that add up.

A row is the cells of its columns. A number lies at the share of the planned rows below its cell, so that neither unit
nor outlier rules; a word, and what is missing, infinite or outside, lies in a random direction of its own.
Source: Gretton et al. (2012), maximum mean discrepancy; Rahimi and Recht (2007), random features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shipworthy.core.grid import Cells, Reference
from shipworthy.core.table import Floats, Ints
from shipworthy.deployment.monitoring.alarm import LARGEST

FEATURES = 256
TURN = 2**12  # steps of a full turn
SCALE = 32_767
BLOCK = 512
ONE_IN = 4
FEWEST_SAMPLED = 200
ENOUGH = 5_000  # rows from which the covariance is taken
SURE = 6.9  # the reference's own error is so large once in a thousand: e^(−6.9)
WIDTH = FEATURES + 1

_WAVE = np.rint(SCALE * np.cos(2 * np.pi * np.arange(TURN) / TURN)).astype(np.int32)


@dataclass(frozen=True)
class Fourier:
    """The features of a plan: of every column (cells, D) phases, in steps of a full turn. start: (D,) their offsets.

    Phases add up as integers and the wave is a table, so the same rows give the same integers on any machine.
    """

    phases: tuple[npt.NDArray[np.int16], ...]
    start: npt.NDArray[np.int16]

    def features(self, cells: Ints) -> npt.NDArray[np.int32]:
        """(n, D), each rint(32767·cos(xW + φ)). cells: (n, columns)."""
        turn = np.broadcast_to(self.start, (len(cells), FEATURES)).copy()
        each = np.empty_like(turn)
        for column, phase in enumerate(self.phases):
            turn += np.take(phase, cells[:, column], axis=0, out=each, mode="clip")
        return np.asarray(np.take(_WAVE, np.bitwise_and(turn, TURN - 1, out=turn)))

    def sums(self, cells: Ints, group: Ints, groups: int) -> Ints:
        """By group: how many rows, and the sums of their features, (groups, D + 1); rows of group −1 count nowhere."""
        found = np.zeros((groups, WIDTH), np.int64)
        chosen = np.flatnonzero(group >= 0)
        chosen = chosen[np.argsort(group[chosen], kind="stable")]
        for first in range(0, len(chosen), BLOCK):
            rows = chosen[first : first + BLOCK]
            z, at = self.features(cells[rows]), group[rows]
            edges = np.flatnonzero(np.append(True, np.diff(at) != 0))
            found[at[edges], 0] += np.diff(np.append(edges, len(rows)))
            found[at[edges], 1:] += np.add.reduceat(z, edges, axis=0, dtype=np.int64)
        return found


def fourier(reference: Reference) -> Fourier:
    """The features of a reference's plan, the same wherever they are made.

    A frequency is near a bell curve: twelve uniform numbers added up, from the bits of a generator that never changes.
    """
    bits = np.random.PCG64(20_241_123)

    def bell(*shape: int) -> Floats:
        size = int(np.prod(shape))
        words = bits.random_raw(3 * size).view(np.uint16).reshape(size, 12).astype(np.int64)
        return np.asarray((words.sum(axis=1) / 2**16 - 6.0).reshape(shape))

    plan, planned = reference.plan, reference.planned.columns
    near = TURN / (2 * np.pi) / np.sqrt(max(1, len(plan.columns)))
    phases = []
    for column in plan.columns:
        place, alone = _places(column, planned[column.name])
        turn = place[:, None] * bell(1, FEATURES)
        turn[alone] = bell(int(alone.sum()), FEATURES)
        phases.append((np.rint(near * turn).astype(np.int64) % TURN).astype(np.int16))
    start = (bits.random_raw(FEATURES) % TURN).astype(np.int16)
    return Fourier(tuple(phases), start)


def _places(column: Cells, planned: Ints) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Where every cell lies, of spread 1, and which have no place."""
    alone = column.special.copy() if column.kind == "number" else np.ones(column.size, np.bool_)
    counts = planned.astype(np.float64)
    counts[alone] = 0
    total = max(1.0, counts.sum())
    place = np.sqrt(12.0) * ((np.cumsum(counts) - counts / 2) / total - 0.5)
    return np.where(alone, 0.0, place), alone


@dataclass(frozen=True)
class Before:
    """The features of the reference sample. mean: (D,). rows: how many. spread, squared, largest: trace, trace of the
    square, and largest eigenvalue of their covariance.
    """

    mean: Floats
    rows: int
    spread: float
    squared: float
    largest: float

    def log_p(self, sums: Ints, effect: float) -> Floats:
        """Log p-value of windows against "no reweighting of the reference by Cohen's w ≤ effect moves the mean so
        far", (w,); 0 is no evidence, NaN with under 200 rows on a side.

        sums: (w, D + 1) as `Fourier.sums`. A reweighting by w moves the mean by at most w·√largest (Cauchy and
        Schwarz). The reference's own error counts as tolerated too, for one sample meets every window. Means are
        Gaussian; the squared length of one has log mgf ≤ s²V/(1 − 2sλ). Source: Birgé and Massart (1998), lemma 8.
        """
        n = sums[:, 0].astype(np.float64)
        rows = np.maximum(n, 1)
        away = ((sums[:, 1:] / SCALE / rows[:, None] - self.mean) ** 2).sum(axis=1)
        borne = self._longest(effect**2 * self.largest, max(1, self.rows), SURE)
        variance, largest = self._variance(borne, rows), np.maximum(self.largest, 1e-12) / rows
        over = np.maximum(away - borne - self.spread / rows, 0.0)
        root = (np.sqrt(variance + 2 * largest * over) - np.sqrt(variance)) / (2 * largest)
        known = (n >= FEWEST_SAMPLED) & (self.rows >= FEWEST_SAMPLED)
        return np.asarray(np.where(known, -(root**2), np.nan))

    def _variance(self, away: float, rows: Floats | int) -> Any:
        """V of a mean over rows that truly lies so far away (squared)."""
        return self.squared / rows**2 + 2 * self.largest * away / rows

    def _longest(self, away: float, rows: int, x: float) -> float:
        """What the squared distance of a mean exceeds with chance e^(−x) where it is truly `away`."""
        return float(away + self.spread / rows + 2 * np.sqrt(x * self._variance(away, rows))
                     + 2 * x * self.largest / rows)


def before_of(z: Ints | npt.NDArray[np.int32]) -> Before:
    """What the features were on reference rows. z: (n, D) as `Fourier.features`."""
    if len(z) < FEWEST_SAMPLED:
        return Before(np.zeros(FEATURES), len(z), 0.0, 0.0, 0.0)
    covariance = np.cov(z[:ENOUGH] / SCALE, rowvar=False)
    largest = float(np.linalg.eigvalsh(covariance)[-1])
    return Before(z.mean(axis=0) / SCALE, len(z), float(np.trace(covariance)), float((covariance**2).sum()), largest)


def joint_e(before: Before, sums: Ints, effect: float) -> Floats:
    """The e-values ½·p^(−½) of windows, (w,); NaN where nothing can be said. Source: Vovk and Wang (2021)."""
    return np.asarray(np.exp(np.minimum(np.log(0.5) - before.log_p(sums, effect) / 2, np.log(LARGEST))))
