from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import hypergeom

from shipworthy.core.learned import Parts
from shipworthy.core.table import Table
from shipworthy.verification.trials.edges import error, worst_slice
from shipworthy.verification.trials.slices import find, literals
from shipworthy.verification.trials.tails import hypergeometric_tails


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


def test_the_interval_of_a_small_loss_is_as_narrow_as_the_loss() -> None:
    table, random = rows(), np.random.default_rng(3)
    here = table.words("shop") == "east"
    loss = random.normal(np.where(here, 8e-4, 4e-4), 5e-5)
    one = find(loss, literals(table, ("shop",), table)).slices[0]
    assert one.told == (("shop", "= east"),)
    assert one.high - one.loss == pytest.approx(loss[here].std() / np.sqrt(here.sum()) * 2.39, rel=0.05)
    assert one.loss - one.low == pytest.approx(one.high - one.loss)


def test_the_interval_of_a_share_is_that_of_a_share() -> None:
    table = rows()
    likely = np.where(table.words("shop") == "east", 0.6, 0.1)
    loss = (np.random.default_rng(1).random(table.rows) < likely).astype(float)
    one = find(loss, literals(table, ("shop",), table), q=0.05).slices[0]
    share = np.sqrt(one.loss * (1 - one.loss) / one.rows)
    assert 1.9 * share < one.high - one.loss < 3 * share


def test_fewer_slices_survive_a_stricter_q() -> None:
    table = rows(4, 4_000)
    near = np.where(table.words("shop") == "east", 0.24, 0.2)
    loss = (np.random.default_rng(4).random(table.rows) < near).astype(float)
    told = literals(table, ("shop", "size"), table)
    counts = [len(find(loss, told, q=q).slices) for q in (1e-12, 0.05, 0.9)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_slices_under_the_support_are_not_tried() -> None:
    table = rows(0, 120)
    found = find(np.ones(120) * (np.arange(120) % 7 == 0), literals(table, ("shop", "size"), table), support=110)
    assert found.tested == 0


@pytest.mark.parametrize(("hits", "drawn", "bad", "n"), [(5, 10, 20, 100), (9, 10, 20, 100), (30, 50, 200, 1_000)])
def test_the_tail_agrees_with_scipy(hits: int, drawn: int, bad: int, n: int) -> None:
    tail = hypergeometric_tails(*(np.array([one]) for one in (hits, drawn, bad, n)))[0]
    assert tail == pytest.approx(hypergeom.sf(hits - 1, n, bad, drawn), rel=1e-9)


def honest(case: dict[str, Any], labels: Any) -> Parts:
    """The parts with holdout labels drawn from the model's own probabilities, then changed."""
    holdout = case["parts"].holdout
    chance = case["model"].score(holdout)
    drawn = np.random.default_rng(5).random(holdout.rows) < chance
    words = np.where(labels(holdout, drawn), "yes", "no").tolist()
    return Parts(case["parts"].learn, case["parts"].tune, holdout.with_column("outcome", words))


def test_a_slice_that_the_model_calls_hard_is_not_a_fault(make_case: Any) -> None:
    case = make_case(0, rows=12_000)
    model = case["model"].with_sheet(threshold=0.1)
    parts = honest(case, lambda holdout, drawn: drawn)
    finding = worst_slice(model, parts, limit=1.3)
    assert finding.verdict == "pass", finding.sentence
    assert "that the model foretells there" in finding.sentence
    assert finding.counterexample["error"] > 1.3 * error(model, parts.holdout).mean()


def test_a_slice_whose_labels_are_turned_is_a_fault(make_case: Any) -> None:
    case = make_case(0, rows=12_000)
    parts = honest(case, lambda holdout, drawn: drawn ^ (holdout.words("cat2") == holdout.words("cat2")[0]))
    finding = worst_slice(case["model"], parts)
    assert finding.verdict == "fail"
    assert "cat2" in finding.counterexample["slice"]
