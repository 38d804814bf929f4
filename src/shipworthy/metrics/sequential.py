"""Tests that may be looked at after every row: their level holds for all looks together, whenever one stops.

An e-value is evidence against "no harm": its mean is at most 1 without harm, and products over buckets stay so; stop
at 1/α and the chance of ever doing so wrongly is at most α (Ville 1939). A confidence sequence covers at every look.
"""

from __future__ import annotations

from math import inf, lgamma, log

import numpy as np

from shipworthy.errors import Misuse
from shipworthy.metrics.arrays import Array, Floats, columns

ODDS = (1.1, 1.2, 1.5, 2.0, 3.0, 5.0, 20.0)
RISES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
BETS = 10


def split_log_e(counts: Array, shares: Array, *, weight: float = 100.0) -> float:
    """Log e-value against "each row falls in a cell with its share"; logs of independent counts add up.

    counts, shares: (k,) rows seen and shares meant. weight: how many rows the prior is worth. It depends on totals
    alone, so that a look costs the same after any number of rows; infinite where a cell that may have no row has one.
    Source: Lindon and Malek (2022), Anytime-valid inference for multinomial count data, the Dirichlet mixture.
    """
    seen, meant = columns(counts, shares)
    if (seen < 0).any() or (meant < 0).any() or abs(meant.sum() - 1) > 1e-6:
        raise Misuse("counts are 0 or more, and shares add up to 1", where="split_log_e", hint="give one share a cell")
    if (seen[meant == 0] > 0).any():
        return inf
    seen, meant = seen[meant > 0], meant[meant > 0]
    prior = weight * meant
    mixed = lgamma(weight) - lgamma(weight + seen.sum())
    mixed += sum(lgamma(a + x) - lgamma(a) for a, x in zip(prior, seen, strict=True))
    return float(mixed - seen @ np.log(meant))


def odds_log_e(hits: Array, rows: Array, others: Array, rest: Array, *, limit: float = 1.0) -> Floats:
    """Log e-values, (b, 7), against "the odds of a hit are at most `limit` times those of the others", by bucket.

    hits of rows: (b,) in the arm that is judged. others of rest: (b,) in the arm beside it. One column for each of
    `ODDS` times the limit. Given its totals a bucket's hits are hypergeometric, so that a base rate that moves from
    bucket to bucket moves nothing. Buckets must be closed by time or by rows, never by what was seen in them.
    Source: Fisher (1935), the noncentral hypergeometric; Wald (1945), the likelihood ratio.
    """
    found = np.zeros((len(hits), len(ODDS)))
    table = _log_factorials(int(np.max(np.add(rows, rest), initial=0)))
    tilt = np.log([limit, *(limit * odds for odds in ODDS)])
    for place, (x, n, y, m) in enumerate(zip(*(np.asarray(c, np.int64) for c in (hits, rows, others, rest)),
                                             strict=True)):
        if n and m and x + y:
            z = np.arange(max(0, x + y - m), min(n, x + y) + 1)
            ways = -table[z] - table[n - z] - table[x + y - z] - table[m - (x + y - z)]
            total = _log_sum(ways[:, None] + z[:, None] * tilt)
            found[place] = x * (tilt[1:] - tilt[0]) - total[1:] + total[0]
    return found


def from_any_start(log_e: Floats) -> float:
    """Log of one e-value from those of b buckets and k bets, (b, k): the mean over bets, and over where harm began.

    Half of the weight is on the first bucket, the rest falls as 1/(j(j+1)): harm that begins late is found about as
    fast as harm that was always there. Source: Shin, Ramdas and Rinaldo (2024), e-detectors; the mean is an e-value.
    """
    buckets = len(log_e)
    if not buckets:
        return 0.0
    since = np.cumsum(log_e[::-1], axis=0)[::-1]
    by_start = _log_sum(since.T) - log(log_e.shape[1])
    later = np.arange(1, buckets)
    weight = np.append(0.5, 0.5 / (later * (later + 1)))
    return float(_log_sum(np.append(by_start + np.log(weight), log(0.5 / buckets))))


