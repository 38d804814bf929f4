"""Intervals: by hand, against SciPy or brute force, by the share of times they cover, at the edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from shipworthy.errors import Misuse
from shipworthy.metrics import intervals as i
from shipworthy.metrics.arrays import Array
from shipworthy.metrics.classification import auc, precision

NAN = pytest.approx((np.nan, np.nan), nan_ok=True)
SHARES = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def classed(seed: int, hits: int, misses: int, distance: float = 1.0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    truth = np.repeat([1, 0], [hits, misses])
    return truth, np.round(rng.normal(size=hits + misses) + distance * truth, 1)


# shares


def test_clopper_pearson_of_none_in_ten_by_hand() -> None:
    low, high = i.clopper_pearson(0, 10)
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 10))
    assert i.clopper_pearson(10, 10) == pytest.approx((0.025 ** (1 / 10), 1))


def test_wilson_of_half_by_hand() -> None:
    z = 1.959963984540054
    half = z * np.sqrt(10 / 4 + z * z / 4) / (10 + z * z)
    assert i.wilson(5, 10) == pytest.approx((0.5 - half, 0.5 + half))


@given(SHARES, st.sampled_from([0.8, 0.95, 0.999]))
def test_shares_equal_scipy(share: tuple[int, int], level: float) -> None:
    found = stats.binomtest(*share)
    exact, score = found.proportion_ci(level, "exact"), found.proportion_ci(level, "wilson")
    assert i.clopper_pearson(*share, level=level) == pytest.approx((exact.low, exact.high))
    assert i.wilson(*share, level=level) == pytest.approx((score.low, score.high), abs=1e-9)


@given(SHARES)
def test_an_interval_of_a_share_holds_it_and_mirrors(share: tuple[int, int]) -> None:
    k, n = share
    for interval in (i.clopper_pearson, i.wilson):
        low, high = interval(k, n)
        assert 0 <= low <= k / n <= high <= 1
        assert interval(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@pytest.mark.parametrize("interval", [i.clopper_pearson, i.wilson])
def test_a_share_of_nothing_is_nan_and_an_impossible_one_refused(interval: object) -> None:
    assert callable(interval)
    assert interval(0, 0) == NAN
    for k, n in [(3, 2), (-1, 2)]:
        with pytest.raises(Misuse, match="is not a share"):
            interval(k, n)
    with pytest.raises(Misuse, match="level = 95 is not between 0 and 1"):
        interval(1, 2, level=95)


# bootstrap


def test_the_bootstrap_of_a_mean_is_close_to_theory() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    theory = stats.norm.interval(0.95, values.mean(), values.std() / 20)
    assert i.bootstrap(np.mean, values, seed=1) == pytest.approx(theory, abs=0.02)
    assert i.bootstrap_mean(values, seed=1) == pytest.approx(theory, abs=0.02)


def test_the_fast_mean_draws_equal_rows_together_and_agrees_with_the_slow_one() -> None:
    right = np.repeat([1, 0], [300, 700])
    assert i.bootstrap_mean(right, seed=0) == pytest.approx(i.bootstrap(np.mean, right, seed=0), abs=0.004)


def test_precision_is_a_weighted_mean() -> None:
    rng = np.random.default_rng(3)
    truth, called = rng.integers(0, 2, (2, 500))
    slow = i.bootstrap(precision, truth, called, seed=0)
    assert i.bootstrap_mean(truth, weights=called, seed=0) == pytest.approx(slow, abs=0.01)


def test_redrawing_whole_people_widens_the_interval_of_alike_rows() -> None:
    rng = np.random.default_rng(2)
    person = np.repeat([f"p{k}" for k in range(40)], 25)
    values = np.repeat(rng.normal(size=40), 25)
    shuffled = rng.permutation(1000)
    values, person = values[shuffled], person[shuffled]
    alone = i.bootstrap(np.mean, values, seed=0)
    slow = i.bootstrap(np.mean, values, seed=0, groups=person)
    fast = i.bootstrap_mean(values, seed=0, groups=person)
    assert slow[1] - slow[0] > 4 * (alone[1] - alone[0])
    assert fast == pytest.approx(slow, abs=0.03)


def test_people_with_different_numbers_of_rows_are_redrawn_whole() -> None:
    person = np.array(["a", "b", "b", "c", "c", "c"])

    def whole(drawn: Array) -> float:
        names, counts = np.unique(drawn, return_counts=True)
        sizes = {"a": 1, "b": 2, "c": 3}
        assert all(count % sizes[name] == 0 for name, count in zip(names, counts))
        return float(sum(count // sizes[name] for name, count in zip(names, counts)))

    assert i.bootstrap(whole, person, seed=0, draws=200, groups=person) == (3, 3)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert i.bootstrap(np.median, values, seed=7) == i.bootstrap(np.median, values, seed=7)
    assert i.bootstrap_mean(values, seed=7) == i.bootstrap_mean(values, seed=7)


@pytest.mark.filterwarnings("error")
def test_a_bootstrap_of_nothing_or_of_nan_is_nan() -> None:
    assert i.bootstrap(np.mean, np.zeros(0), seed=0) == NAN
    assert i.bootstrap_mean(np.zeros(0), seed=0) == NAN
    assert i.bootstrap(np.mean, np.array([1.0, np.nan]), seed=0, draws=50) == NAN
    assert i.bootstrap_mean(np.ones(3), weights=np.zeros(3), seed=0) == NAN


def test_a_draw_in_a_hundred_may_be_undefined() -> None:
    drawn = np.append(np.linspace(0, 1, 101), np.nan)
    assert i.percentiles(drawn, level=0.9) == pytest.approx((0.05, 0.95))
    assert i.percentiles(np.append(drawn, np.full(9, np.nan))) == NAN


def test_arrays_of_other_lengths_are_refused() -> None:
    with pytest.raises(Misuse, match="same length"):
        i.bootstrap(auc, np.zeros(3), np.zeros(2), seed=0)


# AUC


def by_pairs(truth: Array, a: Array, b: Array) -> tuple[float, float]:
    """DeLong's difference and its variance from the full matrix of pairs."""
    wins = []
    for score in (a, b):
        one, other = score[truth == 1][:, None], score[truth == 0][None, :]
        wins.append((one > other) + 0.5 * (one == other))
    won = wins[0] - wins[1]
    rows, columns = won.shape
    return float(won.mean()), float(won.mean(1).var(ddof=1) / rows + won.mean(0).var(ddof=1) / columns)


