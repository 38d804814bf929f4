"""What several batches promise together, on small batches and on real ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from shipworthy.core.table import Table
from shipworthy.data.analysis.contract import contract, validate
from shipworthy.data.analysis.history import from_batches, strangeness
from shipworthy.data.analysis.spoken import spoken
from shipworthy.errors import Misuse
from shipworthy.sabotage.world import world

POSTS = Path(os.environ.get("SHIPWORTHY_DATA", "../shared/data")) / "cleaning" / "fbposts_weekly"


def batch(seed: int, *, rows: int = 200, mean: float = 10.0, gone: float = 0.1, kinds: str = "abc") -> Table:
    random = np.random.default_rng(seed)
    amount = random.normal(mean + random.normal() * 0.2, 2.0, rows)
    kind = random.choice(list(kinds), rows).tolist()
    return Table.of({"amount": np.where(random.random(rows) < gone, np.nan, amount), "kind": kind,
                     "note": [f"note {n}" for n in random.integers(0, 10**6, rows)]})


HISTORY = [batch(seed) for seed in range(10)]


def broken(after: list[Table], asked: Table) -> list[str]:
    return [breach.sentence for breach in validate(from_batches(after), asked)]


def test_a_batch_like_those_before_breaks_nothing() -> None:
    assert [broken(HISTORY, batch(seed)) for seed in range(100, 140)].count([]) >= 39


def test_a_changed_mean_is_told_with_both_figures() -> None:
    [told] = broken(HISTORY, batch(50, mean=14.0))
    assert told == "the mean of amount is 14.08; before, 9.97"


def test_more_missing_values_are_told_as_shares() -> None:
    [told] = broken(HISTORY, batch(51, gone=0.4))
    assert told == "34.5% of amount are missing or blank; before, 10.0% were"


def test_one_new_value_of_a_column_that_never_had_new_ones_is_told() -> None:
    clean = batch(52)
    kinds = clean.words("kind").tolist()
    [told] = broken(HISTORY, clean.with_column("kind", ["z", *kinds[1:]]))
    assert told == "0.5% of kind are values that no batch before had; before, 0.0% were"


def test_new_values_are_usual_where_every_batch_brings_some() -> None:
    growing = [batch(seed).with_column("kind", [f"k{seed * 20 + n % 30}" for n in range(200)]) for seed in range(10)]
    assert broken(growing[:9], growing[9]) == []


def test_a_lost_column_is_as_strange_as_can_be_and_a_usual_batch_is_not() -> None:
    promised = from_batches(HISTORY)
    assert strangeness(promised, batch(53).drop("kind")) > 900
    assert strangeness(promised, batch(53)) < 15


def test_three_batches_are_too_few() -> None:
    with pytest.raises(Misuse, match="3 batches are too few"):
        from_batches(HISTORY[:3])


def test_every_rule_of_a_contract_is_said_in_words() -> None:
    said = [*spoken(contract(world(0), batch_rows=500)), *spoken(from_batches(HISTORY))]
    assert "it is as before" not in {sentence for _, _, sentence in said}
    assert ("kind", "figure", "hardly any value but the 3 known: a, b, c") in said


@pytest.mark.skipif(not POSTS.is_dir(), reason="the weekly posts are not here: set SHIPWORTHY_DATA")
def test_weeks_of_real_posts_with_errors_are_told_from_the_corrected_ones() -> None:
    weeks = [[Table.of(pq.read_table(POSTS / f"{kind}_{week:02}.parquet")) for kind in ("clean", "dirty")]
             for week in range(1, 21)]
    clean = [pair[0] for pair in weeks]
    said = [[bool(broken(clean[:week], one)) for one in weeks[week]] for week in range(12, 20)]
    assert sum(false for false, _ in said) == 0
    assert sum(found for _, found in said) >= 6
