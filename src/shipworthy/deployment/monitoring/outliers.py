"""Are strange rows noticed: a calibrated p-value for every row, and an alarm on the rate of strange ones."""

from __future__ import annotations

from bisect import bisect_left
from typing import Protocol

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import Reference
from shipworthy.core.table import Floats, Ints, Mask
from shipworthy.core.tallies import Sample, Tallies
from shipworthy.deployment.monitoring.alarm import share_log_e
from shipworthy.deployment.monitoring.eprocess import follow, fresh, share_growth
from shipworthy.deployment.monitoring.forest import depth
from shipworthy.deployment.monitoring.reference import strangeness
from shipworthy.marks import check

AT = (0.003, 0.01)
TOLERANCE = 0.005
FEWEST_CALIBRATION = 100
ALPHA = 0.025
Limits = tuple[tuple[float, float], ...]


def outlier_p(scores: Ints, calibration: Ints) -> Floats:
    """The conformal p-value of every row, (n,): the share of calibration rows at least as strange; ties against it.

    scores: (n,). calibration: (m,) ascending. Source: Bates et al. (2023), conformal p-values.
    """
    m = len(calibration)
    return np.asarray((1 + m - np.searchsorted(calibration, scores, side="left")) / (m + 1))


def rate_limits(calibration: int, *, tolerance: float = TOLERANCE) -> Limits:
    """Pairs (p-value, largest share of rows allowed at or below it): at the smallest p possible, 0.3 %, and 1 %.

    The share allowed is the 97.5 % point of what the share may truly be, plus the tolerance. Source: Vovk (2012).
    """
    from scipy.stats import beta

    if calibration < FEWEST_CALIBRATION:
        return ()
    places = sorted({1, *(max(1, int(at * (calibration + 1))) for at in AT)})
    return tuple((k / (calibration + 1), tolerance + float(beta.ppf(0.975, k, calibration + 1 - k))) for k in places)


class Scored(Protocol):
    """Rows whose outlier scores are known. strange, isolated: (n,), by columns and by the forest."""

    @property
    def strange(self) -> Ints: ...

    @property
    def isolated(self) -> Ints: ...


def limits_of(reference: Reference, *, tolerance: float = TOLERANCE) -> Limits:
    """`rate_limits` of both scores, by columns and then by the forest; none of a score that has too few rows."""
    sides = (reference.strange, reference.isolated)
    return tuple(pair for one in sides for pair in rate_limits(len(one), tolerance=tolerance))


def strange_hits(reference: Reference, rows: Scored) -> Mask:
    """Whether every row lies at or below each p-value of `limits_of`, (n, p-values)."""
    found = [np.zeros((len(rows.strange), 0), np.bool_)]
    for side in ("strange", "isolated"):
        limits = rate_limits(len(getattr(reference, side)))
        if limits:
            p = outlier_p(getattr(rows, side), getattr(reference, side))
            found.append(np.stack([p <= at + 1e-12 for at, _ in limits], axis=1))
    return np.concatenate(found, axis=1)


def strange_m(
    state: tuple[tuple[int, ...], ...], hits: Ints, rows: int, limits: Limits
) -> tuple[tuple[tuple[int, ...], ...], float]:
    """The evidence after one more window, and the alarm statistic M: the mean over the p-values of `limits_of`.

    state: of every p-value, as `eprocess.follow`; empty at first. hits: (p-values,) rows of the window at or below.
    """
    known, m = [], []
    for k, (_, limit) in enumerate(limits):
        grown = share_growth(hits[k : k + 1], np.array([rows]), limit)
        now, path = follow(np.array(state[k]) if state else fresh(), grown)
        known.append(tuple(now.tolist()))
        m.append(float(path[0]))
    return tuple(known), float(np.mean(m))


@check("outlier-rate", row="deployment.outliers")
def outlier_rate(grid: Reference, tallies: Tallies, *, tolerance: float = TOLERANCE) -> Finding:
    """Share of traffic rows stranger than 99 % of the reference, and than all of it, by columns and as a whole."""
    limits = limits_of(grid, tolerance=tolerance)
    rows = tallies.rows.whole
    n = int(rows.total("rows")[0])
    if not limits or n < FEWEST_CALIBRATION:
        return say("unknown", f"{len(grid.strange)} reference rows and {n} of traffic are too few to call rows "
                              f"strange; {FEWEST_CALIBRATION} of each are needed.", n=n)
    hits = rows.total("strange").tolist()
    most = [most_hits(n, limit, ALPHA / len(limits)) for _, limit in limits]
    worst = max(range(len(limits)), key=lambda k: (hits[k] > most[k], k))
    facts = {"value": hits[worst] / n, "limit": most[worst] / n, "n": n}
    columns = len(rate_limits(len(grid.strange)))
    sides = (("" if columns == len(limits) else " by single columns", 0, columns - 1),
             (" as a whole", columns, len(limits) - 1))
    seen = " and ".join(
        f"{hits[last] / n:.2%} of {n:,} rows are stranger{side} than {1 - limits[last][0]:.0%} of the reference (of so "
        f"many rows at most {most[last] / n:.2%}), {hits[first] / n:.2%} stranger than all of it (at most "
        f"{most[first] / n:.2%})" for side, first, last in sides if first <= last)
    if hits[worst] > most[worst]:
        return say("fail", f"Too many strange rows: {seen}.", **facts,
                   remedy="look at the rows named, then at their source",
                   counterexample={"prediction_ids": strangest(grid, tallies.sample, whole=worst >= columns)})
    return say("pass", f"No more strange rows than expected: {seen}.", **facts)


def strangest(grid: Reference, sample: Sample, most: int = 5, *, whole: bool = False) -> list[str]:
    """The prediction ids of the strangest rows of a sample, by columns or as a whole."""
    cells = {name: sample.cells[:, place] for place, name in enumerate(grid.plan.names)}
    found = (depth(grid.forest, grid.plan, grid.planned, cells) if whole else
             strangeness(grid.plan, grid.planned, cells))
    return [str(sample.ids[row]) for row in np.argsort(-found, kind="stable")[:most]]


def most_hits(n: int, limit: float, alpha: float) -> int:
    """The largest count of n rows that chance explains where the share of hits is at most `limit`.

    alpha: chance of more at any of many looks. Source: Ville (1939), on the e-value of `share_log_e`.
    """
    def excess(hits: int) -> bool:
        found = float(share_log_e(np.array([hits]), np.array([n]), limit)[0])
        return hits > limit * n and found >= -np.log(alpha)

    return bisect_left(range(n + 1), True, key=excess) - 1