@pytest.mark.parametrize("seed", range(5))
def test_delong_equals_the_matrix_of_pairs(seed: int) -> None:
    truth, a = classed(seed, 15, 25)
    b = classed(seed + 100, 15, 25)[1]
    t = stats.t.ppf(0.975, 14)
    gap, variance = by_pairs(truth, a, b)
    assert i.auc_difference(truth, a, b) == pytest.approx(
        (gap, gap - t * variance**0.5, gap + t * variance**0.5), abs=1e-12)
    area, variance = by_pairs(truth, a, np.zeros(40))
    area += 0.5
    half = t * variance**0.5 / (area * (1 - area))
    logit = np.log(area / (1 - area))
    expected = 1 / (1 + np.exp(-np.array([logit - half, logit + half])))
    assert i.auc_interval(truth, a) == pytest.approx(tuple(expected), abs=1e-12)


def test_the_low_end_of_an_auc_is_rarely_above_the_truth() -> None:
    true = stats.norm.cdf(2.5 / np.sqrt(2))
    rng = np.random.default_rng(0)
    truth = np.repeat([1, 0], [10, 90])
    ends = np.array([i.auc_interval(truth, rng.normal(size=100) + 2.5 * truth) for _ in range(600)])
    assert (ends[:, 0] > true).mean() <= 0.045
    assert ((ends[:, 0] <= true) & (true <= ends[:, 1])).mean() >= 0.93


def test_a_perfect_score_is_not_held_to_be_certain() -> None:
    truth, score = np.array([0, 0, 0, 1, 1]), np.arange(5.0)
    assert i.auc_interval(truth, score) == pytest.approx((0.025**0.5, 1))
    assert i.auc_interval(truth, -score) == pytest.approx((0, 1 - 0.025**0.5))


def test_rows_copied_within_a_group_do_not_narrow_an_auc() -> None:
    truth, score = classed(4, 30, 30)
    group = np.arange(60)
    once = i.auc_interval(truth, score, groups=group)
    tenfold = i.auc_interval(np.repeat(truth, 10), np.repeat(score, 10), groups=np.repeat(group, 10))
    assert tenfold == pytest.approx(once)
    assert once == pytest.approx(i.auc_interval(truth, score), abs=0.005)
    other = classed(5, 30, 30)[1]
    paired = i.auc_difference(truth, score, other, groups=group)
    assert paired == pytest.approx(i.auc_difference(truth, score, other), abs=0.01)


