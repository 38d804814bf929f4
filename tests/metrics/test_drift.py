"""Changed counts: by hand, against SciPy, by the share of false alarms, at the edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special, stats

from shipworthy.errors import Misuse
from shipworthy.metrics import drift as d
from shipworthy.metrics.arrays import Array

COUNTS = hnp.arrays(np.int64, (2, 6), elements=st.integers(0, 200))


# Pearson


def test_two_cells_by_hand() -> None:
    found = d.pearson_two_sample(np.array([50, 50]), np.array([70, 30]))
    assert found.x2 == pytest.approx(400 / 120 + 400 / 80)
    assert (found.df, found.rows) == (1, 50)
    assert found.effect == pytest.approx((400 / 120 + 400 / 80 - 1) / 50)


@given(COUNTS)
def test_equal_to_the_contingency_table_of_scipy(table: Array) -> None:
    a, b = table
    if a.sum() and b.sum():
        found = d.pearson_two_sample(a, b)
        expected = stats.chi2_contingency(table[:, table.sum(axis=0) > 0], correction=False)
        assert found.x2 == pytest.approx(expected.statistic, abs=1e-9)
        assert found.df == expected.dof
        assert found.effect >= 0
        if found.df:
            assert d.relevance_p(found, effect=0) == pytest.approx(expected.pvalue, abs=1e-12)


@given(COUNTS, st.floats(0.01, 0.5))
def test_a_tolerated_change_makes_alarm_rarer(table: Array, effect: float) -> None:
    found = d.pearson_two_sample(*table)
    if found.df and found.rows:
        assert 0 <= d.relevance_p(found, effect=0) <= d.relevance_p(found, effect=effect) + 1e-12 <= 1 + 1e-9


def test_a_shift_of_a_tenth_is_an_effect_of_about_a_hundredth() -> None:
    edges = stats.norm.ppf(np.arange(1, 32) / 32)
    p, q = (np.diff(stats.norm.cdf(edges, shift), prepend=0, append=1) for shift in (0, 0.1))
    a, b = 1e7 * p, 1e7 * q
    assert d.pearson_two_sample(a, b).effect == pytest.approx(0.0099, abs=2e-4)
    assert d.psi(a, b) == pytest.approx(0.0099, abs=2e-4)


def test_relevance_of_one_row_more_in_a_million_is_none_and_of_a_large_shift_certain() -> None:
    same = d.pearson_two_sample(np.full(32, 30_000), np.append(np.full(31, 30_000), 30_001))
    moved = d.pearson_two_sample(np.full(32, 30_000), np.append(np.full(31, 30_000), 330_000))
    assert d.relevance_p(same) == pytest.approx(1)
    assert d.relevance_p(moved) == 0


@pytest.mark.filterwarnings("error")
def test_an_empty_side_has_no_effect_and_no_p() -> None:
    found = d.pearson_two_sample(np.array([5, 5]), np.zeros(2))
    assert (found.x2, found.rows) == (0, 0)
    assert np.isnan(found.effect)
    assert np.isnan(d.relevance_p(found))
    assert np.isnan(d.relevance_p(d.pearson_two_sample(np.zeros(0), np.zeros(0))))
    assert np.isnan(d.relevance_p(d.pearson_two_sample(np.array([9]), np.array([9]))))


def test_impossible_settings_and_counts_are_refused() -> None:
    with pytest.raises(Misuse, match="a count is below 0"):
        d.pearson_two_sample(np.array([1, -1]), np.array([1, 1]))
    with pytest.raises(Misuse, match="effect = -0.1 is below 0"):
        d.relevance_p(d.pearson_two_sample(np.array([5, 5]), np.array([5, 5])), effect=-0.1)


# pooling


def test_neighbours_pool_until_five_are_expected_and_the_rest_joins_the_last() -> None:
    share = np.array([0.02, 0.03, 0.5, 0.4, 0.05])
    assert d.pool_cells(share, 100).tolist() == [0, 0, 1, 2, 3]
    assert d.pool_cells(share[::-1], 100).tolist() == [0, 1, 2, 3, 3]
    assert d.pool_cells(share, 50).tolist() == [0, 0, 0, 1, 1]


def test_a_special_cell_stands_alone_or_is_rare() -> None:
    share = np.array([0.01, 0.45, 0.45, 0.09, 0.0])
    special_cells = np.array([True, False, False, True, True])
    assert d.pool_cells(share, 100, special=special_cells).tolist() == [d.RARE, 0, 1, 2, d.RARE]


def test_a_body_that_expects_too_little_is_rare_as_well() -> None:
    share = np.array([0.01, 0.01, 0.98])
    assert d.pool_cells(share, 100, special=np.array([False, False, True])).tolist() == [d.RARE, d.RARE, 0]
    assert d.pool_cells(np.zeros(3), 100).tolist() == [d.RARE] * 3
    assert d.pool_cells(np.zeros(0), 100).tolist() == []


@given(hnp.arrays(np.int64, st.integers(1, 20), elements=st.integers(0, 50)), st.integers(0, 1000))
def test_every_pooled_cell_expects_five_and_pools_are_neighbours(share: Array, rows: int) -> None:
    pooled = d.pool_cells(share, rows)
    if (pooled == d.RARE).any():
        assert (pooled == d.RARE).all()
        assert not share.sum() or rows < 5 + 1e-9
    else:
        expected = np.bincount(pooled, weights=share * (rows / share.sum()))
        assert (expected >= 5 - 1e-9).all()
        assert set(np.diff(pooled)) <= {0, 1}


def test_marks_for_other_cells_are_refused() -> None:
    with pytest.raises(Misuse, match="special must mark every cell"):
        d.pool_cells(np.ones(3), 10, special=np.ones(2))
    with pytest.raises(Misuse, match="pooled must place every cell"):
        d.column_drift(np.ones(3), np.ones(3), np.zeros(2))


# one column


def test_the_rare_cell_by_hand() -> None:
    assert d.rare_p(0, 3, 1, 1, unseen=0) == pytest.approx(1 / 4)  # the new row is the one rare of four
    assert d.rare_p(0, 3, 2, 2, unseen=0) == pytest.approx(1 / 10)  # both new rows are the two rare of five
    assert d.rare_p(0, 999, 0, 100) == 1
    assert d.rare_p(3, 1000, 7, 100) == pytest.approx(stats.betabinom.sf(6, 100, 5, 996))
    assert d.rare_p(5, 5, 5, 5) == 1
    assert d.rare_p(0, 0, 5, 5) == 1


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_without_tolerance_the_rare_cell_is_fishers_exact_test(a: int, rest: int, b: int, other: int) -> None:
    exact = stats.fisher_exact([[b, other], [a, rest]], alternative="greater").pvalue
    expected = exact if rest else 1.0  # a reference of rare rows only cannot be exceeded
    assert d.rare_p(a, a + rest, b, b + other, unseen=0) == pytest.approx(expected, rel=1e-9)


def test_a_flood_into_a_cell_never_seen_is_found_by_the_rare_cell() -> None:
    pooled = d.pool_cells(np.array([1, 1, 0]), 1000, special=np.array([False, False, True]))
    found = d.column_drift(np.array([500, 500, 0]), np.array([200, 200, 600]), pooled)
    assert found.p < 1e-100
    assert found.p_cells > 0.99
    assert found.p == 2 * found.p_rare


def test_one_unseen_row_in_a_large_reference_is_no_alarm() -> None:
    found = d.column_drift(np.array([500_000, 500_000, 0]), np.array([50, 49, 1]), np.array([0, 1, d.RARE]))
    assert found.p > 0.1


def test_a_pooled_cell_that_the_reference_never_filled_counts_as_rare() -> None:
    found = d.column_drift(np.array([500, 500, 0]), np.array([45, 45, 10]), np.array([0, 1, 2]))
    assert found.cells.df == 1
    assert found.p_rare == pytest.approx(d.rare_p(0, 1000, 10, 100))


def test_few_rows_or_one_cell_are_unknown_but_the_rare_cell_still_speaks() -> None:
    pooled = np.array([0, 1, d.RARE])
    assert np.isnan(d.column_drift(np.array([50, 50, 0]), np.array([15, 14, 0]), pooled).p)
    assert not np.isnan(d.column_drift(np.array([50, 50, 0]), np.array([15, 15, 0]), pooled).p)
    constant = d.column_drift(np.array([100, 0]), np.array([40, 60]), np.array([0, d.RARE]))
    assert np.isnan(constant.p)
    assert constant.p_rare < 1e-20
    assert np.isnan(d.column_drift(np.zeros(0), np.zeros(0), np.zeros(0, dtype=int)).p)


def unchanged(n: int, m: int, *, effect: float, draws: int = 600) -> list[d.ColumnDrift]:
    """Columns of 32 body and two scarce special cells, drawn twice from the same distribution."""
    rng = np.random.default_rng(0)
    share = np.append(rng.dirichlet(np.ones(32)), [0.002, 0.0005])
    share /= share.sum()
    found = []
    for _ in range(draws):
        pooled = d.pool_cells(rng.multinomial(20_000, share), min(n, m), special=np.arange(34) >= 32)
        a, b = rng.multinomial(n, share), rng.multinomial(m, share)
        found.append(d.column_drift(a, b, pooled, effect=effect))
    return found


def over(level: float, draws: int = 600) -> float:
    """The share of alarms that a test of this level exceeds once in a thousand."""
    return float(stats.binom.ppf(0.999, draws, level)) / draws


@pytest.mark.parametrize("effect", [0.0, 0.1])
@pytest.mark.parametrize(("n", "m"), [(50_000, 60), (2_000, 2_000)])
def test_an_unchanged_column_keeps_its_level_when_the_reference_is_not_the_smaller_side(
    n: int, m: int, effect: float
) -> None:
    assert np.mean([found.p <= 0.05 for found in unchanged(n, m, effect=effect)]) <= over(0.05)


@pytest.mark.parametrize("effect", [0.0, 0.1])
def test_the_cells_keep_their_level_when_the_reference_is_small(effect: float) -> None:
    assert np.mean([found.p_cells <= 0.05 for found in unchanged(1_000, 50_000, effect=effect)]) <= over(0.05)


@pytest.mark.parametrize(("n", "m"), [(50_000, 60), (2_000, 2_000), (1_000, 50_000), (200, 100_000), (100, 1_000)])
def test_the_rare_cell_keeps_its_level_at_every_ratio_of_reference_to_traffic(n: int, m: int) -> None:
    rng = np.random.default_rng(0)
    for share in (0.0005, 0.0025, 0.01, 0.05):
        for true in (share, share + 0.001):  # no change, and the whole change that is tolerated
            pairs = zip(rng.binomial(n, share, 400), rng.binomial(m, true, 400), strict=True)
            alarms = np.mean([d.rare_p(int(a), n, int(b), m) <= 0.025 for a, b in pairs])
            assert alarms <= over(0.025, 400), (share, true)


def test_the_rare_cell_still_finds_a_doubled_share() -> None:
    rng = np.random.default_rng(0)
    pairs = zip(rng.binomial(1_000, 0.02, 200), rng.binomial(50_000, 0.04, 200), strict=True)
    assert np.mean([d.rare_p(int(a), 1_000, int(b), 50_000) <= 0.025 for a, b in pairs]) > 0.85


@pytest.mark.parametrize("effect", [0.0, 0.1])
def test_an_unchanged_column_keeps_its_level_when_the_reference_is_small(effect: float) -> None:
    assert np.mean([found.p <= 0.05 for found in unchanged(1_000, 50_000, effect=effect)]) <= over(0.05)


# e-values


def test_p_to_e_by_hand_and_at_its_floor() -> None:
    assert d.p_to_e(1) == pytest.approx(0.5)
    assert d.p_to_e(1e-4) == pytest.approx(50)
    assert d.p_to_e(0) == d.p_to_e(1e-320) == pytest.approx(5e149)
    assert d.p_to_log_e(0) == pytest.approx(np.log(0.5) + 150 * np.log(10))
    assert np.isnan(d.p_to_e(float("nan")))


def test_the_mean_of_e_is_one_when_nothing_changed() -> None:
    middle = (np.arange(400_000) + 0.5) / 400_000
    assert np.mean(0.5 * middle**-0.5) == pytest.approx(1, abs=2e-3)
    assert [d.p_to_e(p) for p in middle[:3]] == pytest.approx(list(0.5 * middle[:3] ** -0.5))


# distances


def test_psi_by_hand() -> None:
    assert d.psi(np.array([49.5, 49.5]), np.array([74.5, 24.5])) == pytest.approx(
        0.25 * np.log(1.5) + 0.25 * np.log(2), rel=1e-3)


@given(COUNTS)
def test_psi_equals_both_relative_entropies_is_symmetric_and_finite(table: Array) -> None:
    a, b = table
    if a.sum() and b.sum():
        p, q = ((side + 0.5) / (side + 0.5).sum() for side in table)
        both = special.rel_entr(p, q).sum() + special.rel_entr(q, p).sum()
        assert d.psi(a, b) == pytest.approx(both, abs=1e-12)
        assert d.psi(a, b) == pytest.approx(d.psi(b, a))
        assert d.psi(a, a) == 0


def test_half_the_rows_moved_by_ten_is_a_distance_of_five() -> None:
    assert d.wasserstein(np.array([10, 0]), np.array([1, 1]), np.array([0.0, 10.0])) == 5


@given(COUNTS, hnp.arrays(np.float64, 6, elements=st.integers(-50, 50).map(float)))
def test_wasserstein_equals_scipy(table: Array, place: Array) -> None:
    a, b = table
    at = np.sort(place)
    if a.sum() and b.sum():
        assert d.wasserstein(a, b, at) == pytest.approx(stats.wasserstein_distance(at, at, a, b), abs=1e-9)


@pytest.mark.filterwarnings("error")
def test_distances_of_nothing_are_nan() -> None:
    assert np.isnan(d.psi(np.zeros(2), np.ones(2)))
    assert np.isnan(d.psi(np.zeros(0), np.zeros(0)))
    assert np.isnan(d.wasserstein(np.ones(2), np.zeros(2), np.arange(2.0)))
    assert np.isnan(d.wasserstein(np.zeros(0), np.zeros(0), np.zeros(0)))


def test_places_that_fall_are_refused() -> None:
    with pytest.raises(Misuse, match="the places of the cells must rise"):
        d.wasserstein(np.ones(2), np.ones(2), np.array([1.0, 0.0]))
