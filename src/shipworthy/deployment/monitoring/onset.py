"""When did a loss begin to rise? A detector for labels as they come, which learns on the way what is usual."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shipworthy.core.table import Floats, Ints
from shipworthy.deployment.monitoring.eprocess import RATIOS, WEIGHTS

FEWEST_USUAL = 200


@dataclass(frozen=True)
class Onset:
    """What the detector remembers; as much after a million labels as after one.

    rows: labels since the last alarm, and total: their loss. log_m: (4,) log of 1 + the statistic of each bet.
    height: (4,) log growth of each bet above its lowest point, and since: (4,) labels since that point.
    """

    rows: int = 0
    total: float = 0.0
    log_m: Floats = field(default_factory=lambda: np.zeros(len(RATIOS)))
    height: Floats = field(default_factory=lambda: np.zeros(len(RATIOS)))
    since: Ints = field(default_factory=lambda: np.zeros(len(RATIOS), np.int64))


@dataclass(frozen=True)
class Rise:
    """An alarm. at: the label that raised it, counted from 0 in this call. labels: how many ago the rise began."""

    at: int
    labels: int


def rises(state: Onset, loss: Floats, *, bar: float) -> tuple[Onset, tuple[Rise, ...]]:
    """The state after these labels, and the alarms among them; after an alarm all is learnt anew.

    loss: (n,) in [0, 1], in order of arrival. bar: the statistic that alarms, about the labels between false alarms.
    The usual loss is the mean of all labels since the last alarm; the first 200 teach it and cannot alarm.
    Source: Shin, Ramdas and Rinaldo (2024), e-detectors, with the mean of the past in place of a known limit.
    """
    found: list[Rise] = []
    start = 0
    while start < len(loss):
        after, hit = _until(state, loss[start:], bar)
        if hit is None:
            return after, tuple(found)
        found.append(Rise(start + hit, int(after.since[np.argmax(after.height)])))
        state, start = Onset(), start + hit + 1
    return state, tuple(found)


def _until(state: Onset, loss: Floats, bar: float) -> tuple[Onset, int | None]:
    """The state at the first alarm and its place, or after all labels."""
    taught = min(len(loss), max(0, FEWEST_USUAL - state.rows))
    rows = state.rows + np.arange(len(loss) + 1)[taught:]
    total = state.total + np.r_[0.0, np.cumsum(loss)][taught:]
    usual = ((total + 0.5) / (rows + 1))[:-1, None]
    stake = (RATIOS - 1) / (1 - usual + RATIOS * usual)
    growth = np.log1p(stake * (loss[taught:, None] - usual))
    summed = np.concatenate([np.zeros((1, len(RATIOS))), np.cumsum(growth, axis=0)])
    log_m = summed + np.logaddexp.accumulate(np.concatenate([state.log_m[None], -summed[1:]]), axis=0)
    passed = np.flatnonzero(np.logaddexp.reduce(log_m + np.log(WEIGHTS), axis=1)[1:] >= np.log1p(bar))
    end = int(passed[0]) + 1 if passed.size else len(growth)
    low = np.minimum(np.minimum.accumulate(summed[: end + 1], axis=0), -state.height)
    fell = summed[: end + 1] <= low
    since = np.where(fell.any(axis=0), np.argmax(fell[::-1], axis=0), state.since + end)
    after = Onset(int(rows[end]), float(total[end]), log_m[end], summed[end] - low[-1], since)
    return after, taught + end - 1 if passed.size else None
