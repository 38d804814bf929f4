from __future__ import annotations

from itertools import combinations
from math import comb, log

import numpy as np
import pytest

from shipworthy.errors import Misuse
from shipworthy.metrics.sequential import (
    ODDS,
    cdf_radius,
    distance_sequence,
    from_any_start,
    matched,
    mean_sequence,
    odds_log_e,
    rise_log_e,
    split_log_e,
)

ALPHA = 0.05
BAR = log(1 / ALPHA)
RUNS = 2_000
MOST = 122  # of 2,000 runs at 5 %: 100, and two and a quarter standard errors


def test_the_split_e_value_has_mean_one_without_a_fault() -> None:
    share = np.array([0.3, 0.7])
    chance = [comb(12, k) * 0.3**k * 0.7 ** (12 - k) for k in range(13)]
    e = [np.exp(split_log_e(np.array([k, 12 - k]), share)) for k in range(13)]
    assert np.dot(chance, e) == pytest.approx(1.0)


def test_a_peeked_split_is_rejected_in_at_most_alpha_of_null_runs() -> None:
    drawn = np.random.default_rng(0).random((RUNS, 4_000)) < 0.05
    seen = np.cumsum(drawn, axis=1)[:, 49::50]
    rows = np.arange(50, 4_001, 50)
    wrong = sum(any(split_log_e(np.array([k, n - k]), np.array([0.05, 0.95])) >= BAR
                    for k, n in zip(run, rows, strict=True)) for run in seen)
    assert 0 < wrong <= MOST


def test_a_split_of_seven_percent_for_five_is_found_within_4_000_rows() -> None:
    drawn = np.random.default_rng(1).binomial(4_000, 0.07, 200)
    found = [split_log_e(np.array([k, 4_000 - k]), np.array([0.05, 0.95])) >= BAR for k in drawn]
    assert np.mean(found) > 0.95


def test_one_row_where_none_may_be_is_proof() -> None:
    assert split_log_e(np.array([1, 99]), np.array([0.0, 1.0])) == np.inf
    assert split_log_e(np.array([0, 99]), np.array([0.0, 1.0])) == pytest.approx(0.0)


def test_the_odds_e_value_has_mean_one_over_every_assignment() -> None:
    outcome = np.array([1, 1, 0, 1, 0, 0, 0, 0])
    for limit in (1.0, 1.5):
        tilt = [limit ** outcome[list(arm)].sum() for arm in combinations(range(8), 3)]
        e = [np.exp(odds_log_e([x], [3], [outcome.sum() - x], [5], limit=limit)[0])
             for x in (outcome[list(arm)].sum() for arm in combinations(range(8), 3))]
        assert np.average(e, axis=0, weights=tilt) == pytest.approx(np.ones(len(ODDS)))


def odds_path(random: np.random.Generator, base: float, odds: float, share: float, buckets: int = 40) -> bool:
    rows = random.binomial(200, share, buckets)
    rate = np.clip(base * (1 + np.sin(np.arange(buckets) / 3)), 0.0, 1.0)  # a base rate that moves
    worse = rate * odds / (1 + rate * (odds - 1))
    log_e = odds_log_e(random.binomial(rows, worse), rows, random.binomial(200 - rows, rate), 200 - rows)
    return any(from_any_start(log_e[:k]) >= BAR for k in range(1, buckets + 1))


