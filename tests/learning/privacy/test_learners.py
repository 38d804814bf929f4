"""Private learners: bounded sums, tables and lines equal to what was trained, and nothing read from rows."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.packing import pack_learned, unpack_learned
from shipworthy.core.private import Private, Spent, Step
from shipworthy.core.project import Privacy, parse
from shipworthy.core.table import Floats
from shipworthy.errors import BadProject, Misuse
from shipworthy.learning.privacy.boosting import Boosting, boost
from shipworthy.learning.privacy.budget import on_record, within
from shipworthy.learning.privacy.declared import declared
from shipworthy.learning.privacy.descent import Descent, descend
from shipworthy.learning.privacy.learners import private_additive, private_linear
from shipworthy.learning.privacy.tuned import as_counted, with_counts
from shipworthy.learning.selection.ladder import encoders, learn
from shipworthy.learning.training.parity import hostile
from shipworthy.sabotage.private_learning import _declared

from ..conftest import INPUTS, job, sample

BOUNDS = ((-4.0, 4.0), (-4.0, 4.0), (0.0, 9.0), (0.0, 0.0), (0.0, 0.0))
LEARNERS = [private_linear, private_additive]
TEXT = """
[project]
name = "p"
[data]
target = "y"
[data.limits]
age = [0, 120]
[split]
kind = "random"
[privacy]
[privacy.levels]
town = ["a", "b"]
"""


class Still:
    """No noise: what is left is what was trained."""

    def random(self, size: Any) -> Floats:
        return np.random.default_rng(0).random(size)

    def normal(self, loc: float, scale: float, size: Any) -> Floats:
        return np.full(size, loc)


def told(**rules: Any) -> Private:
    heavy = (False, False, True, False, False)
    return Private(Privacy(**rules), BOUNDS, heavy, np.random.default_rng(1))


def asked(**rules: Any) -> Any:
    import dataclasses

    return dataclasses.replace(job("binary"), private=told(**rules))


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_program_equals_what_was_trained_on_every_awkward_row(learner: Any) -> None:
    inputs, truth = sample("binary")
    made = learner(inputs, truth, asked())
    rows = hostile(made.program, inputs)
    rows = rows[np.isfinite(rows[:, :3]).all(axis=1) | np.isnan(rows[:, :3]).any(axis=1)]
    np.testing.assert_allclose(made.program.margin(rows), made.margin(rows), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("learner", LEARNERS)
def test_what_is_spent_keeps_to_the_budget_with_all_its_releases(learner: Any) -> None:
    inputs, truth = sample("binary")
    one, two = (learner(inputs, truth, asked(releases=count)).private for count in (1, 2))
    assert one.epsilon == 1.0 and one.rows == 600
    assert all(after.sigma > before.sigma for before, after in zip(one.steps, two.steps, strict=True))


@pytest.mark.parametrize("learner", LEARNERS)
def test_without_a_budget_a_private_learner_does_not_start(learner: Any) -> None:
    with pytest.raises(BadProject, match="a private learner needs a budget"):
        learner(*sample("binary"), job("binary"))


def test_one_row_moves_no_gradient_by_more_than_the_clip_norm() -> None:
    matrix, truth = np.array([[300.0, 0.0], [0.0, 0.01]]), np.array([1, 0])
    recipe = Descent(steps=1, share=1.0, clip=0.5, rate=1.0)
    assert descend(matrix, truth, recipe, Still()) == pytest.approx(np.array([[0.25, -0.0025]]))


def test_runs_side_by_side_are_independent_trainings() -> None:
    inputs, truth = sample("binary")
    matrix = np.nan_to_num(inputs[:, :3])
    found = descend(matrix, truth, Descent(steps=50, sigma=1.0), np.random.default_rng(0), runs=3)
    assert found.shape == (3, 3) and len(np.unique(found[:, 0])) == 3


def test_boosting_without_noise_finds_the_rate_of_every_cell() -> None:
    codes = np.repeat([1, 2], 500)[:, None]
    truth = np.r_[np.ones(400), np.zeros(100), np.ones(100), np.zeros(400)].astype(np.int64)
    [table] = boost(codes, [3], truth, Boosting(rounds=200, rate=0.5, inputs=1), Still())
    np.testing.assert_allclose(table[0], [0, np.log(4), -np.log(4)], atol=0.02)


def test_a_row_more_moves_each_noisy_sum_by_less_than_one() -> None:
    recipe = Boosting(rounds=1, rate=1.0, inputs=1)
    with_row = boost(np.array([[0], [1]]), [2], np.array([0, 1]), recipe, Still())[0]
    without = boost(np.array([[0]]), [2], np.array([0]), recipe, Still())[0]
    assert with_row[0, 0] == without[0, 0] and without[0, 1] == 0
    assert 0 < with_row[0, 1] * (1 / 4 + 1) <= 1


def test_tune_rows_are_seen_only_through_noisy_counts() -> None:
    spent = Spent((Step("a sum", "learn", 100.0),), 1.0, 1e-5, {}, 600)
    scores = np.repeat([0.11, 0.91], [3000, 1000])
    counted = with_counts(spent, scores, np.repeat([0, 1], [3000, 1000]), np.random.default_rng(0), releases=1)
    assert [step.part for step in counted.steps] == ["learn", "tune"]
    found, truth = as_counted(counted)
    assert found[truth == 0].mean() == pytest.approx(0.11, abs=0.01)
    assert (truth == 1).sum() == pytest.approx(1001, abs=20)


def schema(**kinds: str) -> Any:
    from shipworthy.core.schema import Column, Schema

    return Schema(tuple(Column(name, kind) for name, kind in kinds.items()))  # type: ignore[arg-type]


def test_encoders_are_what_the_project_file_declares() -> None:
    found = declared(schema(age="number", town="category", smoker="boolean", y="category"), parse(TEXT))
    assert [(one.name, one.levels) for one in found.inputs] == [("age", 0), ("town", 2), ("smoker", 0)]


@pytest.mark.parametrize(("text", "kinds", "problem"), [
    (TEXT, {"income": "number"}, 'the column "income" has no declared bounds, and none may be read from its rows'),
    (TEXT, {"street": "category"}, 'the column "street" has no declared levels, and none may be read from its rows'),
    (TEXT, {"income": "number", "age": "number", "street": "category"},
     'the column "income" has no declared bounds, and none may be read from its rows; bounds or levels are also '
     "missing for street"),
    (TEXT.replace('kind = "random"', ""), {"age": "number"},
     "with [privacy], rows may be divided by their place or by declared dates only"),
    (TEXT.replace('target = "y"', 'target = "y"\ngroup = "who"'), {"age": "number"},
     "[privacy] protects a row, and the rows of one group are several"),
])
def test_what_rows_would_decide_is_refused(text: str, kinds: dict[str, str], problem: str) -> None:
    with pytest.raises(BadProject) as told:
        declared(schema(**kinds), parse(text))
    assert told.value.problem == problem
    assert told.value.hint


def test_only_its_own_learner_may_look_at_the_rows(clean: dict[str, Any]) -> None:
    project = _declared(clean["project"], clean["parts"].learn, Privacy(), ())
    several = msgspec.structs.replace(project, learning=msgspec.structs.replace(
        project.learning, learners=("linear", "private-additive")))
    with pytest.raises(BadProject, match="only its own learner may look at the rows"):
        learn(clean["parts"], encoders(clean["parts"].learn, several), several)


def test_every_training_is_on_record_and_none_begins_beyond_the_budget(clean: dict[str, Any]) -> None:
    project = _declared(clean["project"], clean["parts"].learn, Privacy(), ())
    parts, lines = clean["parts"], []

    def compute() -> dict[str, Any]:
        return pack_learned(learn(parts, encoders(parts.learn, project), project)[0])

    def record(**line: Any) -> None:
        lines.append(line)

    outputs = within(project, lines, compute, record)()
    assert list(on_record(lines)) == [unpack_learned(outputs).chosen.private]
    with pytest.raises(Misuse, match="the privacy budget is spent: 1 of 1 trainings were made"):
        within(project, lines, compute, record)()


def test_no_privacy_is_spent_on_a_release_that_nobody_may_promote(clean: dict[str, Any]) -> None:
    project = _declared(clean["project"], clean["parts"].learn, Privacy(), ())
    nameless = msgspec.structs.replace(project, project=msgspec.structs.replace(project.project, trainer=""))
    with pytest.raises(Misuse, match="no trainer is named"):
        within(nameless, [], dict, dict)()


def test_a_reference_row_is_the_middle_of_what_is_declared(clean: dict[str, Any]) -> None:
    project = _declared(clean["project"], clean["parts"].learn, Privacy(), ())
    found = learn(clean["parts"], encoders(clean["parts"].learn, project), project)[0].chosen.model
    low, high = project.data.limits["num1"]
    place = [one.name for one in found.features.inputs].index("num1")
    assert found.reference[place] == (low + high) / 2
    assert len(INPUTS) == len(BOUNDS)
