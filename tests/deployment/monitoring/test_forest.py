from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import IsolationForest

from shipworthy.core.grid import Grid, Plan, cells_of, count, plan, read_grid
from shipworthy.core.program import read_program
from shipworthy.core.table import Table
from shipworthy.deployment.monitoring import forest as forests
from shipworthy.deployment.monitoring.forest import depth, grow, path_length, readings
from shipworthy.deployment.monitoring.reference import strangeness


def table(seed: int, n: int = 2_000) -> Table:
    random = np.random.default_rng(seed)
    a = random.normal(size=n)
    return Table.of({"a": a, "b": a + 0.1 * random.normal(size=n), "c": random.exponential(size=n),
                     "word": pa.array(random.choice(list("abcd"), n, p=[0.6, 0.3, 0.07, 0.03]))})


def made(rows: Table) -> tuple[Plan, Grid, Any]:
    found = plan(rows, rows.schema)
    counts = count(rows, found)
    return found, counts, grow(found, counts, cells_of(rows, found))


def scored(known: tuple[Plan, Grid, Any], rows: Table) -> np.ndarray:
    found, counts, forest = known
    return depth(forest, found, counts, cells_of(rows, found))


def test_the_score_orders_rows_as_scikit_learn_does() -> None:
    rows = table(0)
    found, counts, forest = made(rows)
    read = readings(found, counts, cells_of(rows, found))
    other = IsolationForest(n_estimators=forests.TREES, max_samples=forests.TREE_ROWS, random_state=0).fit(read)
    mean = -depth(forest, found, counts, cells_of(rows, found)) / forests.TREES / forests.ROUNDED
    usual = path_length(np.array([forests.TREE_ROWS]))[0]
    np.testing.assert_allclose(-(2.0 ** (-mean / usual)), other.score_samples(read), atol=1e-4)


def test_a_mean_path_by_hand() -> None:
    assert path_length(np.array([1, 2, 3])).tolist() == pytest.approx([0.0, 1.0, 2 * (np.log(2) + 0.5772157) - 4 / 3])


def test_a_row_that_is_plausible_in_every_column_is_strange_as_a_whole() -> None:
    names, random = "uvwxyz", np.random.default_rng(0)
    side = random.choice([-3.0, 3.0], 2_000)
    rows = Table.of({name: side + random.normal(size=2_000) for name in names})
    known = made(rows)
    wrong = Table.of({name: np.array([3.0 * (-1) ** k]) for k, name in enumerate(names)})
    by_columns = strangeness(known[0], known[1], cells_of(rows, known[0]))
    alone = strangeness(known[0], known[1], cells_of(wrong, known[0]))[0]
    assert (by_columns >= alone).mean() > 0.3
    assert (scored(known, rows) >= scored(known, wrong)[0]).mean() < 0.01


def test_far_missing_infinite_and_unseen_values_are_strange() -> None:
    rows = table(0)
    known = made(rows)
    usual = np.quantile(scored(known, rows), 0.98)
    odd = Table.of({"a": np.array([1e6, np.nan, np.inf, -np.inf, 0.0]), "b": np.array([1e6, np.nan, 0.0, 0.0, 0.0]),
                    "c": np.array([1.0, 1.0, 1.0, 1.0, 0.5]), "word": pa.array(["a", "a", "zz", "zz", "a"])})
    found = scored(known, odd)
    assert (found[:4] > usual).all()
    assert found[4] < usual


def test_a_column_at_the_edge_of_all_numbers_has_finite_readings() -> None:
    rows = Table.of({"wide": np.array([-1.7e308, 0.0, 1.7e308] * 50), "same": np.ones(150)})
    found, counts, forest = made(rows)
    assert np.isfinite(readings(found, counts, cells_of(rows, found))).all()
    assert len(depth(forest, found, counts, cells_of(rows, found))) == 150


def test_the_forest_comes_back_from_its_files_and_scores_alike() -> None:
    rows = table(1)
    found, counts, forest = made(rows)
    again = read_program(forest.files())
    cells = cells_of(rows, found)
    assert (depth(again, found, counts, cells) == depth(forest, found, counts, cells)).all()


def test_a_release_carries_the_forest_with_its_reference(case: Mapping[str, Any]) -> None:
    files = case["grid"].files()
    assert {"forest.json", "forest.npz"} < set(files)
    again = read_grid(files)
    assert again.digest == case["grid"].digest
    assert len(again.isolated) == len(again.strange)


def test_equal_rows_are_equally_strange_and_none_is_an_outlier(case: Mapping[str, Any]) -> None:
    rows = table(0).take(np.zeros(500, np.int64))
    known = made(rows)
    assert len(set(scored(known, rows).tolist())) == 1
