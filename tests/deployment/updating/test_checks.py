from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shipworthy.core.features import Features, Number
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model, Sheet
from shipworthy.core.program import Linear, Program, Term
from shipworthy.core.table import Table
from shipworthy.deployment.updating.checks import shift_mitigation
from shipworthy.sabotage.deployment_updating import rows_that_mean_something_else


def model(weight: float, *, classes: tuple[str, ...] = ("no", "yes"), intercept: float = 0.0) -> Model:
    features = Features((Number("x"),))
    term = Term(Linear(), {"place": np.zeros(1, np.int32), "fill": np.zeros(1), "weight": np.array([[weight]]),
                           "missing": np.zeros((1, 1)), "intercept": np.array([intercept])})
    program = Program(features.inputs, (term,), "logistic" if classes else "identity", classes)
    task = "binary" if classes else "regression"
    return Model(Sheet(features, rows(30).schema, task, "y", classes), program)  # type: ignore[arg-type]


def rows(n: int, *, numbers: bool = False, seed: int = 0) -> Table:
    random = np.random.default_rng([9, seed])
    x = random.normal(size=n)
    came = np.where(random.random(n) < 1 / (1 + np.exp(-2 * x)), "yes", "no")
    found = Table.of({"x": x, "y": x + random.normal(size=n) if numbers else came.tolist()}, name="rows")
    return found.with_schema(found.schema.replace("y", role="target"))


def parts(n: int, **options: Any) -> Parts:
    return Parts(rows(30), rows(n, seed=1, **options), rows(n, **options))


def test_scores_that_are_chances_can_be_corrected() -> None:
    found = shift_mitigation(model(2.0), parts(4_000))
    assert found.verdict == "pass", found.sentence
    assert found.sentence.startswith("A shift of the classes would be corrected without labels: ")
    assert found.high is not None
    assert found.high < 0


def test_rows_that_came_to_mean_something_else_cannot() -> None:
    case = rows_that_mean_something_else({"model": model(2.0), "parts": parts(4_000)})
    found = shift_mitigation(case["model"], case["parts"])
    assert found.verdict == "fail"
    assert found.remedy == "calibrate the model: its scores are no chances"


def test_scores_that_hardly_tell_the_classes_apart_are_unknown() -> None:
    told = shift_mitigation(model(0.001), parts(2_000))
    assert told.verdict in ("unknown", "fail")


def test_few_rows_are_unknown() -> None:
    assert shift_mitigation(model(2.0), parts(300)).sentence == (
        "182 rows are too few to try a shift on; 200 are needed.")


@pytest.mark.parametrize("fault", [False, True])
def test_intervals_of_a_regression_are_tried_on_rows_chosen_by_their_score(fault: bool) -> None:
    case = {"model": model(1.0, classes=()), "parts": parts(4_000, numbers=True)}
    if fault:
        case = dict(rows_that_mean_something_else(case))
    found = shift_mitigation(case["model"], case["parts"])  # type: ignore[arg-type]
    assert found.verdict == ("fail" if fault else "pass"), found.sentence