@given(st.integers(0, 1000))
def test_swapping_the_models_turns_the_difference(seed: int) -> None:
    truth, a = classed(seed, 6, 9)
    b = classed(seed + 1, 6, 9)[1]
    gap, low, high = i.auc_difference(truth, a, b)
    assert low <= gap <= high
    assert gap == pytest.approx(auc(truth, a) - auc(truth, b))
    assert i.auc_difference(truth, b, a) == pytest.approx((-gap, -high, -low))
    assert i.auc_difference(truth, a, 2 * a + 1) == (0, 0, 0)


@pytest.mark.filterwarnings("error")
def test_an_auc_without_both_classes_has_no_interval() -> None:
    assert i.auc_interval(np.zeros(0), np.zeros(0)) == NAN
    assert i.auc_interval(np.ones(3), np.arange(3.0)) == NAN
    assert i.auc_interval(np.array([0, 1, 0]), np.array([0.1, 0.2, 0.3])) == NAN
    assert i.auc_interval(np.array([0, 1]), np.array([0.1, np.nan])) == NAN
    assert np.isnan(i.auc_difference(np.zeros(0), np.zeros(0), np.zeros(0))).all()


# pairs and many tests


def test_a_paired_difference_equals_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 30))
    expected = stats.ttest_rel(a, b).confidence_interval()
    assert i.paired_mean_difference(a, b) == pytest.approx(((a - b).mean(), expected.low, expected.high))
    alone = i.paired_mean_difference(a, b, groups=np.arange(30))
    assert alone == pytest.approx(i.paired_mean_difference(a, b))


def test_a_paired_difference_by_hand() -> None:
    gap, low, high = i.paired_mean_difference(np.array([3.0, 5.0]), np.array([1.0, 1.0]))
    assert gap == 3
    assert high - gap == pytest.approx(stats.t.ppf(0.975, 1))
    assert low == pytest.approx(6 - high)


def test_rows_copied_within_a_group_do_not_narrow_a_difference() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 30))
    copied = i.paired_mean_difference(np.repeat(a, 9), np.repeat(b, 9), groups=np.repeat(np.arange(30), 9))
    assert copied == pytest.approx(i.paired_mean_difference(a, b))


@pytest.mark.filterwarnings("error")
def test_a_paired_difference_of_few_rows_is_nan() -> None:
    assert np.isnan(i.paired_mean_difference(np.zeros(0), np.zeros(0))).all()
    gap, low, high = i.paired_mean_difference(np.ones(1), np.zeros(1))
    assert gap == 1
    assert np.isnan([low, high]).all()


def test_benjamini_hochberg_by_hand() -> None:
    p = np.array([0.04, 0.001, 0.6, 0.012, 0.03])
    assert i.benjamini_hochberg(p).tolist() == [True, True, False, True, True]
    assert i.benjamini_hochberg(p, q=0.03).tolist() == [False, True, False, True, False]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.01, 0.5))
def test_benjamini_hochberg_equals_scipy(p: list[float], q: float) -> None:
    adjusted = stats.false_discovery_control(p)
    clear = np.abs(adjusted - q) > 1e-9
    assert (i.benjamini_hochberg(np.array(p), q=q) == (adjusted <= q))[clear].all()


@pytest.mark.filterwarnings("error")
def test_benjamini_hochberg_of_nothing_and_of_nan() -> None:
    assert i.benjamini_hochberg(np.zeros(0)).tolist() == []
    assert i.benjamini_hochberg(np.array([np.nan, 0.03])).tolist() == [False, False]
    assert i.benjamini_hochberg(np.array([np.nan, 0.02])).tolist() == [False, True]


# tails


@given(st.integers(0, 60), st.floats(0, 1))
def test_the_binomial_tail_equals_scipy(k: int, p: float) -> None:
    assert i.binomial_tail(k, 50, p) == pytest.approx(stats.binom.sf(k - 1, 50, p), abs=1e-12)


def test_the_noncentral_tail_without_shift_is_the_central_one() -> None:
    assert i.noncentral_chi2_tail(50, 31, 0) == pytest.approx(stats.chi2.sf(50, 31))
    assert np.isnan(i.noncentral_chi2_tail(50, 0, 1))


@given(st.integers(1, 200), st.data())
def test_the_beta_binomial_tail_equals_scipy(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(-1, n + 1))
    alpha, beta = data.draw(st.floats(1, 500)), data.draw(st.floats(1, 500))
    expected = stats.betabinom.sf(k - 1, n, alpha, beta)
    assert i.beta_binomial_tail(k, n, alpha, beta) == pytest.approx(expected, rel=1e-8, abs=1e-11)


def test_a_far_beta_binomial_tail_is_small_not_zero() -> None:
    assert 0 < i.beta_binomial_tail(40_000, 100_000, 3, 998) < 1e-100
