"""The contract is kept by clean batches of any size, and broken by broken ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shipworthy.core.table import Table
from shipworthy.data.analysis.contract import contract, validate


def test_no_clean_bootstrap_batch_alarms(case: dict[str, Any]) -> None:
    random = np.random.default_rng(0)
    pool = case["parts"].holdout
    sizes = random.integers(200, 1_200, 100)
    alarms = [validate(case["contract"], pool.take(random.integers(0, pool.rows, size))) for size in sizes]
    assert not any(alarms), [breach.sentence for alarm in alarms for breach in alarm]


def numbers(table: Table, change: Callable[[Any], Any]) -> Table:
    return table.with_column("num1", pa.array(change(table.numbers("num1")), from_pandas=True))


BROKEN: dict[str, Callable[[Table], Table]] = {
    "unit": lambda t: numbers(t, lambda x: x * 1000),
    "sign": lambda t: numbers(t, lambda x: -x),
    "affine": lambda t: numbers(t, lambda x: x * 1.8 + 32),
    "shifted": lambda t: numbers(t, lambda x: np.roll(x, 1)),
    "sentinel": lambda t: numbers(t, lambda x: np.where(np.arange(len(x)) % 20 == 0, -999.0, x)),
    "swapped": lambda t: t.with_column("num1", t.column("num2")).with_column("num2", t.column("num1")),
    "lost": lambda t: t.drop("cat1"),
    "text": lambda t: t.with_column("num1", pa.array([f"{v:g} kg" for v in t.numbers("num1")]), kind="category"),
    "burst": lambda t: numbers(t, lambda x: np.where(np.arange(len(x)) < len(x) // 5, np.nan, x)),
    "frozen": lambda t: t.with_column("flag", pa.array([True] * t.rows)),
    "new level": lambda t: t.with_column(
        "cat1", pa.array(["zz" if n % 20 == 0 else w for n, w in enumerate(t.words("cat1"))])
    ),
    "case": lambda t: t.with_column(
        "cat2", pa.array([w.upper() if n % 33 == 0 else w for n, w in enumerate(t.words("cat2"))])
    ),
    "twice": lambda t: Table.of(pa.concat_tables([t.data, t.data]), schema=t.schema),
    "group lost": lambda t: t.take(t.words("cat2") != "low"),
}


@pytest.mark.parametrize("fault", sorted(BROKEN))
def test_a_broken_batch_is_told(case: dict[str, Any], fault: str) -> None:
    assert validate(case["contract"], BROKEN[fault](case["parts"].holdout))


def test_a_missing_column_is_said_in_one_sentence(case: dict[str, Any]) -> None:
    found = validate(case["contract"], case["parts"].holdout.drop("num1"))
    assert [breach.sentence for breach in found] == ['column "num1" is missing']


def test_the_batch_before_is_known_again(case: dict[str, Any]) -> None:
    holdout = case["parts"].holdout
    assert not validate(case["contract"], holdout, previous=case["parts"].learn)
    assert (
        validate(case["contract"], holdout, previous=holdout)[-1].sentence
        == "100% of the rows were in the batch before"
    )


def test_a_short_batch_is_told_where_its_size_is_known(case: dict[str, Any]) -> None:
    promised = contract(case["parts"].learn, batch_rows=600)
    assert not validate(promised, case["parts"].holdout)
    assert validate(promised, case["parts"].holdout.head(420))


def test_a_table_that_drifts_is_promised_less() -> None:
    random = np.random.default_rng(0)
    month = np.repeat(np.arange(12), 1_000)
    table = Table.of(
        {
            "month": month,
            "heat": np.sin(month / 2) * 10 + random.normal(size=12_000),
            "noise": random.normal(size=12_000),
        }
    )
    promised = contract(table.head(8_000))
    later = table.take(np.arange(8_000, 12_000))
    assert not validate(promised, later)
    assert validate(promised, later.with_column("noise", pa.array(later.numbers("noise") * 1000)))


def test_in_time_a_batch_is_held_to_spans_not_to_single_hours() -> None:
    random = np.random.default_rng(0)

    def days(first: int, many: int) -> Table:
        hours = random.choice(np.arange(6, 22), many * 200)
        seconds = np.sort((first + np.repeat(np.arange(many), 200)) * 86_400 + hours * 3_600)
        return Table.of({"at": pa.array(seconds * 1_000_000, pa.timestamp("us", "UTC")),
                         "wind": random.normal(np.sin(seconds / 200_000), 1.0)})

    promised = contract(days(0, 150))
    assert validate(promised, days(150, 14)) == ()
    assert validate(promised, days(153, 1)) == ()
    late = days(150, 14)
    moved = late.with_column("at", pc.add(late.data["at"], pa.scalar(timedelta(hours=-8), pa.duration("us"))))
    assert any(breach.sentence.startswith("the values of the hour of at") for breach in validate(promised, moved))


def test_days_over_a_whole_week_and_clocks_put_back_are_no_other_distribution() -> None:
    random = np.random.default_rng(0)

    def days(first: int, many: int, *, late: int = 0, quiet: int = -1) -> Table:
        hours = random.choice(np.arange(6, 22), many * 400, p=np.repeat([0.02, 0.105], 8)) + late
        each = first + np.repeat(np.arange(many), 400)
        kept = (each + 3) % 7 != quiet
        return Table.of({"at": pa.array(np.sort(each * 86_400 + hours * 3_600)[kept] * 1_000_000,
                                        pa.timestamp("us", "UTC")), "wind": random.normal(size=int(kept.sum()))})

    promised = contract(days(0, 140))
    assert validate(promised, days(140, 11)) == ()
    assert validate(promised, days(140, 14, late=1)) == ()
    assert [breach.sentence[:34] for breach in validate(promised, days(140, 14, late=4))] == [
        "the values of the hour of at have "]
    assert [breach.sentence[:37] for breach in validate(promised, days(140, 14, quiet=2))] == [
        "the values of the weekday of at have "]


def test_what_came_after_a_known_change_may_come_again() -> None:
    random = np.random.default_rng(0)

    def rows(many: int, mean: float) -> Table:
        return Table.of({"x": random.normal(mean, 1.0, many), "z": random.normal(size=many)})

    table = Table.of({name: np.r_[rows(19_700, 0.0).numbers(name), rows(300, 1.5).numbers(name)]
                      for name in ("x", "z")})
    later = rows(2_000, 1.5)
    assert [breach.rule.column for breach in validate(contract(table), later) if breach.rule.kind == "quantile"
            ] == ["x"]
    promised = contract(table, changed=0.985)
    assert validate(promised, later) == ()
    assert {breach.rule.column for breach in validate(
        promised, later.with_column("z", pa.array(later.numbers("z") * 1000)))} == {"z"}


def test_a_declared_limit_is_the_range_and_holds_without_exception(case: dict[str, Any]) -> None:
    learn, batch = case["parts"].learn, case["parts"].holdout
    highest = float(np.nanmax(learn.numbers("num1")))
    declared = contract(learn, limits={"num1": (-50.0, highest + 0.1), "num2": (-np.inf, 1e6)})
    told = {rule.column: (rule.low, rule.high) for rule in declared.rules if rule.kind == "range"}
    usual = {rule.column: (rule.low, rule.high) for rule in contract(learn).rules if rule.kind == "range"}
    assert told["num1"] == (-50.0, highest + 0.1)
    assert told["num2"] == (usual["num2"][0], 1e6)
    one = numbers(batch, lambda x: np.where(np.arange(len(x)) == 7, highest + 0.2, np.minimum(x, highest)))
    assert "num1" in {breach.rule.column for breach in validate(declared, one) if breach.rule.kind == "range"}
    assert not [breach for breach in validate(contract(learn), one) if breach.rule.kind == "range"]
