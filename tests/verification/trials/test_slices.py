from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import hypergeom

from shipworthy.core.table import Table
from shipworthy.verification.trials.slices import _hypergeometric, find, literals


def rows(seed: int = 0, n: int = 2_000) -> Table:
    random = np.random.default_rng(seed)
    return Table.of({"shop": random.choice(["north", "south", "east"], n).tolist(),
                     "size": random.normal(size=n).tolist()})


def test_a_weak_corner_of_two_columns_is_found() -> None:
    table = rows()
    random = np.random.default_rng(1)
    corner = (table.words("shop") == "north") & (table.numbers("size") > 0.7)
    loss = (random.random(table.rows) < np.where(corner, 0.8, 0.1)).astype(float)
    found = find(loss, literals(table, ("shop", "size"), table))
    assert dict(found.slices[0].told)["shop"] == "= north"
    assert found.slices[0].loss > 0.7


def test_noise_alone_has_no_weak_slice() -> None:
    quiet = 0
    for seed in range(20):
        table = rows(seed, 600)
        loss = (np.random.default_rng(seed + 100).random(600) < 0.2).astype(float)
        quiet += not find(loss, literals(table, ("shop", "size"), table)).slices
    assert quiet >= 18


def test_losses_that_are_not_counts_are_tested_too() -> None:
    table = rows()
    loss = np.random.default_rng(2).exponential(1.0, table.rows) * np.where(table.words("shop") == "east", 3.0, 1.0)
    assert dict(find(loss, literals(table, ("shop", "size"), table)).slices[0].told) == {"shop": "= east"}


def test_slices_under_the_support_are_not_tried() -> None:
    table = rows(0, 120)
    found = find(np.ones(120) * (np.arange(120) % 7 == 0), literals(table, ("shop", "size"), table), support=110)
    assert found.tested == 0


@pytest.mark.parametrize(("hits", "drawn", "bad", "n"), [(5, 10, 20, 100), (9, 10, 20, 100), (30, 50, 200, 1_000)])
def test_the_tail_agrees_with_scipy(hits: int, drawn: int, bad: int, n: int) -> None:
    assert _hypergeometric(hits, drawn, bad, n) == pytest.approx(hypergeom.sf(hits - 1, n, bad, drawn), rel=1e-9)
