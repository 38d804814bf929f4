"""Amounts are numbers, or columns of the row."""

from __future__ import annotations

import numpy as np
import pytest

from shipworthy.core.amounts import amounts, by_row, columns
from shipworthy.core.project import Value
from shipworthy.core.table import Table
from shipworthy.errors import BadProject

ROWS = Table.of({"loan": [100.0, 300.0, None], "re-paid": [1.0, 2.0, 3.0], "name": ["a", "b", "c"]})


def test_a_column_with_a_factor_pays_every_row_its_own() -> None:
    paid = amounts(Value(true_positive=5.0, false_positive="-0.1 * loan"), ROWS)
    assert paid["true_positive"] == 5.0
    assert np.asarray(paid["false_positive"]).tolist() == [-10.0, -30.0, -20.0]
    assert paid.named == ("true_positive", "false_positive")


def test_a_minus_sign_turns_a_column_and_is_part_of_a_name_where_it_stands_in_one() -> None:
    assert np.asarray(amounts(Value(false_positive="-loan"), ROWS)["false_positive"])[0] == -100.0
    assert np.asarray(amounts(Value(true_positive="re-paid"), ROWS)["true_positive"]).tolist() == [1.0, 2.0, 3.0]


def test_rows_taken_and_amounts_moved_keep_their_places() -> None:
    paid = amounts(Value(true_positive="loan", true_negative=1.0), ROWS).moved("true_positive", 2.0).take(np.array([1]))
    assert np.asarray(paid["true_positive"]).tolist() == [600.0]
    assert paid.average["true_positive"] == 600.0


def test_a_column_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(BadProject, match='names a column "laon"') as told:
        amounts(Value(false_positive="-laon"), ROWS)
    assert "loan" in told.value.hint


def test_a_column_of_words_is_no_amount() -> None:
    with pytest.raises(BadProject, match="does not hold numbers"):
        amounts(Value(false_positive="name"), ROWS)


def test_columns_read_are_named() -> None:
    value = Value(false_positive="-0.5 * loan", true_positive=1.0, policy="name")
    assert by_row(value)
    assert columns(value) == ("loan", "name")
