"""Which calibration is fitted to which rows, and that it mends what it should."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from shipworthy.core.program import Calibration, Scaling, logistic
from shipworthy.learning.selection.calibrate import calibration, isotonic, platt, temperature
from shipworthy.learning.selection.finish import finish
from shipworthy.metrics.losses import row_losses

Scores = tuple[np.ndarray, np.ndarray]


def bold(rows: int, *, seed: int = 0) -> Scores:
    """Scores whose log-odds are thrice too large, and what came true."""
    random = np.random.default_rng(seed)
    odds = random.normal(size=rows)
    return logistic(3 * odds), (random.random(rows) < logistic(odds)).astype(np.int64)


def bent(rows: int, *, seed: int = 0) -> Scores:
    """Scores whose true chance is a staircase that no slope can follow."""
    random = np.random.default_rng(seed)
    score = random.random(rows)
    return score, (random.random(rows) < np.where(score < 0.3, 0.05, np.where(score < 0.9, 0.5, 0.55))).astype(np.int64)


def test_steps_mend_an_overconfident_score() -> None:
    scores, truth = bold(4_000)
    assert row_losses(isotonic(scores, truth)(scores), truth, "binary").mean() < row_losses(
        scores, truth, "binary").mean() - 0.05


def test_a_slope_finds_what_was_done_to_the_log_odds() -> None:
    found = platt(*bold(40_000))
    assert found is not None
    assert found.slope == pytest.approx(1 / 3, rel=0.05)
    assert found.intercept == pytest.approx(0, abs=0.04)


def test_a_slope_is_logistic_regression_on_log_odds() -> None:
    scores, truth = bold(20_000, seed=1)
    odds = np.log(scores / (1 - scores))[:, None]
    library = LogisticRegression(C=np.inf).fit(odds, truth)
    found = platt(scores, truth)
    assert found is not None
    assert (found.slope, found.intercept) == pytest.approx(
        (library.coef_[0, 0], library.intercept_[0]), abs=2e-3)  # our targets are drawn in by one row in 10,000


@pytest.mark.parametrize("truth", [np.repeat(0, 60), np.repeat(1, 60), np.repeat([1, 0], 30)])
def test_one_outcome_or_a_score_that_points_the_wrong_way_has_no_infinite_slope(truth: np.ndarray) -> None:
    found = platt(np.linspace(0.1, 0.9, 60), truth)
    assert found is None or (0 < found.slope < 100 and abs(found.intercept) < 100)
    if truth[0] != truth[-1]:
        assert found is None


def test_certain_scores_are_borne() -> None:
    scores, truth = bold(400)
    scores[:5], scores[5:10] = 0.0, 1.0
    found = platt(scores, truth)
    assert found is not None
    assert np.isfinite(found(scores)).all()


@pytest.mark.parametrize("seed", range(3))
def test_few_rows_get_a_slope_and_many_that_no_slope_follows_get_steps(seed: int) -> None:
    assert isinstance(calibration(*bent(400, seed=seed), "binary"), Scaling)
    assert isinstance(calibration(*bent(6_000, seed=seed), "binary"), Calibration)
    assert isinstance(calibration(*bold(6_000, seed=seed), "binary"), Scaling)


def test_a_slope_is_better_than_steps_on_new_rows_where_rows_are_few() -> None:
    new, came = bold(20_000, seed=99)
    gaps = []
    for seed in range(10):
        scores, truth = bold(150, seed=seed)
        smooth = platt(scores, truth)
        assert smooth is not None
        gaps.append(row_losses(isotonic(scores, truth)(new), came, "binary").mean()
                    - row_losses(smooth(new), came, "binary").mean())
    assert np.mean(gaps) > 0


def test_a_temperature_cools_overconfident_classes_and_turns_no_order_round() -> None:
    random = np.random.default_rng(0)
    odds = random.normal(size=(20_000, 4))
    honest = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    truth = (honest.cumsum(axis=1) < random.random(20_000)[:, None]).sum(axis=1)
    sharp = honest**2.5 / (honest**2.5).sum(axis=1, keepdims=True)
    found = temperature(sharp, truth)
    assert found.slope == pytest.approx(1 / 2.5, rel=0.05)
    assert found(sharp) == pytest.approx(honest, abs=0.02)
    assert (found(sharp).argmax(axis=1) == sharp.argmax(axis=1)).all()


def test_a_regression_is_not_calibrated() -> None:
    assert calibration(np.zeros(10), np.zeros(10), "regression") is None


def test_a_finished_model_scores_through_its_slope(clean: dict[str, Any]) -> None:
    chosen, parts = clean["learned"].chosen, clean["parts"]
    odds = np.log(chosen.scores / (1 - chosen.scores))
    made = finish(replace(chosen, scores=logistic(4 * odds)), parts, clean["project"])
    assert isinstance(made.program.calibration, Scaling)
    assert made.program.calibration.slope < 0.5


def test_scores_that_differ_by_rounding_alone_are_calibrated() -> None:
    for few, many in ((530, 716), (527, 701), (541, 733), (500, 660)):
        scores = np.repeat([0.27, 0.95], [few, many])
        found = isotonic(scores, np.repeat([1, 0], [few, many]))
        assert np.isfinite([*found.score, *found.value]).all()
        np.testing.assert_allclose(found(scores), few / (few + many), atol=0.01)
