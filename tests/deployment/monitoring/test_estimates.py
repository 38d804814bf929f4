"""Performance without labels: moved calibrations, many classes, and the loss of a regression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from tests.deployment.monitoring.test_sentences import asked, sums

from shipworthy.core.clock import DAY
from shipworthy.core.grid import FIXED
from shipworthy.deployment.monitoring.cause import density_ratio
from shipworthy.deployment.monitoring.counting import counting, tally
from shipworthy.deployment.monitoring.estimate import estimate, estimated_performance, shifted, unlabelled
from shipworthy.deployment.monitoring.expected import modelled_loss
from shipworthy.deployment.monitoring.figures import binary, expected_told, macro_f1
from shipworthy.deployment.monitoring.reference import reference

Case = Mapping[str, Any]


def test_figures_of_four_rows_by_hand() -> None:
    no, yes = (np.array([0.0, 1.0]), np.array([1.0, 0.0])), (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    found = binary(no, yes)
    assert found["accuracy"] == 0.5
    assert found["f1"] == 0.5
    assert found["auc"] == pytest.approx((1 + 0.5 + 1 + 0.5) / 4)


def test_macro_f1_by_hand_and_wrong_answers_spread_as_before() -> None:
    told = np.array([[8, 2, 0], [1, 9, 0], [1, 1, 8]])
    assert macro_f1(told.astype(float)) == pytest.approx(np.mean([16 / 20, 18 / 22, 16 / 18]))
    decided = np.zeros((3, 64))
    decided[:, 32] = 100.0
    found = expected_told(told, decided, np.full(256, 0.9))
    assert np.diag(found) == pytest.approx([90, 90, 90])
    assert found.sum(axis=1) == pytest.approx([100, 100, 100])
    assert found[0, 1] > found[0, 2]


def test_equal_weights_move_no_calibration(case: Case) -> None:
    grid = case["grid"]
    assert shifted(grid, grid.expected, np.ones(len(grid.sample))) == pytest.approx(grid.expected)


def test_weights_move_the_calibration_to_where_the_traffic_is(case: Case) -> None:
    grid = case["grid"]
    came = grid.came / FIXED
    moved = shifted(grid, grid.expected, np.where(came > 0.5, 3.0, 1.0))
    assert (moved >= grid.expected - 1e-9).all()
    assert moved.mean() > grid.expected.mean() + 0.1


def test_traffic_that_hardly_overlaps_the_reference_is_unknown(case: Case, serve: Any) -> None:
    log, _ = serve(count=3_000)
    far = log
    for name in ("num1", "num2", "num3"):
        far = far.with_column(name, np.abs(log.numbers(name)) + 2.5)
    found = estimated_performance(case["project"], case["grid"], tally(counting(case["grid"], width=DAY), far))
    assert found.verdict == "unknown"
    assert "at least 20 % is needed" in found.sentence


def test_the_estimate_says_what_it_is_blind_to(case: Case, serve: Any) -> None:
    found = estimated_performance(case["project"], case["grid"], tally(counting(case["grid"], width=DAY), *serve()))
    assert found.sentence.endswith("blind to a changed relation between features and outcome.")


def test_the_loss_of_a_regression_is_foreseen_where_it_depends_on_a_column(case: Case) -> None:
    model, grid = uneven(1)
    wild = reference(model, noisy(sums(1, 4_000)), noisy(sums(2, 4_000)))
    rows = noisy(sums(3, 4_000))
    high = rows.take(rows.numbers("x") > 0.5)
    log, labels = asked(model, high)
    found = estimate(wild, unlabelled(tally(counting(wild), log).rows.whole, tally(counting(wild), log).sample))
    known = tally(counting(wild), log, labels).labels.whole.total("labels")
    true = known[1] / FIXED / known[0]
    before = wild.outcomes[:, 1].sum() / FIXED / wild.outcomes[:, 0].sum()
    assert true > before + 0.1
    assert found.figures["loss"] == pytest.approx(true, abs=0.03)
    assert found.drops["loss"][1] > 0
    assert modelled_loss(grid, np.zeros((3, 2), np.int64)) is not None


def test_a_regression_without_shift_is_estimated_to_be_as_it_was(case: Case) -> None:
    model, _ = uneven(1)
    wild = reference(model, noisy(sums(1, 4_000)), noisy(sums(2, 4_000)))
    counted = tally(counting(wild), asked(model, noisy(sums(5, 4_000)))[0])
    assert estimated_performance(case["project"], wild, counted).verdict == "pass"
    ratio = density_ratio(wild, counted.sample.cells[:, :-1])
    assert ratio is not None
    assert ratio.usable


def uneven(seed: int) -> tuple[Any, Any]:
    """A fixed regression of y on x, and its reference."""
    from shipworthy.core.features import Features, Number
    from shipworthy.core.model import Model, Sheet
    from shipworthy.core.program import Linear, Program, Term

    features = Features((Number("x"),))
    term = Term(Linear(), {"place": np.array([0]), "fill": np.zeros(1), "weight": np.array([[200.0]]),
                           "missing": np.zeros((1, 1)), "intercept": np.zeros(1)})
    model = Model(Sheet(features, sums(seed, 9).schema, "regression", "y", ()),
                  Program(features.inputs, (term,), "identity"))
    return model, reference(model, sums(1, 1_000), sums(2, 1_000))


def noisy(rows: Any) -> Any:
    """The rows with errors that grow with x."""
    random, x = np.random.default_rng(rows.rows), rows.numbers("x")
    return rows.with_column("y", 200 * x + 100 * np.maximum(x + 1, 0.1) * random.normal(size=rows.rows))
