"""Evidence over time: e-values, the e-SR alarm over windows, and how far chance carries a share or a mean.

A budget of false pages is the threshold A: an alarm at M ≥ A cries at most once per A quiet windows, on average.
"""

from __future__ import annotations

import numpy as np

from shipworthy.core.table import Floats, Ints

LARGEST = 1e290
EARLY = 0.1


def threshold(*, per_year: int, families: int, pages_per_year: float = 1.0, levels: int = 1) -> float:
    """A: windows a year, times the families and levels that share the budget, by the false pages allowed a year.

    A tenth of the budget is kept for windows that are tested while they fill; see `early`.
    """
    return per_year * families * levels / max(pages_per_year, 1e-9) / (1 - EARLY)


def step(m: float, e: float) -> float:
    """The e-SR statistic after one more window, (1 + m)·e, capped far above any threshold.

    A window without rows is skipped, never given e = 1: else 10,000 empty windows would page.
    Source: Shin, Ramdas and Rinaldo (2024), e-detectors.
    """
    return min(LARGEST, (1.0 + m) * e)


def early(test: int) -> float:
    """How many times its bar a window that is still filling must reach at its first, second, … test.

    The j-th may spend 1 / (j (j + 1)) of what is kept for such tests, which adds up to all of it: so a window may be
    tested as often as one likes. Source: Bonferroni; Markov's inequality for the e-value of each test.
    """
    return (1 - EARLY) / EARLY * test * (test + 1)


def combined(log_e: Floats, weights: Floats) -> Floats:
    """The weighted mean of e-values per window, (w,), valid under any dependence; unknown (NaN) columns count as 1.

    log_e: (w, columns). weights: (columns,), sum 1, frozen before. Source: Vovk and Wang (2021).
    """
    known = np.where(np.isnan(log_e), 0.0, np.minimum(log_e, np.log(LARGEST)))
    return np.asarray(np.exp(known) @ weights)


def named(e: Floats, *, q: float = 0.1) -> Ints:
    """The columns that e-BH names: positions of the k largest, k the largest with k-th e ≥ K / (q k).

    Source: Wang and Ramdas (2022).
    """
    order = np.argsort(-e, kind="stable")
    enough = np.flatnonzero(e[order] * np.arange(1, len(e) + 1) >= len(e) / q)
    return order[: enough[-1] + 1] if enough.size else order[:0]


def share_log_e(hits: Floats, n: Floats, limit: float) -> Floats:
    """Log e-value against "the share of hits is at most `limit`", for each pair of counts.

    The mixture of Bernoulli likelihoods over shares above the limit, each against the limit itself.
    hits, n: (k,) counts. Source: Robbins (1970), mixture of likelihood ratios; Podkopaev and Ramdas (2022).
    """
    from scipy.special import betaincc, betaln

    a, b = hits + 0.5, n - hits + 0.5
    with np.errstate(divide="ignore"):  # no floor: a healthy million must weigh nothing, not a little
        above = betaln(a, b) + np.log(betaincc(a, b, limit))
    prior = betaln(0.5, 0.5) + np.log(betaincc(0.5, 0.5, limit))
    return np.asarray(above - prior - hits * np.log(limit) - (n - hits) * np.log1p(-limit))


def sequence_width(n: Floats, variance: Floats, *, alpha: float = 0.05, r: float = 0.05) -> Floats:
    """Half-width of a confidence sequence for a mean, valid at every look at once; asymptotic: n ≥ 100.

    n: rows so far. variance: of one row. r: tightest near n = 3,300 at 0.05.
    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), eq. for the asymptotic sequence.
    """
    scale = n * r**2 + 1
    return np.asarray(np.sqrt(variance) * np.sqrt(2 * scale / (n**2 * r**2) * np.log(np.sqrt(scale) / alpha)))
