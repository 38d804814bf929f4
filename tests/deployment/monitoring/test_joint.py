from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shipworthy.core.grid import FIXED, Facts, Reference, cells_of, count, plan
from shipworthy.core.table import Ints, Table
from shipworthy.deployment.monitoring.fourier import SCALE, WIDTH, before_of, fourier, joint_e
from shipworthy.deployment.monitoring.joint import density_ratio

NULLS = 40


def pairs(seed: int, n: int, turn: float = 1.0) -> Table:
    """Two columns that rise together, or against each other, and a word."""
    random = np.random.default_rng(seed)
    x = random.normal(size=n)
    return Table.of({"x": x, "y": turn * (0.8 * x + 0.6 * random.normal(size=n)), "z": random.normal(size=n),
                     "word": np.array(list("abc"))[random.integers(0, 3, n)]})


def cells(reference: Reference, table: Table) -> Ints:
    return np.stack(list(cells_of(table, reference.plan).values()), axis=1)


@pytest.fixture(scope="module")
def reference() -> Reference:
    edges, sample = pairs(1, 3_000), pairs(2, 3_000)
    found = plan(edges, edges.schema)
    made = Reference(Facts(found, (0.25,) * 4, 3_000, 0), count(edges, found), count(sample, found),
                     np.zeros((found.score_cells, 2), np.int64), np.full(256, FIXED // 2), np.zeros(0, np.int64),
                     np.zeros((0, 6), np.int64))
    return replace(made, sample=np.column_stack([cells(made, sample), np.zeros((3_000, 2), np.int64)]))


def test_a_correlation_that_turns_is_told_apart_and_its_two_columns_are_named(reference: Reference) -> None:
    found = density_ratio(reference, cells(reference, pairs(3, 2_000, -1.0)))
    assert found is not None
    assert found.log_e() > np.log(1e20)
    assert found.interval[0] > 0.75
    assert set(np.argsort(-found.by_column())[:2]) == {0, 1}


def test_without_change_the_e_value_has_mean_at_most_one(reference: Reference) -> None:
    """The sides are unequal and equal: a fair coin draws the side of every held-out row."""
    logs = []
    for seed in range(NULLS):
        found = density_ratio(reference, cells(reference, pairs(100 + seed, (300, 3_000)[seed % 2])), most=600)
        assert found is not None
        logs.append(found.log_e(seed=seed))
    assert np.mean(np.array(logs) >= np.log(20)) <= 0.05
    assert np.median(logs) < 0


def test_under_two_hundred_rows_nothing_is_told_apart(reference: Reference) -> None:
    assert density_ratio(reference, cells(reference, pairs(3, 199))) is None


def test_traffic_alike_has_weights_near_one_and_moved_traffic_overlaps_less(reference: Reference) -> None:
    alike, other = (density_ratio(reference, cells(reference, pairs(5, 2_000, turn))) for turn in (1.0, -1.0))
    assert alike is not None
    assert other is not None
    assert alike.overlap > 0.9
    assert other.overlap < alike.overlap
    assert alike.weights.mean() == pytest.approx(1.0)


def test_fourier_sums_of_parts_in_any_order_are_those_of_the_whole_bit_for_bit(reference: Reference) -> None:
    made, rows = fourier(reference), cells(reference, pairs(4, 5_000))
    whole = made.sums(rows, np.zeros(5_000, np.int64), 1)
    order = np.random.default_rng(0).permutation(5_000)
    parts = sum(fourier(reference).sums(rows[some], np.zeros(len(some), np.int64), 1)
                for some in np.array_split(order, 8))
    assert whole.shape == (1, WIDTH)
    assert np.array_equal(whole, parts)
    z = made.features(rows).astype(np.int64)
    assert np.array_equal(whole[0, 1:], z.sum(axis=0))
    assert np.abs(z).max() <= SCALE


def test_fourier_sums_go_to_their_groups_and_rows_without_one_nowhere(reference: Reference) -> None:
    made, rows = fourier(reference), cells(reference, pairs(4, 3_000))
    group = np.random.default_rng(0).integers(-1, 3, 3_000)
    apart = made.sums(rows, group, 3)
    assert apart[:, 0].tolist() == [int((group == k).sum()) for k in range(3)]
    assert np.array_equal(apart[1], made.sums(rows[group == 1], np.zeros((group == 1).sum(), np.int64), 1)[0])


def test_fourier_features_see_a_correlation_that_turns_and_no_small_shift(reference: Reference) -> None:
    made = fourier(reference)
    before = before_of(made.features(reference.sample[:, :-2]))

    def log_p(table: Table) -> float:
        sums = made.sums(cells(reference, table), np.zeros(table.rows, np.int64), 1)
        return float(before.log_p(sums, 0.1)[0])

    turned, alike = pairs(6, 2_000, -1.0), pairs(7, 2_000)
    assert log_p(turned) < np.log(1e-6)
    assert log_p(alike) == 0.0
    assert log_p(alike.with_column("z", alike.numbers("z") + 0.08)) == 0.0
    assert np.isnan(log_p(pairs(8, 150)))


def test_windows_without_change_are_no_evidence(reference: Reference) -> None:
    made = fourier(reference)
    before = before_of(made.features(reference.sample[:, :-2]))
    group = np.arange(40_000) // 2_000
    sums = made.sums(cells(reference, pairs(9, 40_000)), group, 20)
    assert (joint_e(before, sums, 0.1) == 0.5).all()


def test_features_are_the_same_integers_on_every_machine(reference: Reference) -> None:
    """They come from stable bits, additions and a table of waves; this is what they are."""
    made = fourier(reference)
    assert made.start[:4].tolist() == [1198, 678, 1775, 2445]
    assert made.phases[3][:2, :3].tolist() == [[3859, 4019, 3726], [4086, 280, 29]]
    assert made.features(np.array([[5, 6, 7, 1]]))[0, :4].tolist() == [-32318, -25955, 22812, -22991]
