from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.grid import Cells, count, plan
from shipworthy.core.table import Table
from shipworthy.deployment.monitoring.columns import changed, judge_stream, judge_windows
from shipworthy.deployment.monitoring.distance import apart, distance, places
from shipworthy.metrics import drift

from .test_columns import drift_of, judged, reference_of, table, traffic

WORDS = Cells("word", "category", values=("a", "b"))


def test_a_number_is_as_far_apart_as_its_mean_has_moved_in_its_own_unit() -> None:
    reference = reference_of(table(1, 20_000), table(2, 20_000))
    cells = msgspec.structs.replace(reference.plan.columns[0], unit="kg")
    now = count(table(3, 20_000, shift=0.5), reference.plan).columns["normal"]
    assert distance(cells, reference.grid.columns["normal"], now) == pytest.approx(0.5, abs=0.05)
    told = apart(cells, reference.grid.columns["normal"], now)
    assert told.startswith("moved by ")
    assert told.endswith(" kg")


def test_a_category_is_as_far_apart_as_the_share_that_must_change() -> None:
    before, now = np.array([50, 50, 0, 0, 0]), np.array([40, 40, 0, 20, 100])
    assert distance(WORDS, before, now) == pytest.approx(0.2)
    assert apart(WORDS, before, now) == "20% of values changed, missing 0%, now 50%, 10% never seen"


def test_a_column_that_is_all_missing_has_no_distance() -> None:
    assert np.isnan(distance(WORDS, np.array([5, 5, 0, 0, 0]), np.array([0, 0, 0, 0, 9])))
    assert apart(WORDS, np.array([0, 0, 0, 0, 9]), np.array([0, 0, 0, 0, 9])) == "all missing"


def test_a_number_far_outside_what_was_ever_seen_is_at_least_one_range_away() -> None:
    reference = reference_of(table(1, 1_000), table(2, 1_000))
    cells = reference.plan.columns[0]
    now = count(Table.of({**{name: table(3, 500).column(name) for name in reference.plan.names},
                          "normal": np.full(500, 1e6)}), reference.plan).columns["normal"]
    assert distance(cells, reference.grid.columns["normal"], now) > cells.edges[-2] - cells.edges[1]


def test_an_infinity_in_the_reference_is_a_cell() -> None:
    odd = table(2, 1_000)
    values = odd.numbers("normal").copy()
    values[0] = np.inf
    reference = reference_of(table(1, 1_000), odd.with_column("normal", values))
    assert reference.grid.columns["normal"].sum() == 1_000
    assert (judged(reference, table(3, 1_000)) > 0.05).all()


def test_a_word_that_training_never_had_is_counted_and_not_raised() -> None:
    now = table(3, 500)
    words = now.words("word")
    words[:150] = "never seen"
    found = drift_of(reference_of(table(1, 1_000), table(2, 1_000)),
                     traffic(now.with_column("word", pa.array(words, pa.string()))))
    assert found.verdict == "fail"
    assert found.counterexample["columns"] == ["word"]
    assert "30% never seen" in found.sentence


def test_a_rare_word_that_doubles_is_found_where_the_column_has_a_smaller_effect() -> None:
    """Fraud from 0.2 to 0.4 % of rows: w is 0.037."""
    def frauds(seed: int, share: float) -> Table:
        hit = np.random.default_rng(seed).random(100_000) < share
        return Table.of({"fraud": pa.array(np.where(hit, "yes", "no"))})

    reference = reference_of(frauds(1, 0.002), frauds(2, 0.002))
    counts = dict(count(frauds(3, 0.004), reference.plan).columns)
    assert judge_windows(reference, counts).p[0, 0] > 0.05
    assert judge_windows(reference, counts, own={"fraud": 0.02}).p[0, 0] < 1e-3
    assert judge_windows(reference, dict(count(frauds(4, 0.002), reference.plan).columns), own={"fraud": 0.02}).p > 0.05


@pytest.mark.parametrize("change", [lambda x: x + 0.2, lambda x: 100 * x, lambda x: -x + 0.3, lambda x: np.round(x),
                                    lambda x: np.where(x > 1, np.nan, x), lambda x: np.zeros_like(x)])
def test_a_number_never_changes_without_an_effect(change: object) -> None:
    assert callable(change)
    now = table(3, 5_000)
    reference = reference_of(table(1, 5_000), table(2, 5_000))
    counts = count(now.with_column("normal", change(now.numbers("normal"))), reference.plan).columns
    tests = judge_windows(reference, dict(counts))
    assert tests.effect[0, 0] > 0.1 or tests.broken[0, 0] < 1e-6
    assert 0 in changed(tests)


def test_sixty_quiet_columns_are_one_finding_and_rarely_a_wrong_one() -> None:
    def wide(seed: int, n: int) -> Table:
        random = np.random.default_rng(seed)
        return Table.of({f"x{k}": random.normal(size=n) for k in range(60)})

    edges, cries = wide(1, 2_000), 0
    for seed in range(20):
        reference = reference_of(edges, wide(100 + seed, 2_000))
        counts = dict(count(wide(500 + seed, 500), reference.plan).columns)
        cries += len(changed(judge_windows(reference, counts))) > 0
    assert cries <= 2


def test_a_report_of_a_hundred_times_the_rows_is_as_long() -> None:
    reference = reference_of(table(1, 1_000), table(2, 1_000))
    short, long = (len(msgspec.json.encode(drift_of(reference, traffic(table(3, rows))))) for rows in (500, 50_000))
    assert long < 1.1 * short


def test_the_level_holds_for_any_change_at_all_and_where_a_tenth_is_tolerated() -> None:
    edges = table(1, 5_000)
    for n, m in ((5_000, 100), (1_000, 5_000)):
        for effect in (0.0, 0.1):
            p = [judged(reference_of(edges, table(100 + k, n)), table(500 + k, m), effect=effect) for k in range(40)]
            assert np.nanmean(np.array(p) < 0.05) <= (0.1 if effect == 0 else 0.05)


def test_a_usual_effect_is_tolerated_beside_the_other() -> None:
    reference = reference_of(table(1, 5_000), table(2, 5_000))
    counts = dict(count(table(3, 5_000, shift=0.3), reference.plan).columns)
    alone, usual = (judge_stream(reference, counts, usual=known).p[0, 0] for known in (None, np.full((1, 4), 0.3)))
    assert alone < 1e-6
    assert usual > 0.5


def test_the_places_of_cells_rise() -> None:
    for column in plan(table(1, 1_000), table(1, 1_000).schema).columns[:3]:
        line, at = places(column)
        assert len(line) == len(at) == column.size - 4
        assert (np.diff(at) >= 0).all()
        assert drift.wasserstein(np.ones(len(at)), np.ones(len(at)), at) == 0
