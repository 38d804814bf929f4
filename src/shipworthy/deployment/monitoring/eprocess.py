"""Evidence that a mean loss exceeds a limit, with four integers of state that no number of labels makes grow.

Each of four bets multiplies its capital by 1 + λ (loss − limit): a fair game at best while the mean loss is at most
the limit. A new stake of one joins in every bucket, so that a harm after years is found as fast as on the first day;
the sum over all starts obeys a recursion, and only its last value is kept.
"""

from __future__ import annotations

import numpy as np

from shipworthy.core.grid import FIXED
from shipworthy.core.table import Floats, Ints

RATIOS = np.array([1.12, 1.35, 1.8, 4.0])
WEIGHTS = np.array([0.4, 0.3, 0.2, 0.1])
_TOP = 600 * FIXED  # far beyond every threshold; the capital of a bet is capped there


def fresh() -> Ints:
    """The state before the first label and after a page, (4,) int32: the fixed-point log of 1 + capital of each bet."""
    return np.zeros(len(RATIOS), np.int32)


def stakes(limit: float) -> Floats:
    """λ of each bet, (4,), ascending and below 1 / limit: the best against odds of a loss raised by RATIOS.

    limit: the mean loss that is allowed, in (0, 1). Source: Kelly (1956); Waudby-Smith and Ramdas (2024), section 4.
    """
    raised = RATIOS * limit / (1 - limit + RATIOS * limit)
    return np.asarray((raised - limit) / (limit * (1 - limit)))


def log_bets(loss: Floats, limit: float) -> Ints:
    """The fixed-point log growth of every bet by every label, (n, 4), rounded down; of a bucket they add up.

    loss: (n,) in [0, 1].
    """
    growth = np.log1p(np.multiply.outer(loss - limit, stakes(limit)))
    return np.asarray(np.floor(growth * FIXED), np.int64)


def growth(counts: Ints, loss: Floats, limit: float) -> Ints:
    """The growth of every bet in buckets of labels, (buckets, 4); that of two buckets adds up.

    counts: (buckets, cells) labels by loss. loss: (cells,) the smallest loss in each cell, so that no alarm is early.
    """
    return np.asarray(counts @ log_bets(loss, limit), np.int64)


def share_growth(hits: Ints, rows: Ints, limit: float) -> Ints:
    """The same of buckets of rows that are hits or not, (buckets, 4). hits, rows: (buckets,)."""
    return growth(np.stack([rows - hits, hits], axis=1), np.array([0.0, 1.0]), limit)


def follow(state: Ints, grown: Ints) -> tuple[Ints, Floats]:
    """The state after these buckets, and the alarm statistic M after each of them, (buckets,).

    grown: (buckets, 4) as `growth` makes them, in order of arrival. While the mean loss is at most the limit, an alarm
    at M ≥ A comes on average after A buckets or later; then start `fresh`. Any cut of the buckets into calls gives
    the same bits. Source: Shin, Ramdas and Rinaldo (2024), e-detectors: Mₜ = (1 + Mₜ₋₁) eₜ for each bet, and a mixture.
    """
    path, now = np.empty((len(grown), len(RATIOS))), np.asarray(state, np.int64)
    for k, more in enumerate(np.clip(grown, -_TOP, _TOP)):
        now = np.minimum(np.floor(np.logaddexp(0.0, (now + more) / FIXED) * FIXED), _TOP).astype(np.int64)
        path[k] = now
    return now.astype(np.int32), np.asarray((np.expm1(path / FIXED) * WEIGHTS).sum(axis=1))


def crossings(grown: Ints, bar: float) -> list[int]:
    """The buckets at which the statistic reaches the bar, each time begun afresh after it."""
    found: list[int] = []
    state = fresh()
    for at in range(len(grown)):
        state, path = follow(state, grown[at : at + 1])
        if path[0] >= bar:
            found.append(at)
            state = fresh()
    return found
