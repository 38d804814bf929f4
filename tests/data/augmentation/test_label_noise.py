"""Wrong labels come first in the ranking, and their share is bounded."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.table import Table
from shipworthy.data.augmentation.coverage import holes, thin
from shipworthy.data.augmentation.label_noise import expected, suspect_labels
from shipworthy.data.augmentation.labels import label_noise
from shipworthy.data.augmentation.noise_rate import floor


def labelled(rows: int = 1_500) -> tuple[Table, np.ndarray]:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, rows))
    truth = (a + b + 0.3 * random.normal(size=rows) > 0).astype(int)
    wrong = random.random(rows) < 0.05
    given = np.where(wrong, 1 - truth, truth)
    return Table.of({"a": a, "b": b, "y": np.array(["no", "yes"])[given]}), wrong


def test_flipped_labels_come_first() -> None:
    table, wrong = labelled()
    first = suspect_labels(table, "y")[: int(wrong.sum())]
    assert wrong[first].mean() > 0.6


def test_wild_values_come_first_in_a_regression() -> None:
    random = np.random.default_rng(1)
    a = random.normal(size=800)
    value = 3 * a + 0.1 * random.normal(size=800)
    value[[5, 50, 500]] += 4
    assert {5, 50, 500} <= set(suspect_labels(Table.of({"a": a, "y": value}), "y")[:12].tolist())


def test_rows_without_a_label_are_not_ranked() -> None:
    table, _ = labelled(600)
    words = table.words("y")
    words[:10] = None
    assert set(range(10)).isdisjoint(suspect_labels(table.with_column("y", pa.array(words)), "y").tolist())


def test_the_share_of_flips_is_bounded_from_above() -> None:
    table, wrong = labelled()
    codes = (table.words("y") == "yes").astype(np.int64)
    found = floor(codes, expected(table, "y", codes, 2))
    assert found is not None
    assert found.low <= wrong.mean() <= found.high


def test_the_most_suspicious_rows_are_listed_with_the_given_and_the_expected_label() -> None:
    table, wrong = labelled()
    codes = table.with_column("order", [f"o{n}" for n in range(table.rows)])
    schema = codes.schema.replace("y", role="target").replace("order", role="identifier")
    finding = label_noise(codes.with_schema(schema), limit=0.001)
    assert finding.verdict == "fail"
    shown = finding.counterexample
    assert wrong[shown["row"]].mean() > 0.8 and len(shown["row"]) == 12
    assert shown["order"] == [f"o{n}" for n in shown["row"]]
    assert shown["given"] == [str(table.words("y")[n]) for n in shown["row"]]
    assert all(given != expected for given, expected in zip(shown["given"], shown["expected"], strict=True))
    assert finding.remedy == "review the most suspicious labels first: shipworthy checklist data.labelling"


def test_thin_slices_and_holes_are_named() -> None:
    random = np.random.default_rng(0)
    shop = random.choice(["x", "y", "z"], 2_000, p=[0.5, 0.49, 0.01])
    heat = random.normal(size=2_000)
    assert [name for name, _ in thin(Table.of({"shop": shop, "heat": heat}))] == ['shop = "z"']
    kept = ~((shop == "x") & (heat > 0.5))
    found = holes(Table.of({"shop": shop, "heat": heat}).take(kept))
    assert found
    assert all('shop = "x"' in hole.condition for hole in found)


def test_columns_that_go_together_have_no_holes() -> None:
    heat = np.random.default_rng(0).normal(size=2_000)
    assert holes(Table.of({"heat": heat, "again": heat * 2 + 1})) == []


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_a_small_table_without_flips_is_not_left_open(seed: int) -> None:
    random = np.random.default_rng(seed)
    price, days, web = random.normal(size=6_000), random.integers(1, 15, 6_000), random.random(6_000) < 0.4
    margin = 0.8 * price + 0.35 * (days - 7) + 0.9 * web
    came = random.random(6_000) < 1 / (1 + np.exp(-margin))
    table = Table.of({"price": price, "days": days, "web": web, "y": np.where(came, "yes", "no")})
    finding = label_noise(table.with_schema(table.schema.replace("y", role="target")))
    assert finding.verdict == "pass"
    assert finding.high <= 0.1
