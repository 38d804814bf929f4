from __future__ import annotations

import numpy as np
import pytest

from shipworthy.core.features import Input
from shipworthy.core.learned import Job
from shipworthy.learning.training.boosted import boosted
from shipworthy.learning.training.online import Online, learnt, online
from shipworthy.learning.training.tree import tree
from shipworthy.learning.training.warm import warm

INPUTS = (Input("x"), Input("kind", 3), Input("z"))


def rows(n: int, *, seed: int = 0, turn: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs with missing values and an unknown code, and the log-odds of the second class."""
    random = np.random.default_rng(seed)
    x, kind, z = random.normal(5, 2, n), random.integers(0, 3, n).astype(float), random.normal(size=n)
    odds = turn * (x - 5) + np.array([-1.0, 0.0, 1.0])[kind.astype(int)]
    x[::17], kind[::23] = np.nan, np.nan
    return np.stack([x, kind, z], axis=1), odds


def drawn(odds: np.ndarray) -> np.ndarray:
    return (np.random.default_rng(9).random(len(odds)) < 1 / (1 + np.exp(-odds))).astype(np.int64)


BINARY = Job("binary", ("no", "yes"), INPUTS)
TASKS = {
    "binary": (BINARY, lambda odds: drawn(odds)),
    "multiclass": (Job("multiclass", ("a", "b", "c"), INPUTS), lambda odds: np.digitize(odds, [-1.0, 1.0])),
    "regression": (Job("regression", (), INPUTS), lambda odds: 40 + 3 * odds),
}


@pytest.mark.parametrize("task", TASKS)
def test_the_program_answers_as_the_learner_does(task: str) -> None:
    job, target = TASKS[task]
    inputs, odds = rows(2_000)
    made = online(inputs, target(odds), job)
    again = rows(300, seed=1)[0]
    np.testing.assert_allclose(made.program.margin(again), made.margin(again), atol=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_a_row_is_answered_by_what_came_before_it_alone(task: str) -> None:
    job, target = TASKS[task]
    inputs, odds = rows(400)
    truth = target(odds)
    whole, part = learnt(inputs[:300], truth[:300], job), learnt(inputs[:300], truth[:300], job)
    seen = whole.run(inputs[300:], truth[300:])
    np.testing.assert_allclose(part.program().margin(inputs[300:301]), seen[:1], atol=1e-9)


def test_it_learns_what_there_is_to_learn() -> None:
    inputs, odds = rows(6_000)
    truth = drawn(odds)
    made = online(inputs[:5_000], truth[:5_000], BINARY)
    right = ((made.margin(inputs[5_000:])[:, 0] > 0) == truth[5_000:]).mean()
    assert right > ((odds > 0) == truth)[5_000:].mean() - 0.04


def test_it_follows_a_relation_that_turns_round() -> None:
    inputs, odds = rows(3_000)
    truth = np.r_[drawn(odds[:2_000]), drawn(-odds[2_000:])]
    margin = Online(BINARY).run(inputs, truth)[:, 0]
    late = slice(2_500, None)
    assert ((margin[late] > 0) == truth[late]).mean() > 0.65


def test_the_loss_of_a_regression_is_near_that_of_least_squares() -> None:
    job, target = TASKS["regression"]
    inputs, odds = rows(4_000)
    truth = target(odds)
    margin = learnt(inputs[:3_000], truth[:3_000], job).program().margin(inputs[3_000:])[:, 0]
    known = np.isfinite(inputs[3_000:, :2]).all(axis=1)
    assert np.abs(margin - truth[3_000:])[known].mean() < 0.2 * truth.std()


def test_trees_grown_on_a_model_answer_as_the_library_does_and_are_better_on_newer_rows() -> None:
    inputs, odds = rows(4_000)
    old = boosted(inputs[:2_000], drawn(odds)[:2_000], Job("binary", ("no", "yes"), INPUTS, settings={"rounds": 30}))
    truth = drawn(-odds)
    made = warm(old.program, inputs[2_000:3_500], truth[2_000:3_500], BINARY)
    assert made is not None
    late = inputs[3_500:]
    np.testing.assert_allclose(made.program.margin(late), made.margin(late), atol=1e-9)
    right = [((one.margin(late)[:, 0] > 0) == truth[3_500:]).mean() for one in (old.program, made.program)]
    assert right[1] > right[0] + 0.2


def test_nothing_grows_on_a_model_whose_margin_is_a_share() -> None:
    inputs, odds = rows(500)
    assert warm(tree(inputs, drawn(odds), BINARY).program, inputs, drawn(odds), BINARY) is None


def test_probabilities_of_many_classes_add_up() -> None:
    job, target = TASKS["multiclass"]
    inputs, odds = rows(1_000)
    found = learnt(inputs, target(odds), job).program().score(inputs)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


@pytest.mark.parametrize("task", TASKS)
def test_rows_of_one_lag_are_all_answered_by_what_stood_before_them(task: str) -> None:
    job, target = TASKS[task]
    inputs, odds = rows(500)
    truth = target(odds)
    found, part = Online(job, 100).scaled(truth), Online(job, 100).scaled(truth)
    seen = found.run(inputs, truth)
    part.run(inputs[:400], truth[:400])
    np.testing.assert_allclose(part.program().margin(inputs[400:]), seen[400:], atol=1e-9)


def test_a_level_that_wanders_is_followed() -> None:
    random = np.random.default_rng(3)
    level = np.cumsum(random.normal(0, 0.1, 4_000))
    x = level + random.normal(0, 1, 4_000)
    truth = (x > level).astype(np.int64)
    margin = Online(Job("binary", ("no", "yes"), (Input("x"),))).run(x[:, None], truth)[:, 0]
    assert ((margin > 0) == truth)[1_000:].mean() > 0.75
    assert ((x > x[:1_000].mean()) == truth)[1_000:].mean() < 0.6


def test_one_value_far_off_does_not_blind() -> None:
    inputs, odds = rows(4_000)
    truth = drawn(odds)
    wrong = inputs.copy()
    wrong[1_500, 0] = 1e6
    right = [((Online(BINARY).run(one, truth)[:, 0] > 0) == truth)[2_000:].mean() for one in (inputs, wrong)]
    assert right[1] > right[0] - 0.02


def test_memories_of_less_than_half_a_lag_have_no_part() -> None:
    assert [len(Online(BINARY, lag).loss) for lag in (1, 60, 61, 500, 5_000)] == [16, 16, 9, 9, 1]
