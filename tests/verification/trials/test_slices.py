from __future__ import annotations

from itertools import combinations
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy.stats import hypergeom

from shipworthy.core.features import Number
from shipworthy.core.learned import Parts
from shipworthy.core.schema import Column, Schema
from shipworthy.core.table import Table
from shipworthy.verification.trials.edges import _columns, error, worst_slice
from shipworthy.verification.trials.slices import _tried, find, literals
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


def brute(table: Table, loss: Any, columns: tuple[str, ...], support: int) -> dict[frozenset[tuple[str, str]], Any]:
    """(rows, sum of loss) of every slice of up to three columns with enough rows, without copies of a parent."""
    told = literals(table, columns, table)
    masks = {name: told.mask((place,)) for place, name in enumerate(told.names)}
    rows: dict[frozenset[tuple[str, str]], Any] = {frozenset(): np.ones(table.rows, bool)}
    for size in (1, 2, 3):
        for key in combinations(told.names, size):
            if len({column for column, _ in key}) == size:
                rows[frozenset(key)] = np.logical_and.reduce([masks[one] for one in key])
    return {key: (int(mask.sum()), float(loss[mask].sum())) for key, mask in rows.items() if key
            and mask.sum() >= support and all(rows[key - {one}].sum() > mask.sum() for one in key)}


@pytest.mark.parametrize("counts", [True, False])
def test_every_slice_that_brute_force_finds_is_tried_with_the_same_sums(counts: bool) -> None:
    random = np.random.default_rng(0)
    table = rows(0, 700)
    table = table.with_column("copy", table.words("shop")).with_column("flag", random.random(700) < 0.3)
    loss = (random.random(700) < 0.3).astype(float) if counts else random.exponential(1.0, 700)
    told = literals(table, table.schema.names, table)
    tried = _tried(loss, told, 3, 30)
    seen = {frozenset(told.names[k] for k in tried.key(n)): (int(tried.rows[n]), pytest.approx(float(tried.total[n])))
            for n in range(len(tried.rows))}
    expected = brute(table, loss, table.schema.names, 30)
    assert len(seen) > 40
    assert seen == expected
    assert not any({"shop", "copy"} <= {column for column, _ in key} for key in seen)


def test_a_weak_corner_of_three_columns_is_found() -> None:
    random = np.random.default_rng(8)
    table = rows(8, 4_000).with_column("flag", random.random(4_000) < 0.5)
    corner = (table.words("shop") == "north") & (table.numbers("size") > 0.7) & (table.words("flag") == "true")
    loss = (random.random(table.rows) < np.where(corner, 0.7, 0.1)).astype(float)
    told = literals(table, ("shop", "size", "flag"), table)
    worst = find(loss, told).slices[0]
    assert {column for column, _ in worst.told} == {"shop", "size", "flag"}
    assert len(find(loss, told, depth=2).slices[0].told) == 2


def test_a_part_that_is_no_worse_than_its_whole_is_left_out() -> None:
    table = rows(9, 4_000)
    loss = (np.random.default_rng(9).random(4_000) < np.where(table.words("shop") == "east", 0.5, 0.1)).astype(float)
    found = find(loss, literals(table, ("shop", "size"), table))
    assert found.survived > 3
    assert [one.told for one in found.slices] == [(("shop", "= east"),)]


def test_at_most_one_run_in_twenty_reports_a_slice_of_permuted_losses() -> None:
    random = np.random.default_rng(10)
    table = rows(10, 600).with_column("flag", random.random(600) < 0.5)
    told = literals(table, ("shop", "size", "flag"), table)
    counts = (random.random(600) < 0.25).astype(float)
    spread = random.exponential(1.0, 600)
    for loss in (counts, spread):
        cried = sum(bool(find(random.permutation(loss), told).slices) for _ in range(200))
        assert cried <= 10


def test_slices_under_the_support_are_named(make_case: Any) -> None:
    case = make_case(0)
    finding = worst_slice(case["model"], case["parts"])
    few = finding.counterexample["insufficient"]
    assert "cat1 = f" in few
    assert "Under 50 rows, so that nothing can be said of them: " in finding.sentence


def test_over_forty_columns_those_are_searched_that_differ_on_the_tune_rows(clean: dict[str, Any]) -> None:
    random, parts, model = np.random.default_rng(0), clean["parts"], clean["model"]
    schema = model.sheet.schema
    for n in range(50):
        parts = Parts(*(part.with_column(f"noise{n:02}", random.normal(size=part.rows))
                        for part in (parts.learn, parts.tune, parts.holdout)))
        schema = Schema((*schema.columns, Column(f"noise{n:02}", "number")))
    features = msgspec.structs.replace(model.features, encoders=(
        *model.features.encoders, *(Number(f"noise{n:02}") for n in range(50))))
    names = _columns(model.with_sheet(features=features, schema=schema), parts, error(model, parts.tune))
    assert len(names) == 40
    assert "num1" in names
