"""Rows drawn from a table are judged as the same rows by themselves."""

from __future__ import annotations

import numpy as np

from shipworthy.core.drawn import Drawn, draw, rowwise
from shipworthy.core.table import Table
from shipworthy.data.analysis.contract import contract, validate
from shipworthy.sabotage.world import world

ROWS = Table.of({"a": [1.0, 2.0, 3.0, 4.0], "b": ["w", "x", "y", "z"]})


def test_what_is_computed_of_the_whole_is_looked_up_for_every_draw() -> None:
    kept: dict[object, np.ndarray] = {}
    calls = []

    def twice(rows: Table) -> np.ndarray:
        calls.append(rows.rows)
        return 2 * rows.numbers("a")

    for places in ([0, 3], [1, 2], [2]):
        found = draw(ROWS, np.array(places), kept)
        assert rowwise(found, "twice", twice).tolist() == [2.0 * (place + 1) for place in places]
    assert calls == [4]


def test_rows_taken_of_a_draw_keep_their_places_and_a_changed_column_forgets_them() -> None:
    found = draw(ROWS, np.array([1, 2, 3]), {})
    again = found.take([0, 2])
    assert isinstance(again, Drawn)
    assert again.places.tolist() == [1, 3]
    assert found.head(1).words("b").tolist() == ["x"]
    assert type(found.with_column("a", [0.0, 0.0, 0.0])) is Table


def test_a_contract_says_the_same_of_a_draw_and_of_its_rows() -> None:
    table = world(0)
    table = table.with_schema(table.schema.replace("outcome", role="target"))
    promised = contract(table.head(2_000))
    pool = table.take(np.arange(2_000, 3_000))
    pool = pool.with_column("num1", 1.8 * pool.numbers("num1") + 1).with_column("cat1", np.roll(pool.words("cat1"), 1))
    kept: dict[object, np.ndarray] = {}
    for seed in range(5):
        places = np.sort(np.random.default_rng(seed).permutation(pool.rows)[:700])
        plain = [one.sentence for one in validate(promised, pool.take(places))]
        assert plain
        assert [one.sentence for one in validate(promised, draw(pool, places, kept))] == plain
