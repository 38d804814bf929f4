from __future__ import annotations

import numpy as np
import pytest

from shipworthy.core.features import Input
from shipworthy.core.program import Calibration, Linear, Program, Scaling, Term
from shipworthy.deployment.updating.shift import Priors, corrected, crossed_priors, each_class, new_priors


def scores(n: int, share: float, *, seed: int = 0, base: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Scores calibrated where `base` are positive, of rows of which `share` are; and which."""
    random = np.random.default_rng(seed)
    positive = random.random(n) < share
    x = random.normal(np.where(positive, 1.0, -1.0))
    odds = 2 * x + np.log(base / (1 - base))
    return 1 / (1 + np.exp(-odds)), positive.astype(np.int64)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_todays_shares_are_found_from_scores_alone(share: float) -> None:
    score, _ = scores(20_000, share)
    found = new_priors(each_class(score), np.array([0.7, 0.3]))
    assert found[1] == pytest.approx(share, abs=0.01)


def test_decisions_say_the_same_by_another_way() -> None:
    before, truth = scores(20_000, 0.3)
    today, _ = scores(20_000, 0.6, seed=1)
    after, condition = crossed_priors((before >= 0.5).astype(int), truth, (today >= 0.5).astype(int), 2)
    assert after[1] == pytest.approx(0.6, abs=0.02)
    assert condition < 20


def test_classes_that_cannot_be_told_apart_are_warned_of() -> None:
    random = np.random.default_rng(0)
    decided, truth = random.integers(0, 2, 4_000), random.integers(0, 2, 4_000)
    _, condition = crossed_priors(decided, truth, decided, 2)
    found = Priors(np.array([0.5, 0.5]), np.array([0.5, 0.5]), np.array([0.5, 0.5]), condition)
    assert found.warning.startswith("the classes are hard to tell apart (condition ")


def test_a_class_that_is_never_decided_has_no_second_opinion() -> None:
    after, condition = crossed_priors(np.zeros(10, np.int64), np.arange(10) % 2, np.zeros(5, np.int64), 2)
    assert np.isnan(after).all()
    assert condition == float("inf")


def program(calibration: Calibration | Scaling | None, classes: tuple[str, ...] = ("no", "yes")) -> Program:
    outputs = 1 if len(classes) == 2 else len(classes)
    weight = np.arange(1.0, outputs + 1)[None, :]
    term = Term(Linear(), {"place": np.array([0]), "fill": np.zeros(1), "weight": weight,
                           "missing": np.zeros((1, outputs)), "intercept": np.zeros(outputs)})
    return Program((Input("x"),), (term,), "logistic" if outputs == 1 else "softmax", classes, calibration)


GRID = np.linspace(-2, 2, 9)[:, None]


@pytest.mark.parametrize("calibration", [None, Scaling(0.8, 0.1)])
def test_a_corrected_program_answers_by_bayes_with_the_new_shares(calibration: Scaling | None) -> None:
    old = program(calibration)
    new = corrected(old, Priors(np.array([0.7, 0.3]), np.array([0.4, 0.6]), np.empty(0), 1.0))
    assert new is not None
    p = old.score(GRID)
    wanted = p * 0.6 / 0.3 / (p * 0.6 / 0.3 + (1 - p) * 0.4 / 0.7)
    np.testing.assert_allclose(new.score(GRID), wanted, rtol=1e-9)


def test_knots_are_moved_where_they_lie() -> None:
    old = program(Calibration((0.1, 0.5, 0.9), (0.0, 0.4, 1.0)))
    new = corrected(old, Priors(np.array([0.5, 0.5]), np.array([0.2, 0.8]), np.empty(0), 1.0))
    assert new is not None
    assert isinstance(new.calibration, Calibration)
    np.testing.assert_allclose(new.calibration.value, [0.0, 0.4 * 4 / (0.4 * 4 + 0.6), 1.0])


@pytest.mark.parametrize("calibration", [None, Scaling(0.5)])
def test_many_classes_are_corrected_in_their_margins(calibration: Scaling | None) -> None:
    old = program(calibration, ("a", "b", "c"))
    before, after = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    new = corrected(old, Priors(before, after, np.empty(0), 1.0))
    assert new is not None
    wanted = old.score(GRID) * after / before
    np.testing.assert_allclose(new.score(GRID), wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-9)
