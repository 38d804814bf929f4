from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shipworthy.verification.trials.mutation import OPERATORS, applicable, mutate


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_an_operator_changes_the_batch_and_leaves_the_original(name: str, clean: dict[str, Any]) -> None:
    batch = clean["parts"].holdout.head(300)
    before = batch.digest
    changed = mutate(batch, name, np.random.default_rng(3))
    assert changed is not None
    assert not changed[0].data.equals(batch.data)
    assert batch.digest == before


def test_there_are_twenty_operators() -> None:
    assert len(OPERATORS) == 20


def test_one_seed_gives_one_mutant(clean: dict[str, Any]) -> None:
    batch = clean["parts"].holdout.head(100)
    one, two = (mutate(batch, "sentinel for missing", np.random.default_rng(5)) for _ in range(2))
    assert one is not None
    assert two is not None
    assert one[0].digest == two[0].digest


def test_an_operator_without_a_column_of_its_kind_does_nothing(clean: dict[str, Any]) -> None:
    assert mutate(clean["parts"].holdout.select(["num1"]), "day and month swapped", np.random.default_rng(0)) is None


def test_a_named_column_is_struck_and_the_columns_that_fit_are_known(clean: dict[str, Any]) -> None:
    batch = clean["parts"].holdout.head(100)
    assert applicable(batch, "sign flipped") == ["num1", "num2", "num3", "num4"]
    assert applicable(batch, "batch delivered twice") == [""]
    changed = mutate(batch, "sign flipped", np.random.default_rng(0), "num3")
    assert changed is not None
    assert changed[1] == "num3"
    assert changed[0].numbers("num3")[0] == -batch.numbers("num3")[0]
