"""Which labelled rows of a biased log are learnt from, and how much they weigh."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shipworthy.core.project import parse
from shipworthy.core.table import Table
from shipworthy.deployment.updating.renew import next_training, renewed
from shipworthy.deployment.updating.unbiased import WEIGHT, unbiased
from shipworthy.errors import BadData
from shipworthy.learning.training.weighing import row_weights


def rows(**more: Any) -> Table:
    told = {"release": ["f" * 64] * 4, "propensity": [1.0, 0.95, 0.05, 0.01], "explored": [False, False, True, True],
            "influenced": [True, True, False, False], "label_source": ["lab"] * 4, "x": [1.0, 2.0, 3.0, 4.0]}
    return Table.of({**told, **more})


def test_what_chance_let_in_weighs_for_what_it_did_not_and_at_most_twenty() -> None:
    found = unbiased(rows(), least=0.0)
    assert found.rows.numbers(WEIGHT).tolist() == [1.0, 1.0, 20.0, 20.0]
    assert found.effective == pytest.approx(42**2 / 802)


def test_weights_that_leave_too_few_effective_rows_are_cut_until_they_do_not() -> None:
    found = unbiased(rows(propensity=[1.0, 1.0, 1.0, 0.05], explored=[False, False, False, True]), least=0.5)
    assert found.rows.numbers(WEIGHT).tolist() == [1.0, 1.0, 1.0, 5.0]
    assert (found.cut, found.effective) == (5.0, pytest.approx(64 / 28))


def test_labels_that_would_have_come_anyway_weigh_the_same() -> None:
    assert unbiased(rows(influenced=[False] * 4)).rows.numbers(WEIGHT).tolist() == [1.0] * 4


def test_a_log_that_does_not_say_what_chance_did_is_weighed_by_its_propensities() -> None:
    found = unbiased(rows().drop("explored", "influenced"), least=0.0)
    assert found.rows.numbers(WEIGHT) == pytest.approx([1.0, 1 / 0.95, 20.0, 20.0])
    assert unbiased(rows().drop("propensity")).rows.numbers(WEIGHT).tolist() == [1.0] * 4


def test_what_the_model_labelled_itself_is_left_out() -> None:
    found = unbiased(rows(label_source=["lab", "Model", "f" * 16, ""]), least=0.0)
    assert found.own == 2
    assert found.rows.numbers("x").tolist() == [1.0, 4.0]


def test_the_next_training_rows_carry_weights_only_where_they_differ() -> None:
    table = Table.of({"x": [0.0, 0.5]})
    weighed, _ = next_training(table, unbiased(rows(), least=0.0).rows, tail=0.25)
    assert weighed.numbers(WEIGHT).tolist() == [1.0, 1.0, 1.0, 1.0, 20.0]
    plain, newest = next_training(table, unbiased(rows(influenced=[False] * 4)).rows, tail=0.25)
    assert plain.schema.names == newest.schema.names == ("x",)
    again, _ = next_training(weighed, unbiased(rows(influenced=[False] * 4)).rows, tail=0.25)
    assert again.numbers(WEIGHT).tolist() == [1.0, 1.0, 1.0, 1.0, 20.0, 1.0, 1.0, 1.0]


PROJECT = '[project]\nname = "p"\n[data]\ntarget = "y"\n[[source]]\naddress = "t.csv"\n'


def test_a_renewal_learns_by_those_weights() -> None:
    project = renewed(parse(PROJECT))
    table = Table.of({"y": ["a", "b"], WEIGHT: [1.0, 3.0]})
    assert row_weights(table, np.array([0, 1]), project).tolist() == [0.5, 1.5]  # type: ignore[union-attr]
    assert row_weights(table.drop(WEIGHT), np.array([0, 1]), project) is None


@pytest.mark.parametrize("wrong", [[-1.0, 1.0], [float("nan"), 1.0], [0.0, 0.0]])
def test_a_weight_that_is_none_is_refused(wrong: list[float]) -> None:
    with pytest.raises(BadData, match="holds a weight"):
        row_weights(Table.of({"y": ["a", "b"], WEIGHT: wrong}), np.array([0, 1]), renewed(parse(PROJECT)))
