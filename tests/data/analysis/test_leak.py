"""Rows on both sides of a split: exact ones, near-copies, and what is no copy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from shipworthy.core.learned import Parts
from shipworthy.core.table import Table
from shipworthy.data.analysis.leak import split_overlap
from shipworthy.sabotage.data import entered_again, overlap


def test_a_row_entered_again_under_another_number_is_a_near_copy(case: dict[str, Any]) -> None:
    found = split_overlap(entered_again(case)["parts"])
    assert (found.verdict, found.sentence) == (
        "fail", "60 of 600 holdout rows are learn or tune rows too, 60 of them under another identifier or time, at "
                "the most 12.7% (1% is allowed).")


def test_a_training_row_in_the_holdout_is_the_same_row(case: dict[str, Any]) -> None:
    assert split_overlap(overlap(case)["parts"]).sentence == (
        "60 of 600 holdout rows are learn or tune rows too, at the most 12.7% (1% is allowed).")


def test_a_holdout_of_its_own_shares_no_row(case: dict[str, Any]) -> None:
    assert split_overlap(case["parts"]).sentence == "0 of 600 holdout rows are learn or tune rows too (1% is allowed)."


def test_coarse_rows_that_agree_by_chance_are_no_copies() -> None:
    def part(first: int, rows: int) -> Table:
        made = Table.of({"id": [f"p{n}" for n in range(first, first + rows)], "flag": [n % 2 for n in range(rows)],
                         "answer": pa.array(["yes", "no"] * (rows // 2))}, name="t")
        return made.with_schema(made.schema.replace("id", role="identifier").replace("answer", role="target"))

    assert split_overlap(Parts(part(0, 200), part(200, 100), part(300, 100))).verdict == "pass"


def test_a_group_on_both_sides_fails_whatever_the_rows(case: dict[str, Any]) -> None:
    parts: Parts = case["parts"]

    def grouped(table: Table) -> Table:
        found = table.with_column("house", pa.array([f"h{n % 7}" for n in range(table.rows)]))
        return found.with_schema(found.schema.replace("house", role="group"))

    found = split_overlap(replace(parts, learn=grouped(parts.learn), tune=grouped(parts.tune),
                                  holdout=grouped(parts.holdout)))
    assert found.verdict == "fail"
    assert found.sentence.endswith(" 7 groups of house have rows on both sides.")