@pytest.mark.parametrize(("base", "share"), [(0.02, 0.05), (0.1, 0.5)])
def test_peeked_odds_are_rejected_in_at_most_alpha_of_null_runs(base: float, share: float) -> None:
    random = np.random.default_rng(2)
    assert sum(odds_path(random, base, 1.0, share) for _ in range(RUNS // 2)) <= MOST // 2


def test_twice_the_odds_are_found_within_8_000_rows() -> None:
    random = np.random.default_rng(3)
    assert np.mean([odds_path(random, 0.1, 2.0, 0.25) for _ in range(100)]) > 0.95


def test_harm_that_begins_late_is_found() -> None:
    random = np.random.default_rng(4)
    rows = np.full(100, 100)
    rate = np.where(np.arange(100) < 90, 0.05, 0.3)
    log_e = odds_log_e(random.binomial(rows, rate), rows, random.binomial(rows, 0.05), rows)
    assert from_any_start(log_e[:90]) < BAR < from_any_start(log_e)
    assert from_any_start(np.zeros((0, 7))) == 0.0
    assert from_any_start(np.zeros((5, 7))) == pytest.approx(0.0)


def test_the_mean_is_covered_at_every_look_of_nearly_all_runs() -> None:
    random = np.random.default_rng(5)
    missed = 0
    for _ in range(RUNS):
        _, low, high = mean_sequence(random.choice([-1.0, 0.0, 1.0], 2_000, p=[0.07, 0.86, 0.07]), alpha=ALPHA)
        missed += bool((low > 0).any() or (high < 0).any())
    assert missed <= MOST


def test_five_points_of_harm_are_told_from_two_within_6_000_pairs() -> None:
    random = np.random.default_rng(6)
    lows = [mean_sequence(random.choice([-1.0, 0.0, 1.0], 6_000, p=[0.05, 0.85, 0.1]))[1][-1] for _ in range(100)]
    assert np.mean(np.array(lows) > 0.02) > 0.9


def test_a_mean_sequence_grows_with_its_rows_and_never_leaves_its_range() -> None:
    assert all(len(part) == 0 for part in mean_sequence(np.zeros(0)))
    middle, low, high = mean_sequence(np.ones(50))
    assert (low <= middle).all()
    assert (high <= 1).all()
    assert low[-1] > 0.5
    with pytest.raises(Misuse):
        mean_sequence(np.array([0.0, 1.5]))
    with pytest.raises(Misuse):
        mean_sequence(np.array([np.nan]))


def test_matched_rows_are_used_once_and_keep_the_sign() -> None:
    assert matched(np.array([1.0, 0.0]), np.array([0.0, 1.0, 1.0, 1.0, 0.0])).tolist() == [0.5, -1.0]
    assert matched(np.array([1.0, 1.0, 1.0]), np.array([0.0])).tolist() == [1.0]
    assert matched(np.zeros(0), np.ones(3)).tolist() == []


def test_two_samples_of_one_distribution_are_told_apart_in_at_most_alpha_of_runs() -> None:
    random = np.random.default_rng(7)
    wrong = 0
    for _ in range(RUNS // 4):
        a, b = random.random(800), random.random(800)
        wrong += any(distance_sequence(a[:n], b[:n], alpha=ALPHA)[1] > 0 for n in range(20, 801, 20))
    assert wrong <= MOST // 4


def test_a_distance_is_covered_and_found() -> None:
    random = np.random.default_rng(8)
    gap, low, high = distance_sequence(random.random(20_000), random.random(20_000) ** 2)
    assert low < 0.25 < high  # the largest gap of x and √x
    assert gap == pytest.approx(0.25, abs=0.02)
    assert low > 0.1
    assert distance_sequence(np.zeros(0), np.ones(3))[1:] == (0.0, 1.0)


def test_the_radius_shrinks_and_is_one_where_nothing_is_known() -> None:
    found = [cdf_radius(n) for n in (0, 1, 100, 10_000, 1_000_000)]
    assert found == sorted(found, reverse=True)
    assert found[0] == 1.0
    assert cdf_radius(10_000) == pytest.approx(0.0276, abs=0.0005)


def test_a_peeked_rise_is_claimed_in_at_most_alpha_of_null_runs() -> None:
    random = np.random.default_rng(12)
    wrong = 0
    for _ in range(RUNS // 4):
        log_e = rise_log_e(random.choice([-1.0, 0.0, 1.0], 1_000, p=[0.1, 0.8, 0.1]))
        wrong += max(from_any_start(log_e[:k]) for k in range(1, 101, 3)) >= BAR
    assert wrong <= MOST / 4 + 5


def test_a_rise_of_five_points_is_found_within_2_000_pairs() -> None:
    random = np.random.default_rng(13)
    found = [from_any_start(rise_log_e(random.choice([-1.0, 0.0, 1.0], 2_000, p=[0.085, 0.78, 0.135]))) >= BAR
             for _ in range(100)]
    assert np.mean(found) > 0.9


def test_a_rise_that_is_borne_is_no_evidence_and_ten_values_make_a_bucket() -> None:
    assert rise_log_e(np.full(29, 0.05), limit=0.05).shape == (2, 6)
    assert (rise_log_e(np.full(500, 0.05), limit=0.1) < 0).all()
    assert len(rise_log_e(np.zeros(0))) == 0
    with pytest.raises(Misuse, match="not within"):
        rise_log_e(np.full(10, 1.5))
