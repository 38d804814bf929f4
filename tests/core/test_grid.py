from __future__ import annotations

from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.core.grid import (
    FIXED,
    NAN,
    NULL,
    PLUS_INF,
    RARE,
    UNSEEN,
    Facts,
    Grid,
    Plan,
    Reference,
    add,
    count,
    plan,
    read_grid,
    score_cells,
)
from shipworthy.core.table import Table
from shipworthy.errors import BadRelease, Misuse


def rows(**columns: object) -> Table:
    return Table.of({name: pa.array(values) if not isinstance(values, pa.Array) else values
                     for name, values in columns.items()})


def planned(table: Table, **options: int) -> Plan:
    return plan(table, table.schema, **options)


def test_every_number_falls_into_exactly_one_cell() -> None:
    table = rows(x=[1.0, 2.0, 3.0, 4.0])
    found = planned(table)
    now = rows(x=pa.array([1.0, 4.0, 0.5, 5.0, -100.0, 100.0, np.inf, -np.inf, np.nan, None]))
    counts = count(now, found).columns["x"]
    assert counts.sum() == 10
    assert counts[[0, 1, -6, -5, -4, -3, -2, -1]].tolist() == [1, 1, 1, 1, 1, 1, 1, 1]
    assert counts[2] == 1
    assert counts[-7] == 1


def test_a_constant_column_has_one_body_cell() -> None:
    cells = planned(rows(x=[7.0] * 20)).columns[0]
    assert (~cells.special).sum() == 1
    assert count(rows(x=[7.0] * 5), planned(rows(x=[7.0] * 20))).columns["x"][2] == 5


def test_one_infinity_in_the_reference_is_a_cell() -> None:
    table = rows(x=[1.0, 2.0, np.inf, 3.0])
    found = planned(table)
    assert all(np.isfinite(found.columns[0].edges))
    assert count(table, found).columns["x"][PLUS_INF] == 1


def test_an_unseen_category_is_counted_not_raised() -> None:
    found = planned(rows(c=["a", "a", "b", "c"]), categories=2)
    counts = count(rows(c=pa.array(["a", "new", "c", None])), found).columns["c"]
    assert (counts[RARE], counts[UNSEEN], counts[NULL]) == (1, 1, 1)


def test_booleans_and_whole_numbers_as_text_keep_their_cells() -> None:
    found = planned(rows(flag=[True, False, True], x=[1.0, 2.0, 3.0]))
    counts = count(rows(flag=["true", "false", "maybe"], x=["1", "2.0", "three"]), found)
    assert counts.columns["flag"][UNSEEN] == 1
    assert counts.columns["x"][NAN] == 1


def test_a_vanished_column_counts_as_null() -> None:
    found = planned(rows(x=[1.0, 2.0]))
    assert count(rows(y=[1.0, 2.0, 3.0]), found).columns["x"][NULL] == 3


def test_scores_outside_zero_to_one_have_their_own_cell() -> None:
    found = Plan((), ("no", "yes"))
    cells = score_cells(found, np.array([0.0, 1.0, 0.5, 1.5, np.nan]), np.array([0, 1, 1, 0, 0]))
    assert cells.tolist() == [0, 511, 384, 512, 512]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=60), st.randoms())
def test_counts_merge_exactly_in_any_order(values: list[float], random: object) -> None:
    table = rows(x=values, c=[str(v)[:2] for v in values])
    found = planned(table)
    whole = count(table, found)
    places = list(range(len(values)))
    random.shuffle(places)  # type: ignore[attr-defined]
    pieces = [count(table.take(places[start : start + 7]), found) for start in range(0, len(places), 7)]
    merged = reduce(add, pieces)
    assert all((merged.columns[name] == whole.columns[name]).all() for name in found.names)
    assert merged.rows == whole.rows


def test_grids_of_different_plans_refuse_to_merge() -> None:
    left, right = rows(x=[1.0, 2.0]), rows(x=[1.0, 9.0])
    with pytest.raises(Misuse, match="different plans"):
        add(count(left, planned(left)), count(right, planned(right)))


def small_reference() -> Reference:
    table = rows(x=[1.0, 2.0, 3.0], c=["a", "b", "a"])
    found = planned(table)
    counts = count(table, found)
    outcomes = np.zeros((found.score_cells, 2), np.int64)
    return Reference(Facts(found, (0.5, 0.5), 3, 1, planned_rows=3), counts, counts, outcomes,
                     np.full(256, FIXED // 2), np.array([1, 2, 3]), np.zeros((3, 4), np.int64), np.zeros(3, np.int64))


def test_a_reference_survives_its_files_without_pickle() -> None:
    before = small_reference()
    after = read_grid(before.files())
    assert after.digest == before.digest
    assert after.facts == before.facts
    assert isinstance(after.grid, Grid)


def test_a_reference_that_does_not_fit_its_plan_is_refused() -> None:
    files = small_reference().files()
    with pytest.raises(BadRelease):
        read_grid({**files, "grid.npz": b"not an archive"})
    with pytest.raises(BadRelease):
        read_grid({**files, "grid.json": files["grid.json"].replace(b'"weights":[0.5,0.5]', b'"weights":[1.0]')})
