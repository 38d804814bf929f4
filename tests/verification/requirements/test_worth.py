from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shipworthy.core.amounts import Amounts
from shipworthy.core.project import Value
from shipworthy.verification.requirements.worth import best_threshold, decide, declared, worth

VALUE = Value(true_positive=10.0, false_positive=-4.0, false_negative=-1.0, true_negative=0.0)
PAID = Amounts({"true_positive": 10.0, "false_positive": -4.0, "false_negative": -1.0})
EVEN = Amounts({"true_positive": 1.0, "false_positive": -1.0})


def test_each_cell_of_the_table_is_paid(clean: dict[str, Any]) -> None:
    earned = worth(PAID, clean["model"], np.array([1, 0, 1, 0]), np.array([1, 1, 0, 0]))
    assert earned.tolist() == [10.0, -4.0, -1.0, 0.0]


def test_capacity_keeps_the_highest_scores(clean: dict[str, Any]) -> None:
    decided = decide(clean["model"], np.array([0.9, 0.8, 0.7, 0.1]), threshold=0.5, capacity=0.5)
    assert decided.tolist() == [1, 1, 0, 0]


def test_the_best_threshold_is_the_one_that_earns_most() -> None:
    truth, score = np.array([1, 1, 0, 0, 1]), np.array([0.9, 0.8, 0.7, 0.6, 0.2])
    assert best_threshold(EVEN, truth, score) == 0.8


def test_a_threshold_never_parts_equal_scores() -> None:
    truth, score = np.array([1, 0, 0, 0]), np.array([0.5, 0.5, 0.5, 0.1])
    assert best_threshold(EVEN, truth, score) == 2.0


@pytest.mark.parametrize(("value", "says"), [(None, False), (Value(), False), (VALUE, True)])
def test_a_table_of_zeros_declares_nothing(value: Value | None, says: bool) -> None:
    assert declared(value) is says
