"""Meters: what is counted of every served row, and of every labelled one. Each is a map from rows to integers.

Their sums merge by addition, so every meter has roll-ups by hour, day and week, by segment and by arm, for free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from shipworthy.core.chosen import AUDITS
from shipworthy.core.grid import FIXED, SCORE_CELLS, Plan, Reference
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Layout, added, tabulated
from shipworthy.deployment.monitoring.figures import MOST_CLASSES, PAIR
from shipworthy.deployment.monitoring.fourier import ONE_IN, WIDTH, fourier
from shipworthy.deployment.monitoring.joined import Joined, Served
from shipworthy.deployment.monitoring.outliers import limits_of, strange_hits
from shipworthy.metrics.loops import noise_products

LOSS_CELLS = 256
DECILES = 10
DELAY_CELLS = 160  # four to an octave of seconds
CLIPPED = 100.0


@dataclass(frozen=True)
class Meter:
    """One thing that is counted. name: as in the tallies. width: integers of a row.

    sums: (rows, group (n,), groups) → (groups, width) int64; rows of group −1 count nowhere.
    """

    name: str
    width: int
    sums: Callable[..., Ints]


@dataclass(frozen=True)
class Meters:
    """What is counted of a release. rows: of served rows. labels, cohorts: of labelled rows, by when their labels came
    and by when they were served.
    """

    rows: tuple[Meter, ...]
    labels: tuple[Meter, ...]
    cohorts: tuple[Meter, ...]


def layout(found: tuple[Meter, ...]) -> Layout:
    """What sums of these meters hold."""
    return tuple((one.name, one.width) for one in found)


def meters(reference: Reference) -> Meters:
    """The built-in meters of a release, made from its reference and nothing else."""
    plan = reference.plan
    columns = (Meter(f"column {one.name}", one.size, _column(one.name, one.size)) for one in plan.columns)
    limits = limits_of(reference)
    rows = (Meter("rows", 2, _rows), *columns, Meter("score", plan.score_cells, _scores),
            Meter("expected", 2, _expected), Meter("audit", len(AUDITS), _audit),
            Meter("decided", decided_cells(plan), _decided), Meter("strange", len(limits), _strange(reference)),
            Meter("fourier", WIDTH, _fourier(reference)))
    labels = (Meter("labels", 5, _labels), Meter("losses", LOSS_CELLS, _losses),
              Meter("outcomes", 2 * plan.score_cells, _outcomes), Meter("bias", DECILES * 4, _bias(reference)),
              Meter("truth", len(plan.classes) + 1, _truth), Meter("influence", 5, _influence),
              Meter("gain", 4, _gain))
    return Meters(rows, labels, (Meter("labels", 5, _labels), Meter("delay", 3 * DELAY_CELLS, _delay),
                                   Meter("audit", 3 * len(AUDITS), _audited)))


# ── of served rows ───────────────────────────────────────────────────────────────────────────────────────────────


def _rows(served: Served, group: Ints, groups: int) -> Ints:
    """How many, and how many abstained."""
    abstained = served.abstained.astype(np.int64)
    return added(np.stack([np.ones(served.rows), abstained], axis=1), group, groups)


def _column(name: str, width: int) -> Callable[[Served, Ints, int], Ints]:
    def count(served: Served, group: Ints, groups: int) -> Ints:
        return tabulated(served.cells[name], width, group, groups)

    return count


def _scores(served: Served, group: Ints, groups: int) -> Ints:
    return tabulated(served.where, served.reference.plan.score_cells, group, groups)


def _expected(served: Served, group: Ints, groups: int) -> Ints:
    """Σ and Σ² of the loss to expect, in fixed point."""
    return added(np.stack([served.expected, served.expected**2], axis=1), group, groups, fixed=FIXED)


def _audit(served: Served, group: Ints, groups: int) -> Ints:
    """Rows by the share of the audit that holds them first."""
    return tabulated(served.audit, len(AUDITS), group, groups)


def decided_cells(plan: Plan) -> int:
    """How many cells hold the decided class and its probability: none of two classes, whose scores do, or over 20."""
    many = len(plan.classes)
    return many * PAIR if 2 < many <= MOST_CLASSES else 0


def _decided(served: Served, group: Ints, groups: int) -> Ints:
    """Rows by decided class and the probability of it; those of no class or probability count nowhere."""
    width = decided_cells(served.reference.plan)
    if not width:
        return np.zeros((groups, 0), np.int64)
    place = {name: k for k, name in enumerate(served.reference.plan.classes)}
    code = np.array([place.get(word, -1) for word in served.decision], np.int64)
    known = (code >= 0) & (served.where < SCORE_CELLS)
    cell = code * PAIR + np.minimum(served.where, SCORE_CELLS - 1) * PAIR // SCORE_CELLS
    return tabulated(np.where(known, cell, 0), width, np.where(known, group, -1), groups)


def _strange(reference: Reference) -> Callable[[Served, Ints, int], Ints]:
    """How many rows lie at or below each p-value of `limits_of`."""

    def count(served: Served, group: Ints, groups: int) -> Ints:
        hits = strange_hits(reference, served)
        return added(hits.astype(np.int64), group, groups) if hits.shape[1] else np.zeros((groups, 0), np.int64)

    return count


def _fourier(reference: Reference) -> Callable[[Served, Ints, int], Ints]:
    """The random Fourier features of one row in four, chosen by the hash of its id, as `Fourier.sums`."""
    found, names = fourier(reference), reference.plan.names

    def count(served: Served, group: Ints, groups: int) -> Ints:
        rows = np.flatnonzero((served.hashed % ONE_IN == 0) & (group >= 0))
        cells = np.stack([served.cells[name][rows] for name in names], axis=1)
        return found.sums(cells, group[rows], groups)

    return count


# ── of labelled rows ─────────────────────────────────────────────────────────────────────────────────────────────


def _labels(joined: Joined, group: Ints, groups: int) -> Ints:
    """n, Σ loss, Σ loss², Σ surprise, Σ surprise², the last four in fixed point."""
    loss, surprise = joined.loss, joined.surprise
    counted = added(np.ones(len(joined)), group, groups)
    sums = np.stack([loss, loss**2, surprise, surprise**2], axis=1)
    return _beside(counted, added(sums, group, groups, fixed=FIXED))


def _losses(joined: Joined, group: Ints, groups: int) -> Ints:
    """Rows by loss: cell k holds [k / 255, (k + 1) / 255), so that a loss of 1 has the last to itself."""
    return tabulated((joined.loss * (LOSS_CELLS - 1)).astype(np.int64), LOSS_CELLS, group, groups)


def loss_cells(loss: Floats) -> Ints:
    """Rows by loss, (256,), of losses in [0, 1]."""
    return np.bincount((loss * (LOSS_CELLS - 1)).astype(np.int64), minlength=LOSS_CELLS)


def _outcomes(joined: Joined, group: Ints, groups: int) -> Ints:
    """Rows by score cell, and the fixed-point sum of what came true of them: as `Reference.outcomes`, side by side."""
    size = joined.log.reference.plan.score_cells
    where = joined.log.where[joined.row]
    rows, inside = tabulated(where, size, group, groups), group >= 0
    came = np.bincount(group[inside] * size + where[inside], weights=np.rint(joined.came[inside] * FIXED),
                       minlength=groups * size)
    return _beside(rows, came.reshape(groups, size))


def _bias(reference: Reference) -> Callable[[Joined, Ints, int], Ints]:
    """By decile of the reference's score: n, Σ expected, Σ came true, Σ (came − expected)², in fixed point.

    Of a number what is expected is 0, and what came is the error as a share of `cap`.
    """
    decile = deciles(reference)

    def count(joined: Joined, group: Ints, groups: int) -> Ints:
        came = joined.surprise if reference.plan.value else joined.came
        values = np.stack([np.full(len(joined), 1 / FIXED), came - joined.surprise, came, joined.surprise**2], axis=1)
        wide = np.zeros((len(joined), DECILES, 4))
        wide[np.arange(len(joined)), decile[joined.log.where[joined.row]]] = values
        return added(wide.reshape(len(joined), DECILES * 4), group, groups, fixed=FIXED)

    return count


def deciles(reference: Reference) -> Ints:
    """The decile of every score cell, (score cells,), by the scores of the reference; of equal ones the higher."""
    plan, counted = reference.plan, reference.outcomes[:, 0].astype(np.float64)
    if not plan.value:
        both = counted[:SCORE_CELLS] + counted[SCORE_CELLS : 2 * SCORE_CELLS]
        below = _decile(both)
        return np.concatenate([below, below, np.zeros(2, np.int64)])
    return _decile(counted)


def _decile(counted: Floats) -> Ints:
    middle = np.cumsum(counted) - counted / 2
    return np.asarray(np.minimum(DECILES * middle / max(1.0, counted.sum()), DECILES - 1), np.int64)


def delay_cell(delay: Ints) -> Ints:
    """The cell of every wait for a label, (n,) from microseconds: four to an octave of seconds."""
    seconds = np.maximum(delay, 0) / 1e6
    return np.asarray(np.minimum(4 * np.log2(1 + seconds), DELAY_CELLS - 1), np.int64)


def delay_of(cell: float) -> float:
    """The shortest wait in a cell, in microseconds."""
    return float((2 ** (cell / 4) - 1) * 1e6)


def _delay(joined: Joined, group: Ints, groups: int) -> Ints:
    """Labels by how long they took, and the sums of their loss and of what came true, in fixed point."""
    cell = delay_cell(joined.arrived - joined.log.at[joined.row])
    inside = group >= 0
    place, found = group[inside] * DELAY_CELLS + cell[inside], tabulated(cell, DELAY_CELLS, group, groups)
    for value in (joined.loss, joined.came):
        summed = np.bincount(place, weights=np.rint(value[inside] * FIXED), minlength=groups * DELAY_CELLS)
        found = _beside(found, summed.reshape(groups, DELAY_CELLS))
    return found


def _audited(joined: Joined, group: Ints, groups: int) -> Ints:
    """By share of the audit that holds them first: labels, Σ and Σ² of loss less expected loss, in fixed point."""
    error = joined.loss - joined.log.expected[joined.row]
    wide = np.zeros((len(joined), len(AUDITS), 3))
    wide[np.arange(len(joined)), joined.log.audit[joined.row]] = np.stack(
        [np.full(len(joined), 1 / FIXED), error, error**2], axis=1)
    return added(wide.reshape(len(joined), 3 * len(AUDITS)), group, groups, fixed=FIXED)


def _truth(joined: Joined, group: Ints, groups: int) -> Ints:
    """Labels by class; of a regression all in one cell."""
    classes = joined.log.reference.plan.classes
    place = {name: k for k, name in enumerate(classes)}
    code = np.array([place.get(str(word), len(classes)) for word in joined.truth], np.int64)
    return tabulated(code, len(classes) + 1, group, groups)


def _influence(joined: Joined, group: Ints, groups: int) -> Ints:
    """Labels of which it is known whether they owe themselves to the decision, those that do, those without a
    propensity, and Σ 1/propensity and Σ 1/propensity² in fixed point, clipped at 100.
    """
    told, hit, propensity = joined.influence
    usable = propensity > 0
    weight = np.minimum(1 / np.where(usable, propensity, 1.0), CLIPPED) * usable
    counts = added(np.stack([told, hit, ~usable], axis=1).astype(np.float64), group, groups)
    return _beside(counts, added(np.stack([weight, weight**2], axis=1), group, groups, fixed=FIXED))


def _gain(joined: Joined, group: Ints, groups: int) -> Ints:
    """What the gain of a loop through labels is computed from; see `noise_products`."""
    if not joined.noise.any():
        return np.zeros((groups, 4), np.int64)
    return added(noise_products(joined.noise, joined.surprise), group, groups)


def _beside(left: Ints, right: Any) -> Ints:
    return np.asarray(np.concatenate([left, right], axis=1), np.int64)
