"""Ties between columns: kept by batches whose columns merely move, lost by a column that is out of step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from shipworthy.core.table import Table
from shipworthy.data.analysis.contract import contract, validate
from shipworthy.data.analysis.pairs import fitted, infer_pairs


def shop(seed: int, rows: int = 4_000) -> Table:
    """A price that follows weight, a city that settles the country, and a colour that goes with nothing."""
    random = np.random.default_rng(seed)
    weight, city = random.gamma(2.0, 3.0, rows), random.integers(0, 5, rows)
    return Table.of({
        "weight": weight, "price": 4 * weight + random.normal(0, 1, rows), "city": np.array(list("abcde"))[city],
        "country": np.array(["x", "y", "y", "z", "z"])[city], "colour": random.choice(["red", "blue"], rows),
    })


def pairs_of(table: Table) -> set[tuple[str, str]]:
    return {(rule.column, rule.values[0]) for rule in infer_pairs(table, [])}


def test_each_column_is_tied_to_what_tells_most_of_it_and_noise_to_nothing() -> None:
    assert pairs_of(shop(0)) == {("weight", "price"), ("city", "country")}


@pytest.mark.parametrize("strike", [
    lambda t: t.with_column("price", np.roll(t.numbers("price"), 1)),
    lambda t: t.with_column("price", -t.numbers("price") + 80),
    lambda t: t.with_column("country", ["xyz"["xyz".index(w) - 1] for w in t.words("country")]),
    lambda t: t.with_column("city", list(np.roll(t.words("city"), 1))),
])
def test_a_column_out_of_step_loses_its_tie(strike: Callable[[Table], Table]) -> None:
    rules = contract(shop(0), in_time=False)
    told = validate(rules, strike(shop(1, 800)))
    assert any("no longer goes with" in breach.sentence for breach in told)


def test_ties_are_kept_by_a_batch_whose_mix_has_moved() -> None:
    rules = contract(shop(0), in_time=False)
    batch = shop(1)
    heavy = batch.take(np.flatnonzero((batch.numbers("weight") > 6) & np.isin(batch.words("city"), list("ab"))))
    told = validate(rules, heavy)
    assert told
    assert not any(breach.rule.kind == "pair" for breach in told)


def test_clean_batches_keep_every_tie() -> None:
    rules = contract(shop(0), in_time=False)
    assert not [breach for seed in range(1, 60) for breach in validate(rules, shop(seed, 300))]


def test_fitted_counts_have_the_batch_margins_and_the_old_odds() -> None:
    share = np.array([[0.4, 0.1], [0.2, 0.3]])
    counts = np.array([[10.0, 30.0], [50.0, 10.0]])
    found = fitted(share, counts)
    assert found.sum(axis=0) == pytest.approx(counts.sum(axis=0))
    assert found.sum(axis=1) == pytest.approx(counts.sum(axis=1))
    assert found[0, 0] * found[1, 1] / (found[0, 1] * found[1, 0]) == pytest.approx(6.0, rel=1e-4)


def test_in_a_random_split_the_order_of_the_file_promises_nothing() -> None:
    """Rows sorted by city: stretches differ wildly, random batches do not."""
    table = shop(0)
    ordered = table.take(np.argsort(table.words("city"), kind="stable"))
    fewer = shop(3, 900)
    lost = fewer.take(np.flatnonzero(fewer.words("city") != "c"))
    assert any("city" in breach.sentence for breach in validate(contract(ordered, in_time=False), lost))
    assert not any("city" in breach.sentence for breach in validate(contract(ordered, in_time=True), lost))
