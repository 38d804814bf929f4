"""How decisions differ between groups of people.

decision: (n,) class codes, 1 is the favourable one. group: (n,) labels that sort, none missing.
Small groups are the caller's to name and leave out: every group given here counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shipworthy.metrics.arrays import Array, Floats, Ints, coded, same_length
from shipworthy.metrics.intervals import percentiles


@dataclass(frozen=True)
class Rates:
    """A rate for every group, in the order of their labels, (g,). rate = hits / rows, NaN where rows is 0."""

    group: Array
    rate: Floats
    hits: Ints
    rows: Ints


def selection_rates(decision: Array, group: Array) -> Rates:
    """Share of every group that is decided favourably, in [0, 1], with its counts."""
    return _rates(np.asarray(decision) == 1, group, np.ones(len(decision), dtype=np.bool_))


def true_positive_rates(truth: Array, decision: Array, group: Array) -> Rates:
    """Share of every group's positive rows that are decided favourably, in [0, 1], with its counts."""
    return _rates(np.asarray(decision) == 1, group, np.asarray(truth) == 1)


def false_positive_rates(truth: Array, decision: Array, group: Array) -> Rates:
    """Share of every group's other rows that are decided favourably, in [0, 1], with its counts."""
    return _rates(np.asarray(decision) == 1, group, np.asarray(truth) != 1)


def impact_ratio(decision: Array, group: Array) -> float:
    """Lowest selection rate divided by the highest, in [0, 1]; higher is better.

    Below 0.8 breaks the four-fifths rule. NaN with fewer than two groups, or if nobody is selected.
    Source: 29 CFR 1607.4 D; NYC Local Law 144 of 2021 as the impact ratio.

    >>> impact_ratio(np.array([1, 0, 1, 1]), np.array(["a", "a", "b", "b"]))
    0.5
    """
    return float(_lowest_to_highest(selection_rates(decision, group).rate[None, :])[0])


def impact_ratio_interval(
    decision: Array, group: Array, *, seed: int, draws: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Low and high end of `impact_ratio`, by redrawing every group's decisions.

    Rows are taken as independent; where people have several, use `bootstrap(impact_ratio, …, groups=person)`.
    (NaN, NaN) where the ratio is. Source: Efron and Tibshirani (1993), ch. 8 and 13, stratified by group.
    """
    drawn = _redraw(selection_rates(decision, group), draws, np.random.default_rng(seed))
    return percentiles(_lowest_to_highest(drawn), level=level)


def equalised_odds_difference(truth: Array, decision: Array, group: Array) -> float:
    """Largest gap between two groups in true or in false positive rate, in [0, 1]; lower is better.

    NaN with fewer than two groups, or if one has no positives or no negatives: its rates are unknown.
    Source: Hardt, Price and Srebro (2016).
    """
    found, alarmed = true_positive_rates(truth, decision, group), false_positive_rates(truth, decision, group)
    return float(np.maximum(_gap(found.rate[None, :]), _gap(alarmed.rate[None, :]))[0])


def equalised_odds_interval(
    truth: Array, decision: Array, group: Array, *, seed: int, draws: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Low and high end of `equalised_odds_difference`, by redrawing decisions within group and truth.

    The high end errs towards unfair, as the largest of several redrawn gaps is never below 0.
    (NaN, NaN) where the gap is.
    Source: Efron and Tibshirani (1993), ch. 8 and 13, stratified by group and truth.
    """
    rng = np.random.default_rng(seed)
    found = _redraw(true_positive_rates(truth, decision, group), draws, rng)
    alarmed = _redraw(false_positive_rates(truth, decision, group), draws, rng)
    return percentiles(np.maximum(_gap(found), _gap(alarmed)), level=level)


def _rates(favourable: Array, group: Array, counted: Array) -> Rates:
    same_length(favourable, group, counted)
    labels, codes = coded(group)
    rows = np.bincount(codes[counted], minlength=len(labels)).astype(np.int64)
    hits = np.bincount(codes[counted & favourable], minlength=len(labels)).astype(np.int64)
    rate = np.divide(hits, rows, out=np.full(len(labels), np.nan), where=rows > 0)
    return Rates(labels, rate, hits, rows)


def _redraw(rates: Rates, draws: int, rng: np.random.Generator) -> Floats:
    # Half a hit and half a miss are added: three of three would otherwise be redrawn as certain for ever.
    share = (rates.hits + 0.5) / (rates.rows + 1)
    drawn = rng.binomial(rates.rows, share, size=(draws, len(rates.rows)))
    again: Floats = np.divide(drawn, rates.rows, out=np.full(drawn.shape, np.nan), where=rates.rows > 0)
    return again


def _lowest_to_highest(rate: Floats) -> Floats:
    if rate.shape[1] < 2:
        return np.full(len(rate), np.nan)
    high = rate.max(axis=1)
    lowest: Floats = np.divide(rate.min(axis=1), high, out=np.full(len(rate), np.nan), where=high > 0)
    return lowest


def _gap(rate: Floats) -> Floats:
    return np.ptp(rate, axis=1) if rate.shape[1] >= 2 else np.full(len(rate), np.nan)
