"""Leaks are found without being told, and honest tables are left in peace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.table import Table
from shipworthy.data.analysis.profile import profile
from shipworthy.data.collection.read import read

Find = Callable[[str], Path]


def test_a_column_known_only_when_the_target_is_known_is_suspected() -> None:
    random = np.random.default_rng(0)
    distance = random.normal(size=2_000)
    answer = np.where(random.random(2_000) < 0.3, "yes", "no").astype(object)
    arrived = distance + random.normal(size=2_000)
    gone = random.random(2_000) < 0.05
    answer[gone] = None
    table = Table.of({"distance": distance, "arrived": pa.array(arrived, mask=gone), "answer": answer})
    found = profile(table, target="answer").suspects
    assert [(each.column, each.kind) for each in found] == [("arrived", "after-the-fact")]
    assert found[0].proof == "it is missing in 100% of the rows whose target is missing, and in 0.00% of the others"


def test_columns_that_add_up_to_the_target_are_suspected() -> None:
    random = np.random.default_rng(0)
    casual, member, heat = random.gamma(2, 50, 900), random.gamma(3, 80, 900), random.normal(size=900)
    table = Table.of({"casual": casual, "member": member, "heat": heat, "count": casual + member})
    assert {each.column for each in profile(table, target="count").suspects} == {"casual", "member"}


def test_a_strong_honest_column_among_others_is_not_suspected() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 3_000))
    answer = np.where(a + 0.8 * b + random.normal(size=3_000) > 0, "yes", "no")
    assert profile(Table.of({"duration": a, "b": b, "answer": answer}), target="answer").suspects == ()


def test_a_number_that_splits_the_answer_within_a_bin_has_its_true_figure() -> None:
    random = np.random.default_rng(0)
    answer = random.random(2_000) < 0.3
    refund = np.where(answer, random.exponential(50, 2_000) + 0.01, 0.0)
    data = {"refund": refund, "other": random.normal(size=2_000), "answer": np.where(answer, "yes", "no")}
    (found,) = profile(Table.of(data), target="answer").suspects
    assert (found.column, found.proof) == ("refund", "alone it has AUC 1.000")


def test_what_is_left_of_a_total_without_a_suspect_is_a_suspect() -> None:
    random = np.random.default_rng(0)
    amount, rate = random.uniform(1_000, 9_000, 2_000), random.uniform(5, 25, 2_000)
    paid = amount * random.uniform(0.1, 0.9, 2_000)
    data = {"amount": amount, "paid_interest": rate * paid / 100 + random.normal(size=2_000), "paid_principal": paid,
            "balance": amount - paid, "rate": rate, "income": random.normal(size=2_000)}
    found = {each.column: each.proof for each in profile(Table.of(data), target="rate").suspects}
    assert set(found) == {"paid_interest", "paid_principal", "balance"}
    assert found["balance"] == "it is amount less paid_principal, a suspect, in 100% of rows"


@pytest.mark.parametrize(
    ("path", "target", "wanted"),
    [
        ("fairness/bank_marketing/bank_full.parquet", "y", {"duration"}),
        (
            "business/loans_full_schema/loans.parquet",
            "interest_rate",
            {"grade", "sub_grade", "paid_interest", "paid_principal", "paid_total", "paid_late_fees", "balance"},
        ),
        ("business/telco_churn/Telco-Customer-Churn.csv", "Churn", set()),
        ("fairness/german_credit/german_credit.parquet", "class", set()),
        ("fairness/credit_default_taiwan/credit_default.parquet", "default payment next month", set()),
    ],
)
def test_real_tables_show_their_known_leaks_and_no_other(
    shared: Find, path: str, target: str, wanted: set[str]
) -> None:
    assert {each.column for each in profile(read(str(shared(path))), target=target).suspects} == wanted
