from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.features import Features, Number
from shipworthy.core.grid import Reference
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model, Sheet
from shipworthy.core.program import Linear, Program, Scaling, Term
from shipworthy.core.table import Floats, Table
from shipworthy.deployment.monitoring.reference import reference
from shipworthy.deployment.updating.adapt import Adapted, Shift, adapted, worthwhile
from shipworthy.metrics.losses import row_losses


def table(x: Floats, seed: int, *, words: tuple[str, ...] = ("no", "yes")) -> Table:
    """Truths that follow a bent curve: sure too soon to the right."""
    random = np.random.default_rng(seed)
    came = random.random(len(x)) < 1 / (1 + np.exp(-np.where(x < 0, 2 * x, 0.5 * x)))
    found = Table.of({"x": x, "y": pa.array(np.array(words, object)[came.astype(int)].tolist())}, name="rows")
    return found.with_schema(found.schema.replace("y", role="target"))


def usual(n: int, seed: int) -> Floats:
    return np.random.default_rng([3, seed]).normal(0, 1, n)


@cache
def champion() -> tuple[Model, Reference, Parts]:
    features = Features((Number("x"),))
    term = Term(Linear(), {"place": np.zeros(1, np.int32), "fill": np.zeros(1), "weight": np.array([[2.0]]),
                           "missing": np.zeros((1, 1)), "intercept": np.zeros(1)})
    cut = Parts(*(table(usual(4_000, seed), seed) for seed in range(3)))
    model = Model(Sheet(features, cut.learn.schema, "binary", "y", ("no", "yes"), conformal=0.6),
                  Program(features.inputs, (term,), "logistic", ("no", "yes")))
    return model, reference(model, cut.tune, cut.holdout, learnt=cut.learn), cut


def logged(rows: Table) -> Table:
    answer = champion()[0].predict(rows)
    return rows.drop("y").with_column("score", pa.array(answer.score)).with_column(
        "decision", pa.array(list(answer.decision)))


def tried(rows: Table, shift: Shift = "auto") -> Adapted:
    return adapted(*champion(), logged(rows), shift=shift)


def of_class(word: str, share: float, seed: int) -> Table:
    rows = table(usual(20_000, seed), seed)
    which = rows.words("y") == word
    others = np.flatnonzero(~which)[: round(which.sum() * (1 - share) / share)]
    return rows.take(np.sort(np.r_[np.flatnonzero(which), others]))


def loss(model: Model, rows: Table) -> float:
    return float(row_losses(model.score(rows), model.truth(rows), "binary").mean())


def test_classes_that_come_otherwise_are_corrected_for() -> None:
    rows = of_class("yes", 0.9, 10)
    found = tried(rows)
    assert found.sentence.startswith("adapted to other shares of the classes: It is better for such traffic")
    assert found.model
    assert loss(found.model, rows) < loss(champion()[0], rows) - 0.02
    assert (found.model.decide(found.model.score(rows)) == champion()[0].decide(champion()[0].score(rows))).all()


def test_other_rows_are_weighed_and_the_calibration_is_that_of_those() -> None:
    rows = table(usual(8_000, 11) * 0.7 + 1.2, 11)
    found = tried(rows)
    assert found.sentence.startswith("adapted to other rows: ")
    assert found.model
    assert loss(found.model, rows) < loss(champion()[0], rows) - 0.05
    assert [finding.verdict for finding in found.findings] == ["unknown", "pass", "pass"]


def test_rows_that_training_hardly_saw_are_refused() -> None:
    found = tried(table(usual(4_000, 12) * 0.3 + 5.0, 12))
    assert found.model is None
    assert found.sentence.startswith("nothing was adapted: Training hardly saw such rows")


@pytest.mark.parametrize("shift", ["auto", "labels", "rows"])
def test_traffic_as_before_is_left_alone(shift: Shift) -> None:
    assert tried(table(usual(8_000, 13), 13), shift).model is None


def test_few_rows_are_left_alone() -> None:
    assert tried(table(usual(100, 14), 14)).sentence.startswith("nothing was adapted: 100 rows of traffic are too few")


def test_a_regressions_interval_is_widened_where_errors_grow() -> None:
    features = Features((Number("x"),))
    term = Term(Linear(), {"place": np.zeros(1, np.int32), "fill": np.zeros(1), "weight": np.array([[1.0]]),
                           "missing": np.zeros((1, 1)), "intercept": np.zeros(1)})

    def rows(x: Floats, seed: int) -> Table:
        noise = np.random.default_rng([5, seed]).normal(0, np.exp(x / 2))
        found = Table.of({"x": x, "y": x + noise}, name="rows")
        return found.with_schema(found.schema.replace("y", role="target"))

    cut = Parts(*(rows(usual(4_000, seed), seed) for seed in range(3)))
    model = Model(Sheet(features, cut.learn.schema, "regression", "y", (), conformal=2.0),
                  Program(features.inputs, (term,), "identity"))
    later = rows(usual(6_000, 15) + 1.0, 15)
    found = adapted(model, reference(model, cut.tune, cut.holdout), cut, later.drop("y").with_column(
        "score", pa.array(model.score(later))))
    assert found.findings[0].verdict == "not-applicable"
    assert found.model
    inside = [np.abs(later.numbers("x") - later.numbers("y")) <= (one.sheet.conformal or 0)
              for one in (model, found.model)]
    assert inside[0].mean() < 0.8
    assert inside[1].mean() == pytest.approx(0.9, abs=0.04)


def test_a_model_that_errs_more_is_not_worth_it() -> None:
    model, _, cut = champion()
    sharper = model.with_program(model.program.calibrated(Scaling(3.0)))
    assert worthwhile(model, sharper, cut.holdout).verdict == "fail"
    assert worthwhile(model, model, cut.holdout).verdict == "unknown"
