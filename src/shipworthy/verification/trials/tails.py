"""How likely so bad a slice is by chance: exact for counts, Welch's t else; many slices at once."""

from __future__ import annotations

import numpy as np
from scipy import special

from shipworthy.core.table import Floats, Ints

SURE = 1e-17


def hypergeometric_tails(hits: Ints, drawn: Ints, bad: Ints | int, n: Ints | int) -> Floats:
    """Chance of `hits` or more bad rows among `drawn` of `n` rows of which `bad` are bad, (k,).

    1.0 where the hits are no more than expected: such a slice is not asked about. Terms are summed from the first one
    on, each by its ratio to the one before, until what is left is nothing.
    """
    hits, drawn, bad, n = np.broadcast_arrays(hits, drawn, bad, n)
    found = np.ones(len(hits))
    at = np.flatnonzero(hits * n > drawn * bad)
    k, d, b, rest = (np.asarray(each[at], np.float64) for each in (hits, drawn, bad, n - bad))
    term = np.exp(_choose(b, k) + _choose(rest, d - k) - _choose(b + rest, d))
    total = term.copy()
    most = np.minimum(d, b)
    left = np.flatnonzero(k < most)
    while left.size:
        kk, dd, bb, rr = k[left], d[left], b[left], rest[left]
        term[left] *= (bb - kk) * (dd - kk) / ((kk + 1) * (rr - dd + kk + 1))
        k[left] += 1
        total[left] += term[left]
        left = left[(k[left] < most[left]) & (term[left] > SURE * total[left])]
    found[at] = np.minimum(total, 1.0)
    return found


def welch_tails(one: tuple[Floats, Floats, Floats], other: tuple[Floats, Floats, Floats]) -> Floats:
    """Chance of a mean so much higher in one group than in the other, (k,): Welch's t, one-sided.

    Each group: rows, sum and sum of squares, (k,). Source: Welch (1947).
    """
    (m, s, q), (m2, s2, q2) = one, other
    mean, mean2 = s / m, s2 / m2
    a = np.maximum(q / m - mean**2, 1e-150) / np.maximum(m - 1, 1)
    b = np.maximum(q2 / m2 - mean2**2, 1e-150) / np.maximum(m2 - 1, 1)
    freedom = (a + b) ** 2 / (a**2 / np.maximum(m - 1, 1) + b**2 / np.maximum(m2 - 1, 1))
    return np.asarray(special.stdtr(freedom, (mean2 - mean) / np.sqrt(a + b)), np.float64)


def _choose(n: Floats, k: Floats) -> Floats:
    return np.asarray(special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1), np.float64)
