"""Has the joint distribution changed: a classifier that tells traffic from reference, and what it learnt.

One cross-fitted fit gives the test, the columns that tell the two apart, and the density ratio.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import Reference
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Tallies
from shipworthy.marks import check
from shipworthy.metrics.classification import auc
from shipworthy.metrics.intervals import auc_interval

LEAST_ROWS = 200
MOST_ROWS = 20_000
LEAST_OVERLAP = 0.2
FOLDS = 2
CLIP = 0.05
SURE = 100.0
SHUFFLED = 4_000
ROUNDS = 30
_SETTINGS = {"objective": "binary", "num_leaves": 4, "learning_rate": 0.05, "min_data_in_leaf": 100, "verbosity": -1,
             "num_threads": 1, "deterministic": True, "force_row_wise": True}


@dataclass(frozen=True)
class Apart:
    """What a classifier of reference (0) and traffic (1) says of rows that it did not learn from.

    cells: (n, columns), the r rows of the reference first. side, fold: (n,). q: (n,) probability of traffic where both
    sides are as frequent. fits: one a fold, learnt from the others.
    """

    cells: Ints
    side: Ints
    fold: Ints
    q: Floats
    fits: tuple[Any, ...]

    @cached_property
    def auc(self) -> float:
        """Of telling traffic from reference; 0.5 is not at all."""
        return float(auc(self.side, self.q))

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of `auc`."""
        return auc_interval(self.side, self.q)

    @cached_property
    def weights(self) -> Floats:
        """How likely every reference row is in the traffic against the reference, (r,), mean 1, cut at the 99 % point.

        Source: Bickel et al. (2007), discriminative weights.
        """
        told = np.clip(self.q[self.side == 0], 0.02, 0.98)
        found = told / (1 - told)
        found = np.minimum(found, np.quantile(found, 0.99))
        return np.asarray(found / found.mean())

    @cached_property
    def overlap(self) -> float:
        """Effective share of reference rows, (Σw)² / (r Σw²), in (0, 1]; 0 where the sides hardly meet."""
        w = self.weights
        return float(w.sum() ** 2 / (len(w) * (w**2).sum())) if self.auc < 0.98 else 0.0

    @property
    def usable(self) -> bool:
        return self.overlap >= LEAST_OVERLAP

    def log_e(self, *, seed: int = 0) -> float:
        """Log e-value against "both sides are drawn alike": of every fold Π 2q over held-out rows; the folds' mean.

        A fair coin draws the side of every held-out row until one side is used up: with exactly equal sides the mean
        would exceed 1. Source: Pandeva et al. (2024), E-C2ST.
        """
        random, found = np.random.default_rng(seed), []
        right = np.clip(np.where(self.side == 1, self.q, 1 - self.q), CLIP, 1 - CLIP)
        for k in range(FOLDS):
            pools = [random.permutation(np.flatnonzero((self.fold == k) & (self.side == side))) for side in (0, 1)]
            coin = random.integers(0, 2, len(pools[0]) + len(pools[1]))
            drawn = [np.cumsum(coin == side) for side in (0, 1)]
            stop = min(int(np.searchsorted(drawn[side], len(pools[side]), side="right")) for side in (0, 1))
            used = [pools[side][: int(drawn[side][stop - 1]) if stop else 0] for side in (0, 1)]
            found.append(float(np.log(2 * right[np.concatenate(used)]).sum()))
        return float(np.logaddexp.reduce(found) - np.log(FOLDS))

    def by_column(self, *, seed: int = 0) -> Floats:
        """How much of AUC is lost when a column is shuffled among held-out rows, (columns,). Source: Breiman (2001)."""
        random = np.random.default_rng(seed)
        rows = np.sort(random.permutation(len(self.side))[:SHUFFLED])
        cells, fold, side = self.cells[rows], self.fold[rows], self.side[rows]
        known = auc(side, self.q[rows])
        mixed, lost = random.permutation(len(rows)), np.zeros(cells.shape[1])
        for column in np.flatnonzero(sum(fit.feature_importance("gain") for fit in self.fits) > 0):
            changed = cells.copy()
            changed[:, column] = cells[mixed, column]
            lost[column] = known - auc(side, _held_out(self.fits, changed, fold))
        return lost


