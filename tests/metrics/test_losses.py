from __future__ import annotations

import numpy as np
import pytest

from shipworthy.metrics.classification import log_loss
from shipworthy.metrics.losses import row_losses


def test_losses_by_hand() -> None:
    assert row_losses(np.array([3.0, 1.0]), np.array([1.0, 1.0]), "regression").tolist() == [4.0, 0.0]
    two = row_losses(np.array([0.5, 0.75]), np.array([1, 0]), "binary")
    assert two == pytest.approx([np.log(2), np.log(4)])
    many = np.array([[0.2, 0.3, 0.5], [0.25, 0.5, 0.25]])
    assert row_losses(many, np.array([2, 0]), "multiclass") == pytest.approx([np.log(2), np.log(4)])


def test_two_classes_in_one_column_or_two_are_the_same() -> None:
    score, truth = np.array([0.2, 0.9, 0.5]), np.array([0, 1, 1])
    both = np.stack([1 - score, score], axis=1)
    assert row_losses(score, truth, "binary") == pytest.approx(row_losses(both, truth, "binary"))
    assert row_losses(score, truth, "binary").mean() == pytest.approx(log_loss(truth, score))


def test_a_sure_right_answer_costs_nothing_and_a_sure_wrong_one_is_bounded() -> None:
    assert row_losses(np.array([1.0, 0.0]), np.array([1, 1]), "binary") == pytest.approx([0.0, -np.log(1e-6)])