def rise_log_e(values: Array, *, limit: float = 0.0) -> Floats:
    """Log e-values, (b, 6), against "the mean is at most `limit`", of every ten of n values in [−1, 1]; see
    `from_any_start`.

    The values come one after another; given those before, the mean of each is at most `limit` without harm. One column
    a bet: each of `RISES` is a rise for which it grows fastest, at the spread of the values before. What is left over
    after the last ten waits. Source: Waudby-Smith and Ramdas (2024), betting on a bounded mean, a mixture of bets.
    """
    x = columns(values)[0]
    x = x[: len(x) // BETS * BETS]
    if x.size and not (x.min() >= -1 and x.max() <= 1):
        raise Misuse("a value is not within −1 and 1", where="rise_log_e", hint="divide by the largest one possible")
    before = np.append(0.25, (2.5 + np.cumsum(x**2)) / (10 + np.arange(1, len(x) + 1)))[: len(x)]
    rise = np.array(RISES)
    bet = np.minimum(rise / (before[:, None] + rise**2), 0.5)
    each = np.log1p(bet * (x - limit)[:, None])
    return np.asarray(each.reshape(-1, BETS, len(RISES)).sum(axis=1))


def mean_sequence(values: Array, *, alpha: float = 0.05) -> tuple[Floats, Floats, Floats]:
    """Estimate, lower and upper end after each of n values in [−1, 1], (n,) each; the ends hold at all looks together.

    The values come one after another with one mean, given those before; nothing else is asked of them.
    Source: Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, theorem 2
    (predictable plug-in empirical Bernstein), here for values of width 2.
    """
    x = (columns(values)[0] + 1) / 2
    if x.size and not (x.min() >= 0 and x.max() <= 1):
        raise Misuse("a value is not within −1 and 1", where="mean_sequence", hint="divide by the largest one possible")
    t = np.arange(1, len(x) + 1)
    centre = (0.5 + np.cumsum(x)) / (t + 1)
    before = np.append(0.5, centre[:-1])[: len(x)]
    spread = np.append(0.25, (0.25 + np.cumsum((x - centre) ** 2)) / (t + 1))[:-1][: len(x)]
    bet = np.minimum(0.5, np.sqrt(2 * log(2 / alpha) / (spread * t * np.log1p(t))))
    total = np.cumsum(bet)
    cost = np.cumsum((x - before) ** 2 * (-np.log1p(-bet) - bet))
    middle = np.cumsum(bet * x) / total
    half = (log(2 / alpha) + cost) / total
    return 2 * middle - 1, np.maximum(-1.0, 2 * (middle - half) - 1), np.minimum(1.0, 2 * (middle + half) - 1)


def matched(judged: Floats, beside: Floats) -> Floats:
    """How much larger each value of one arm is than the mean of its own share of the other's, in [−1, 1] for [0, 1].

    The smaller arm is matched, row by row, with equally many rows of the larger; no row is used twice, so that the
    differences are independent. Empty where an arm is.
    """
    if not len(judged) or not len(beside):
        return np.zeros(0)
    if len(judged) > len(beside):
        return -matched(beside, judged)
    each = len(beside) // len(judged)
    return np.asarray(judged - beside[: each * len(judged)].reshape(len(judged), each).mean(axis=1))


def cdf_radius(n: int, *, alpha: float = 0.05) -> float:
    """How far an empirical distribution function of n rows lies from the true one, anywhere and at any n, at most.

    Source: Howard and Ramdas (2022), Sequential estimation of quantiles, corollary 2.
    """
    return 1.0 if n < 1 else min(1.0, 0.85 * float(np.sqrt((log(log(np.e * n)) + 0.8 * log(1612 / alpha)) / n)))


def distance_sequence(a: Array, b: Array, *, alpha: float = 0.05) -> tuple[float, float, float]:
    """Largest gap between two distribution functions, with its lower and upper end, in [0, 1]; holds at all looks.

    a, b: (n,) and (m,) finite values. (NaN, 0, 1) if either is empty. Source: Kolmogorov and Smirnov's distance;
    `cdf_radius` for each side at half of alpha.
    """
    left, right = np.sort(columns(a)[0]), np.sort(columns(b)[0])
    if not left.size or not right.size:
        return float("nan"), 0.0, 1.0
    at = np.concatenate([left, right])
    gap = float(np.abs(np.searchsorted(left, at, "right") / left.size
                       - np.searchsorted(right, at, "right") / right.size).max())
    sure = cdf_radius(left.size, alpha=alpha / 2) + cdf_radius(right.size, alpha=alpha / 2)
    return gap, max(0.0, gap - sure), min(1.0, gap + sure)


def _log_factorials(most: int) -> Floats:
    return np.append(0.0, np.cumsum(np.log(np.arange(1, most + 1))))


def _log_sum(terms: Floats) -> Floats:
    """The log of the sum of exponentials along the first axis; −∞ counts for nothing."""
    top = terms.max(axis=0)
    return np.asarray(top + np.log(np.exp(terms - top).sum(axis=0)))
