"""Whether counts have changed since the reference, by how much, and whether that matters.

Counts are (K,) integers ≥ 0 over the same cells, reference first.
The test of a column: `pool_cells` on the plan's own split, then `column_drift` on the counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shipworthy.errors import Misuse
from shipworthy.metrics.arrays import Array, Floats, Ints, columns
from shipworthy.metrics.intervals import beta_binomial_tail, noncentral_chi2_tail

RARE = -1
_FEWEST_ROWS = 30
_SMALLEST_P = 1e-300


@dataclass(frozen=True)
class TwoSample:
    """Pearson's comparison of two counts. x2: statistic. df: cells less one. effect: w², about PSI, ≥ 0.

    rows: nm/(n+m), which x2 grows with. effect is NaN and rows 0 if either side is empty.
    """

    x2: float
    df: int
    effect: float
    rows: float


@dataclass(frozen=True)
class ColumnDrift:
    """How far one column has changed. p: both tests together, NaN if unknown; small says changed.

    p_cells: that the change is no larger than tolerated. p_rare: that the rare cells are no fuller.
    cells: the comparison behind p_cells.
    """

    p: float
    p_cells: float
    p_rare: float
    cells: TwoSample


def pearson_two_sample(a: Array, b: Array) -> TwoSample:
    """Pearson's X², its degrees of freedom and the effect w² = max(0, (X² − df) / nₑ), for two counts.

    a, b: (K,). Cells empty on both sides do not count. X² is 0 and w² NaN if either side is empty.
    A cell with a = 0 weighs n/m a row: pool it first. w is about the shift in standard deviations.
    Source: Pearson (1911), "On the probability that two independent distributions…"; w: Cohen (1988), ch. 7.
    """
    before, now = _counts(a, b)
    seen = before + now > 0
    before, now = before[seen], now[seen]
    n, m = before.sum(), now.sum()
    df = max(len(before) - 1, 0)
    if not n or not m:
        return TwoSample(0.0, df, float("nan"), 0.0)
    x2 = float(((before * np.sqrt(m / n) - now * np.sqrt(n / m)) ** 2 / (before + now)).sum())
    rows = float(n / (n + m) * m)
    return TwoSample(x2, df, max(0.0, (x2 - df) / rows), rows)


def relevance_p(found: TwoSample, *, effect: float = 0.1) -> float:
    """Chance of so large an X² if the true change is w = `effect`, in [0, 1]; small says larger than that.

    effect: w₀ ≥ 0, about a shift in standard deviations; 0 tests for any change. NaN if df is 0 or a side is
    empty. An answer of 0 is usual at a million rows. Source: Cohen (1988), noncentral χ² with λ = nₑ·w₀².
    """
    if effect < 0:
        raise Misuse(f"effect = {effect} is below 0", where="effect", hint="give 0 or more; 0.1 is small")
    if not found.rows:
        return float("nan")
    return noncentral_chi2_tail(found.x2, found.df, found.rows * effect**2)


def pool_cells(share: Array, rows: int, *, special: Array | None = None, least: float = 5) -> Ints:
    """The pooled cell that every cell joins, 0 … K′−1, or RARE (−1); (K,).

    share: (K,) counts or shares of a split that is neither reference nor current, in the column's order.
    rows: of the smaller side. special: (K,) true for cells without neighbours (null, NaN, unseen, …).
    Body cells merge with the next until `least` rows are expected; the rest joins the last. A special cell
    that expects `least` stands alone. All others are rare.
    """
    part = columns(share)[0]
    alone = np.zeros(len(part), dtype=np.bool_) if special is None else np.asarray(special, dtype=np.bool_)
    if len(alone) != len(part):
        raise Misuse("special must mark every cell", where=f"{len(alone)} marks, {len(part)} cells",
                     hint="give one mark a cell")
    expected = part * (rows / part.sum()) if part.sum() > 0 else part
    pooled = np.full(len(part), RARE, dtype=np.int64)
    body = np.flatnonzero(~alone)
    groups, held = 0, 0.0
    for cell in body:
        pooled[cell] = groups
        held += expected[cell]
        if held >= least:
            groups, held = groups + 1, 0.0
    pooled[body] = np.minimum(pooled[body], groups - 1)  # with no full group this is RARE
    strong = np.flatnonzero(alone & (expected >= least))
    pooled[strong] = groups + np.arange(len(strong))
    return pooled


def rare_p(a: int, n: int, b: int, m: int, *, unseen: float = 0.001) -> float:
    """Chance of b or more current rows in rare cells, in [0, 1], given a of n in the reference.

    b of m: current. unseen: share tolerated beyond the reference's, as if it had held unseen·n more such rows.
    1 if b or n is 0. The reference's share is not taken as known: it is Beta(a + 1, n − a), so that the count is
    beta-binomial, and without tolerance p is exactly Fisher's one-sided p. It keeps its level whichever side is larger.
    Source: Fisher (1935); Altham (1969) for the equality with the posterior.
    """
    held = min(float(n), a + unseen * n)
    return beta_binomial_tail(b, m, held + 1, n - held) if n > held else 1.0


def column_drift(
    a: Array, b: Array, pooled: Array, *, effect: float = 0.1, unseen: float = 0.001
) -> ColumnDrift:
    """Whether a column has changed enough to matter: p = min(1, 2·min(p of the cells, p of the rare cell)).

    a, b: (K,). pooled: (K,) from `pool_cells`. A pooled cell that the reference never filled counts as rare.
    p is NaN with under 30 rows on a side or a single pooled cell; p_rare is still given then.
    Source: Pearson's two-sample statistic; Bonferroni for the pair.
    """
    before, now = _counts(a, b)
    place = np.asarray(pooled)
    if len(place) != len(before):
        raise Misuse("pooled must place every cell", where=f"{len(place)} places, {len(before)} cells",
                     hint="give one place a cell, such as pool() returns")
    size = int(place.max(initial=RARE)) + 2
    left, right = (np.bincount(place + 1, weights=side, minlength=size) for side in (before, now))
    never = left == 0
    never[0] = True
    cells = pearson_two_sample(left[~never], right[~never])
    n, m = int(before.sum()), int(now.sum())
    p_rare = rare_p(int(left[never].sum()), n, int(right[never].sum()), m, unseen=unseen)
    p_cells = relevance_p(cells, effect=effect)
    known = min(n, m) >= _FEWEST_ROWS and not np.isnan(p_cells)
    return ColumnDrift(min(1.0, 2 * min(p_cells, p_rare)) if known else float("nan"), p_cells, p_rare, cells)


def p_to_log_e(p: float) -> float:
    """Natural logarithm of the e-value ½·p^(−½): evidence that multiplies over time. NaN if p is.

    p: in [0, 1]; below 10⁻³⁰⁰ it counts as 10⁻³⁰⁰. Source: Vovk and Wang (2021), calibrator with κ = ½.
    """
    return float(np.log(0.5) - 0.5 * np.log(np.maximum(p, _SMALLEST_P)))


def p_to_e(p: float) -> float:
    """The e-value ½·p^(−½), from ½ to 5·10¹⁴⁹: under no change its mean is at most 1. NaN if p is.

    p: in [0, 1]; below 10⁻³⁰⁰ it counts as 10⁻³⁰⁰. Source: Vovk and Wang (2021), calibrator with κ = ½.

    >>> round(p_to_e(0.0001), 9)
    50.0
    """
    return float(np.exp(p_to_log_e(p)))


def psi(a: Array, b: Array) -> float:
    """Population stability index, ≥ 0; 0 is no change. Half a row is added to each cell, so none is infinite.

    a, b: (K,). NaN if either side is empty. It has no error bar: show it, test with `relevance_p`.
    Source: Lewis (1994); Jeffreys's divergence (1946).
    """
    before, now = _counts(a, b)
    if not before.sum() or not now.sum():
        return float("nan")
    p, q = ((side + 0.5) / (side.sum() + 0.5 * len(side)) for side in (before, now))
    return float(((p - q) * np.log(p / q)).sum())


def wasserstein(a: Array, b: Array, place: Array) -> float:
    """Mean distance that rows must move to turn one count into the other, in the column's unit, ≥ 0.

    a, b: (K,). place: (K,) where each cell lies, such as its midpoint, rising. NaN if either side is empty.
    Source: Vallender (1974): the area between the two distribution functions.
    """
    before, now = _counts(a, b)
    at = columns(place, before)[0]
    if (np.diff(at) < 0).any():
        raise Misuse("the places of the cells must rise", where="place", hint="sort the cells by their place")
    if not before.sum() or not now.sum():
        return float("nan")
    gap = np.cumsum(before) / before.sum() - np.cumsum(now) / now.sum()
    return float(np.abs(gap[:-1]) @ np.diff(at))


def _counts(a: Array, b: Array) -> tuple[Floats, Floats]:
    before, now = columns(a, b)
    if (before < 0).any() or (now < 0).any():
        raise Misuse("a count is below 0", where="counts", hint="give counts of rows, 0 or more")
    return before, now
