"""A lowered program is the library's model, bit for bit where the library adds in one order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from shipworthy.core.program import Program, read_program
from shipworthy.errors import Misuse
from shipworthy.learning.training.lower_network import lower_network, scaled
from shipworthy.learning.training.parity import apart, hostile

from ..conftest import INPUTS, LEARNERS, TASKS, job, sample


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", LEARNERS)
def test_a_program_equals_its_library_on_every_threshold_and_hostile_value(name: str, task: str) -> None:
    inputs, truth = sample(task)
    made = LEARNERS[name](inputs, truth, job(task))
    rows = hostile(made.program, inputs)
    with np.errstate(invalid="ignore", over="ignore"):
        off = apart(made.program.margin(rows), made.margin(rows))
    assert off.max() <= (1e-12 if name in ("linear", "network") else 1e-15)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", LEARNERS)
def test_a_program_written_and_read_scores_the_same(name: str, task: str) -> None:
    inputs, truth = sample(task, rows=200)
    program = LEARNERS[name](inputs, truth, job(task, seconds=0.2)).program
    again = read_program(program.files())
    assert again.digest == program.digest
    assert np.array_equal(again.score(inputs), program.score(inputs))


@given(seed=st.integers(0, 10_000), smooth=st.sampled_from([0.0, 10.0]), zero=st.booleans(), extra=st.integers(0, 1))
@settings(max_examples=10, deadline=None)
def test_boosted_trees_of_any_settings_are_lowered_exactly(seed: int, smooth: float, zero: bool, extra: int) -> None:
    inputs, truth = sample("binary", rows=300, seed=seed)
    if zero:
        inputs = np.nan_to_num(inputs)
    asked = job("binary", cat_smooth=smooth, extra_trees=extra, rounds=20, num_leaves=40, min_data_in_leaf=2)
    made = LEARNERS["boosted"](inputs, truth, asked)
    rows = hostile(made.program, np.concatenate([inputs, sample("binary", rows=50, seed=seed)[0]]), seed=seed)
    assert np.array_equal(made.program.margin(rows), made.margin(rows))


@given(seed=st.integers(0, 10_000), task=st.sampled_from(list(TASKS)))
@settings(max_examples=10, deadline=None)
def test_forests_over_ordered_categories_are_lowered_exactly(seed: int, task: str) -> None:
    inputs, truth = sample(task, rows=200, seed=seed)
    made = LEARNERS["forest"](inputs, truth, job(task, n_estimators=3, min_samples_leaf=2))
    rows = hostile(made.program, inputs, seed=seed)
    assert apart(made.program.margin(rows), made.margin(rows)).max() <= 1e-15


@given(seed=st.integers(0, 10_000), task=st.sampled_from(list(TASKS)), layers=st.integers(1, 2),
       activation=st.sampled_from(["relu", "tanh", "logistic"]), units=st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_networks_of_any_settings_are_lowered_up_to_the_order_of_summing(
    seed: int, task: str, layers: int, activation: str, units: int
) -> None:
    inputs, truth = sample(task, rows=200, seed=seed)
    made = LEARNERS["network"](inputs, truth, job(task, rounds=2, layers=layers, activation=activation, units=units))
    rows = hostile(made.program, np.concatenate([inputs, sample(task, rows=10_000, seed=seed)[0] * 3]), seed=seed)
    assert len(rows) > 10_000
    assert apart(made.program.margin(rows), made.margin(rows)).max() <= 1e-12
    assert np.isfinite(made.program.margin(rows)).all()


def test_a_network_gives_the_library_s_probabilities_and_values() -> None:
    for task, kind in (("binary", MLPClassifier), ("multiclass", MLPClassifier), ("regression", MLPRegressor)):
        inputs, truth = sample(task)
        columns = scaled(inputs, INPUTS)
        model = kind(hidden_layer_sizes=(9, 5, 4), activation="tanh", max_iter=5, random_state=0)
        with pytest.warns(ConvergenceWarning):
            model.fit(columns(inputs), truth)
        program = Program(INPUTS, (lower_network(model, columns),), job(task).link, TASKS[task])
        theirs = model.predict(columns(inputs)) if task == "regression" else model.predict_proba(columns(inputs))
        ours = program.score(inputs)
        assert np.abs(ours - (theirs[:, 1] if task == "binary" else theirs)).max() <= 1e-12


@pytest.mark.parametrize(("changes", "why"), [({"layers": 3}, "3 layers of 32 units"), ({"units": 300}, "300 units"),
                                              ({"activation": "swish"}, "cannot be fitted")])
def test_a_network_that_cannot_be_made_is_refused(changes: dict[str, Any], why: str) -> None:
    inputs, truth = sample("binary", rows=100)
    with pytest.raises(Misuse, match=why):
        LEARNERS["network"](inputs, truth, job("binary", **changes))


def test_a_class_that_the_rows_lack_gets_no_share() -> None:
    inputs, truth = sample("multiclass", rows=300)
    kept = truth != 2
    for name in ("tree", "forest"):
        made = LEARNERS[name](inputs[kept], truth[kept], job("multiclass"))
        assert made.program.score(inputs)[:, 2].max() == 0


def test_a_setting_that_a_learner_does_not_have_is_refused_with_the_nearest() -> None:
    inputs, truth = sample("binary", rows=100)
    with pytest.raises(Misuse, match='no setting "num_leafs"') as caught:
        LEARNERS["boosted"](inputs, truth, job("binary", num_leafs=3))
    assert caught.value.hint == 'did you mean "num_leaves"?'


@pytest.mark.parametrize("name", LEARNERS)
def test_the_settings_that_a_learner_reports_fit_it_again(name: str) -> None:
    inputs, truth = sample("binary", rows=300)
    first = LEARNERS[name](inputs, truth, job("binary"))
    again = LEARNERS[name](inputs, truth, job("binary", seconds=5, **first.settings))
    assert again.program.inputs == INPUTS
    assert np.corrcoef(first.margin(inputs)[:, 0], again.margin(inputs)[:, 0])[0, 1] > 0.95


def test_an_infinite_threshold_is_kept() -> None:
    inputs, truth = sample("binary", rows=300, seed=130)
    asked = job("binary", cat_smooth=0.0, rounds=20, num_leaves=40, min_data_in_leaf=2)
    made = LEARNERS["boosted"](inputs, truth, asked)
    assert np.isinf(made.program.terms[0].arrays["threshold"]).any()
    endless = np.where(np.arange(5) == 2, np.inf, inputs)
    assert np.array_equal(made.program.margin(endless), made.margin(endless))
