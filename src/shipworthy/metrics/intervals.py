"""How sure a number is: intervals, paired differences, tails. The one file of `metrics` that uses SciPy.

Every interval is (low, high), two-sided at `level`; (NaN, NaN) where it is undefined, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

from shipworthy.errors import Misuse
from shipworthy.metrics.arrays import Array, Floats, Ints, Mask, coded, columns, mean, same_length
from shipworthy.metrics.ranks import midranks

_UNKNOWN = (float("nan"), float("nan"))
_CHUNK = 4_000_000  # drawn rows held at once, about 100 MB
_TERMS = 16_384  # terms of a sum held at once
_LOST = 0.05  # share of draws that may be undefined


def clopper_pearson(k: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a share, k of n, in [0, 1]; covers at least `level`. (NaN, NaN) if n is 0.

    Raises Misuse unless 0 ≤ k ≤ n. Source: Clopper and Pearson (1934).
    """
    tail = _tail(level)
    _within(k, n)
    if not n:
        return _UNKNOWN
    low = float(special.betaincinv(k, n - k + 1, tail)) if k else 0.0
    high = float(special.betainccinv(k + 1, n - k, tail)) if k < n else 1.0
    return low, high


def wilson(k: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a share, k of n, in [0, 1]; covers about `level` on average. (NaN, NaN) if n is 0.

    Narrower than `clopper_pearson`: for pictures, not for gates. Raises Misuse unless 0 ≤ k ≤ n.
    Source: Wilson (1927).
    """
    z = _normal(level)
    _within(k, n)
    if not n:
        return _UNKNOWN
    middle, half = k + z * z / 2, z * np.sqrt(k * (n - k) / n + z * z / 4)
    low = (middle - half) / (n + z * z) if k else 0.0
    high = (middle + half) / (n + z * z) if k < n else 1.0
    return float(low), float(high)


def bootstrap(
    statistic: Callable[..., float],
    *arrays: Array,
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
    groups: Array | None = None,
) -> tuple[float, float]:
    """Percentile interval of `statistic(*arrays)` when rows are redrawn together.

    arrays: each (n, …). groups: (n,) labels such as a person; whole groups are redrawn.
    (NaN, NaN) if n is 0 or the statistic is NaN in more than 1 draw of 20. One seed gives one answer.
    Cost: `draws` calls; prefer `bootstrap_mean` and `auc_interval` where they fit.
    Source: Efron (1979); Davison and Hinkley (1997), 3.8, for groups.
    """
    if len({len(array) for array in arrays}) != 1:
        raise Misuse("the arrays must have the same length", where=f"{[len(array) for array in arrays]}",
                     hint="give one value a row, for the same rows")
    rng, n = np.random.default_rng(seed), len(arrays[0])
    if not n:
        return _UNKNOWN
    again = _rows(rng, n) if groups is None else _clusters(rng, groups)
    found = np.empty(draws)
    for draw in range(draws):
        rows = again()
        found[draw] = statistic(*(array[rows] for array in arrays))
    return percentiles(found, level=level)


def bootstrap_mean(
    values: Array,
    *,
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
    weights: Array | None = None,
    groups: Array | None = None,
) -> tuple[float, float]:
    """Percentile interval of a mean, the same as `bootstrap` gives but without a call for every draw.

    values: (n,). weights: (n,) ≥ 0; with a mask it is the mean of a part, so precision is values = right,
    weights = called positive. groups: (n,) labels; whole groups are redrawn.
    (NaN, NaN) if n is 0 or the weights add to 0 in more than 1 draw of 20.
    Source: Efron (1979); counts of equal rows are multinomial, which draws them all at once.
    """
    value, weight = columns(values, np.ones(len(values)) if weights is None else weights)
    if not len(value):
        return _UNKNOWN
    part, whole = value * weight, weight
    if groups is not None:
        same_length(value, groups)
        codes = coded(groups)[1]
        part, whole = _by_group(part, codes), _by_group(whole, codes)
    rng = np.random.default_rng(seed)
    pairs, counts = np.unique(part + 1j * whole, return_counts=True)
    if 20 * len(pairs) <= len(part):
        times = rng.multinomial(len(part), counts / len(part), size=draws)
        top, bottom = times @ pairs.real, times @ pairs.imag
    else:
        top, bottom = _sums(rng, part, whole, draws)
    return percentiles(np.divide(top, bottom, out=np.full(draws, np.nan), where=bottom > 0), level=level)


def percentiles(found: Floats, *, level: float = 0.95) -> tuple[float, float]:
    """The two ends between which the share `level` of the drawn values lies. found: (draws,).

    (NaN, NaN) if more than 1 in 20 is NaN or there are none; fewer are left out.
    """
    tail = _tail(level)
    known = found[~np.isnan(found)]
    if not len(known) or len(known) < (1 - _LOST) * len(found):
        return _UNKNOWN
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def auc_interval(
    truth: Array, score: Array, *, level: float = 0.95, groups: Array | None = None
) -> tuple[float, float]:
    """Interval of `classification.auc`, in [0, 1], without redrawing.

    truth: (n,), 1 is positive. score: (n,). groups: (n,) labels whose rows are not independent.
    Symmetric on the logit scale, by Student's t of the smaller class: plain DeLong is too narrow near 1 and
    with few positives. A perfect score is held to what as many disjoint pairs can show, never to certainty.
    (NaN, NaN) if a class has no rows, or one row and the score is not perfect.
    Source: DeLong et al. (1988), as sped up by Sun and Xu (2014); groups: Obuchowski (1997).
    """
    tail, pairs = _tail(level), _pairs(truth, groups)
    area, pull = _influence(truth, score)
    if area in (0.0, 1.0):
        sure = float(tail ** (1 / pairs))
        return (sure, 1.0) if area else (0.0, 1 - sure)
    half = _student(pairs - 1, tail) * _spread(truth, pull, groups) / (area * (1 - area))
    middle = special.logit(area)
    return float(special.expit(middle - half)), float(special.expit(middle + half))


def auc_difference(
    truth: Array, a: Array, b: Array, *, level: float = 0.95, groups: Array | None = None
) -> tuple[float, float, float]:
    """AUC of score a less AUC of score b on the same rows, and its low and high end, in [−1, 1].

    truth, a, b: (n,). groups: as in `auc_interval`. Above 0 means a is better. All NaN if a class has none;
    the ends are NaN if one has a single row. No width if a and b rank alike, two perfect scores too.
    Source: DeLong et al. (1988), as sped up by Sun and Xu (2014); groups: Obuchowski (1997).
    """
    tail = _tail(level)
    (left, pull_a), (right, pull_b) = _influence(truth, a), _influence(truth, b)
    half = _student(_pairs(truth, groups) - 1, tail) * _spread(truth, pull_a - pull_b, groups)
    gap = left - right
    return gap, float(np.maximum(gap - half, -1)), float(np.minimum(gap + half, 1))


def paired_mean_difference(
    a: Array, b: Array, *, level: float = 0.95, groups: Array | None = None
) -> tuple[float, float, float]:
    """Mean of a − b over the same rows, and the low and high end of its interval.

    a, b: (n,), such as the losses of two models. groups: (n,) labels whose rows are not independent.
    All NaN if n is 0 or a value is NaN; the ends are NaN with fewer than two rows, or groups.
    Source: Student (1908); groups: Liang and Zeger (1986), degrees of freedom: groups less one.
    """
    tail = _tail(level)
    left, right = columns(a, b)
    gap = mean(left - right)
    if not len(left):
        return gap, *_UNKNOWN
    error, free = _error((left - right - gap) / len(left), groups)
    half = _student(free, tail) * error
    return gap, gap - half, gap + half


def benjamini_hochberg(p: Array, *, q: float = 0.05) -> Mask:
    """Which hypotheses to reject so that at most the share q of those rejected is false, on average; (m,).

    p: (m,) in [0, 1], independent or positively dependent. A NaN counts as a test and is never rejected.
    Source: Benjamini and Hochberg (1995).
    """
    chance = np.nan_to_num(columns(p)[0], nan=np.inf)
    order = np.argsort(chance)
    under = np.flatnonzero(chance[order] <= q * np.arange(1, len(chance) + 1) / max(len(chance), 1))
    rejected = np.zeros(len(chance), dtype=np.bool_)
    rejected[order[: under[-1] + 1 if len(under) else 0]] = True
    return rejected


def binomial_tail(k: int, n: int, p: float) -> float:
    """Chance of k or more hits in n tries of probability p each, by the beta integral."""
    return float(special.betainc(k, n - k + 1, p)) if 0 < k <= n else float(k <= 0)


def normal_tail(z: float) -> float:
    """Chance that a standard normal variable is z or more."""
    return float(special.ndtr(-z))


def student_tail(t: float, free: int) -> float:
    """Chance that Student's t of so many degrees of freedom is t or more; NaN without a degree of freedom."""
    return float(special.stdtr(free, -t)) if free > 0 else float("nan")


def beta_binomial_tail(k: int, n: int, alpha: float, beta: float) -> float:
    """Chance of k or more hits in n tries of one unknown probability that is Beta(alpha, beta), both ≥ 1.

    Source: Skellam (1948); each term follows from the one before by a ratio, so none is lost to rounding.
    """
    if not 0 < k <= n:
        return float(k <= 0)
    if k * (alpha + beta) <= n * alpha:  # below the mean the misses are the shorter sum
        return 1.0 - _beta_binomial_upper(n - k + 1, n, beta, alpha)
    return _beta_binomial_upper(k, n, alpha, beta)


def noncentral_chi2_tail(x: float, df: float, shift: float) -> float:
    """Chance that a noncentral χ² variable is x or more. shift: the noncentrality, ≥ 0. NaN if df is 0."""
    from scipy.stats import ncx2  # scipy.stats takes half a second to import, and only this needs it

    return float(ncx2.sf(x, df, shift)) if df > 0 else float("nan")


def _beta_binomial_upper(k: int, n: int, alpha: float, beta: float) -> float:
    first = special.betaln(k + alpha, n - k + beta) - special.betaln(alpha, beta)
    first -= np.log(n + 1) + special.betaln(k + 1, n - k + 1)
    total = term = 1.0
    for start in range(k, n, _TERMS):
        hits = np.arange(start, min(start + _TERMS, n), dtype=np.float64)
        ratio = (n - hits) * (hits + alpha) / ((hits + 1) * (n - hits - 1 + beta))
        terms = term * np.cumprod(ratio)
        total, term = total + float(terms.sum()), float(terms[-1])
        if term < 1e-18 * total:
            break
    return float(min(1.0, np.exp(first) * total))


def _tail(level: float) -> float:
    if not 0 < level < 1:
        raise Misuse(f"level = {level} is not between 0 and 1", where="level", hint="95 % is 0.95")
    return (1 - level) / 2


def _normal(level: float) -> float:
    return -float(special.ndtri(_tail(level)))


def _student(free: int, tail: float) -> float:
    return float(special.stdtrit(free, 1 - tail)) if free > 0 else float("nan")


def _within(k: int, n: int) -> None:
    if not 0 <= k <= n:
        raise Misuse(f"{k} of {n} is not a share", where="k of n", hint="give 0 ≤ k ≤ n")


def _rows(rng: np.random.Generator, n: int) -> Callable[[], Ints]:
    return lambda: rng.integers(n, size=n)


def _clusters(rng: np.random.Generator, groups: Array) -> Callable[[], Ints]:
    codes = coded(groups)[1]
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    starts = np.cumsum(sizes) - sizes

    def again() -> Ints:
        picked = rng.integers(len(sizes), size=len(sizes))
        taken = sizes[picked]
        shift = starts[picked] - (np.cumsum(taken) - taken)
        rows: Ints = order[np.repeat(shift, taken) + np.arange(taken.sum())]
        return rows

    return again


def _by_group(values: Floats, codes: Ints) -> Floats:
    return np.bincount(codes, weights=values).astype(np.float64, copy=False)


def _sums(rng: np.random.Generator, part: Floats, whole: Floats, draws: int) -> tuple[Floats, Floats]:
    top, bottom = np.empty(draws), np.empty(draws)
    step = max(1, _CHUNK // len(part))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        rows = rng.integers(len(part), size=(size, len(part)))
        top[start : start + size] = part[rows].sum(axis=1)
        bottom[start : start + size] = whole[rows].sum(axis=1)
    return top, bottom


def _influence(truth: Array, score: Array) -> tuple[float, Floats]:
    """AUC, and every row's pull on it, (n,): the pulls add to 0 and their squares make the variance."""
    actual, value = columns(truth, score)
    positive = actual == 1
    hits, misses = int(positive.sum()), int((~positive).sum())
    if not hits or not misses or np.isnan(value).any():
        return float("nan"), np.full(len(value), np.nan)
    ranks = midranks(value)
    above = np.empty(len(value))
    above[positive] = (ranks[positive] - midranks(value[positive])) / misses
    above[~positive] = 1 - (ranks[~positive] - midranks(value[~positive])) / hits
    area = float(above[positive].mean())
    return area, (above - area) / np.where(positive, hits, misses)


def _spread(truth: Array, pull: Floats, groups: Array | None) -> float:
    if groups is not None:
        return _error(pull, groups)[0]
    positive = np.asarray(truth) == 1
    one, other = pull[positive], pull[~positive]
    if len(one) < 2 or len(other) < 2:
        return float("nan")
    return float(np.sqrt(sum((side @ side) * len(side) / (len(side) - 1) for side in (one, other))))


def _error(pull: Floats, groups: Array | None) -> tuple[float, int]:
    """Standard error from every row's pull on the estimate, and its degrees of freedom."""
    if groups is not None:
        same_length(pull, groups)
        pull = _by_group(pull, coded(groups)[1])
    free = len(pull) - 1
    return (float(np.sqrt((pull @ pull) * len(pull) / free)) if free > 0 else float("nan")), max(free, 0)


def _pairs(truth: Array, groups: Array | None) -> int:
    """Most pairs of a positive and a negative row that share no row, or group."""
    positive = np.asarray(truth) == 1
    if groups is None:
        return max(1, min(int(positive.sum()), int((~positive).sum())))
    same_length(positive, groups)
    labels, codes = coded(groups)
    hits, misses = len(np.unique(codes[positive])), len(np.unique(codes[~positive]))
    return max(1, min(hits, misses, len(labels) // 2))