def density_ratio(reference: Reference, rows: Ints, *, most: int = MOST_ROWS, seed: int = 0) -> Apart | None:
    """Traffic told from the reference by trees on cells, cross-fitted in two folds; None under 200 rows a side.

    rows: (n, columns) cells of traffic rows. most: rows of a side that are used. The sides weigh the same.
    """
    import lightgbm

    before = reference.sample[:most, :-2]
    if len(before) < LEAST_ROWS or len(rows) < LEAST_ROWS:
        return None
    random = np.random.default_rng(seed)
    now = rows[random.permutation(len(rows))[:most]]
    cells = np.concatenate([before, now])
    side = np.r_[np.zeros(len(before), np.int64), np.ones(len(now), np.int64)]
    fold, x = random.integers(0, FOLDS, len(cells)), cells.astype(np.float32)
    fits = []
    for k in range(FOLDS):
        learnt = fold != k
        weight = np.where(side == 1, 1 / max(1, (learnt & (side == 1)).sum()), 1 / max(1, (learnt & (side == 0)).sum()))
        data = lightgbm.Dataset(x[learnt], side[learnt], weight=weight[learnt] * learnt.sum() / 2)
        fits.append(lightgbm.train(_SETTINGS | {"seed": seed}, data, ROUNDS))
    return Apart(cells, side, fold, _held_out(tuple(fits), cells, fold), tuple(fits))


def _held_out(fits: tuple[Any, ...], cells: Ints, fold: Ints) -> Floats:
    q: npt.NDArray[np.float64] = np.zeros(len(cells))
    for k, fit in enumerate(fits):
        q[fold == k] = np.asarray(fit.predict(cells[fold == k].astype(np.float32), num_threads=1))
    return q


@check("joint-drift", row="deployment.monitoring")
def joint_drift(grid: Reference, tallies: Tallies, *, limit: float = 0.6) -> Finding:
    """How well a classifier tells rows of traffic from the reference, beyond what columns one by one would show.

    limit: AUC that is borne; 0.6 is what a dozen independent columns give of which each has moved by 0.1 standard
    deviations, the effect that a column may have.
    """
    found = density_ratio(grid, tallies.sample.cells[:, :-1])
    if found is None:
        return say("unknown", f"{len(tallies.sample)} rows of traffic and {len(grid.sample)} of the reference are too "
                              f"few to tell them apart; {LEAST_ROWS} of each are needed.", n=len(tallies.sample))
    (low, high), log_e, n = found.interval, found.log_e(), int((found.side == 1).sum())
    lost = found.by_column()
    order = np.argsort(-lost, kind="stable")[:10]
    facts = {"value": found.auc, "low": low, "high": high, "limit": limit, "n": n, "chart": {
        "kind": "bars", "name": [grid.plan.names[k] for k in order], "value": [float(lost[k]) for k in order],
        "title": "AUC lost when the column is shuffled"}}
    seen = (f"AUC {found.auc:.3f} (95 % interval {low:.3f} to {high:.3f}, at most {limit:g}; {n:,} rows against "
            f"{len(found.side) - n:,})")
    if low > limit and log_e >= np.log(SURE):
        names = [grid.plan.names[k] for k in order if lost[k] > 0][:3]
        return say("fail", f"Rows of traffic can be told from the reference by {', '.join(names)}: {seen}, e-value "
                           f"10^{log_e / np.log(10):.0f}.", **facts, counterexample={"columns": names},
                   remedy="look at how these columns go together: a join or a feature made from both may have broken")
    if high > limit:
        return say("unknown", f"Rows of traffic can perhaps be told from the reference: {seen}.", **facts,
                   remedy="wait for more traffic")
    return say("pass", f"Rows of traffic look like those of the reference: {seen}.", **facts)
