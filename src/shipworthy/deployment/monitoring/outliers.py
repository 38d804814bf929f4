"""Are strange rows noticed: a calibrated p-value for every row, and an alarm on the rate of strange ones."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import Reference
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Sample, Tallies
from shipworthy.deployment.monitoring.alarm import share_log_e
from shipworthy.deployment.monitoring.eprocess import follow, fresh, share_growth
from shipworthy.deployment.monitoring.reference import strangeness
from shipworthy.marks import check

AT = 0.01
TOLERANCE = 0.005
FEWEST_CALIBRATION = 100
ALPHA = 0.025


def outlier_p(scores: Ints, calibration: Ints) -> Floats:
    """The conformal p-value of every row, (n,): the share of calibration rows at least as strange; ties against it.

    scores: (n,). calibration: (m,) ascending. Source: Bates et al. (2023), conformal p-values.
    """
    m = len(calibration)
    return np.asarray((1 + m - np.searchsorted(calibration, scores, side="left")) / (m + 1))


def rate_limits(calibration: int, *, tolerance: float = TOLERANCE) -> tuple[tuple[float, float], ...]:
    """Pairs (p-value, largest share of rows allowed at or below it): at 1 %, and at the smallest p possible.

    The share allowed is the 97.5 % point of what the share may truly be, plus the tolerance. Source: Vovk (2012).
    """
    from scipy.stats import beta

    if calibration < FEWEST_CALIBRATION:
        return ()
    places = sorted({1, int(AT * (calibration + 1))})
    return tuple((k / (calibration + 1), tolerance + float(beta.ppf(0.975, k, calibration + 1 - k))) for k in places)


def strange_m(
    state: tuple[tuple[int, ...], ...], hits: Ints, rows: int, limits: tuple[tuple[float, float], ...]
) -> tuple[tuple[tuple[int, ...], ...], float]:
    """The evidence after one more window, and the alarm statistic M: the mean over the p-values of `rate_limits`.

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
    """Share of traffic rows stranger than 99 % of the reference, and stranger than all of it."""
    limits = rate_limits(len(grid.strange), tolerance=tolerance)
    rows = tallies.rows.whole
    n = int(rows.total("rows")[0])
    if not limits or n < FEWEST_CALIBRATION:
        return say("unknown", f"{len(grid.strange)} reference rows and {n} of traffic are too few to call rows "
                              f"strange; {FEWEST_CALIBRATION} of each are needed.", n=n)
    hits = rows.total("strange").tolist()
    most = [most_hits(n, limit, ALPHA / len(limits)) for _, limit in limits]
    worst = max(range(len(limits)), key=lambda k: (hits[k] > most[k], k))
    facts = {"value": hits[worst] / n, "limit": most[worst] / n, "n": n}
    seen = (f"{hits[-1] / n:.2%} of {n:,} rows are stranger than {1 - limits[-1][0]:.0%} of the reference (of so many "
            f"rows at most {most[-1] / n:.2%}), {hits[0] / n:.2%} stranger than all of it (at most {most[0] / n:.2%})")
    if hits[worst] > most[worst]:
        return say("fail", f"Too many strange rows: {seen}.", **facts,
                   remedy="look at the rows named, then at their source",
                   counterexample={"prediction_ids": strangest(grid, tallies.sample)})
    return say("pass", f"No more strange rows than expected: {seen}.", **facts)


def strangest(grid: Reference, sample: Sample, most: int = 5) -> list[str]:
    """The prediction ids of the strangest rows of a sample."""
    cells = {name: sample.cells[:, place] for place, name in enumerate(grid.plan.names)}
    found = strangeness(grid.plan, grid.planned, cells)
    return [str(sample.ids[row]) for row in np.argsort(-found, kind="stable")[:most]]


def most_hits(n: int, limit: float, alpha: float) -> int:
    """The largest count of n rows that chance explains where the share of hits is at most `limit`.

    alpha: chance of more at any of many looks. Source: Ville (1939), on the e-value of `share_log_e`.
    """
    def excess(hits: int) -> bool:
        found = float(share_log_e(np.array([hits]), np.array([n]), limit)[0])
        return hits > limit * n and found >= -np.log(alpha)

    return bisect_left(range(n + 1), True, key=excess) - 1
