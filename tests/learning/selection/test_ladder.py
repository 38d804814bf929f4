"""The ladder is simple first, keeps its budget, and says why it chose."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.features import fit
from shipworthy.core.packing import pack_learned, unpack_learned
from shipworthy.core.table import Table
from shipworthy.errors import BadProject
from shipworthy.learning.selection.ladder import learn, train
from shipworthy.learning.training.parity import apart
from shipworthy.metrics.classification import auc
from shipworthy.sabotage.world import world, world_project

from ..conftest import with_roles


def rules(case: dict[str, Any], **changes: Any) -> Any:
    learning = msgspec.structs.replace(case["project"].learning, **changes)
    return msgspec.structs.replace(case["project"], learning=learning)


def test_on_a_line_the_line_is_chosen(clean: dict[str, Any]) -> None:
    assert clean["learned"].chosen.learner == "linear"
    assert clean["learned"].why.startswith("linear: ")


def test_every_candidate_has_measured_figures(clean: dict[str, Any]) -> None:
    for one in clean["learned"].candidates:
        assert one.figures.row_microseconds > 0
        assert one.figures.bytes == sum(map(len, one.model.program.files().values()))
        assert one.figures.library_difference < 1e-9
        assert len(one.scores) == clean["parts"].tune.rows


def test_the_outcome_survives_packing(clean: dict[str, Any]) -> None:
    again = unpack_learned(pack_learned(clean["learned"]))
    assert again.chosen.learner == clean["learned"].chosen.learner
    assert [one.model.digest for one in again.candidates] == [one.model.digest for one in clean["learned"].candidates]


def test_only_the_learners_asked_for_are_fitted(clean: dict[str, Any]) -> None:
    learned, margins = learn(clean["parts"], fit(clean["parts"].learn), rules(clean, learners=("tree", "trivial")))
    assert [one.learner for one in learned.candidates] == ["trivial", "tree"]
    assert set(margins) == {"trivial", "tree"}


def test_a_network_is_tried_only_where_it_is_named(clean: dict[str, Any]) -> None:
    assert "network" not in [one.learner for one in clean["learned"].candidates]
    asked = rules(clean, learners=("trivial", "network"), seconds=6.0)
    learned, _ = learn(clean["parts"], fit(clean["parts"].learn), asked)
    assert [one.learner for one in learned.candidates] == ["trivial", "network"]
    network = learned.candidates[1]
    assert not network.glass_box
    assert network.figures.metric > 0.6
    assert network.figures.library_difference < 1e-12


def test_an_unknown_learner_is_refused_with_the_nearest(clean: dict[str, Any]) -> None:
    with pytest.raises(BadProject, match='no learner "bosted"') as caught:
        learn(clean["parts"], fit(clean["parts"].learn), rules(clean, learners=("bosted",)))
    assert caught.value.hint == 'did you mean "boosted"?'


def test_a_search_records_its_trials_and_its_bounds(clean: dict[str, Any]) -> None:
    asked = rules(clean, learners=("trivial", "boosted"), search=True, seconds=8.0)
    learned, margins = learn(clean["parts"], fit(clean["parts"].learn), asked)
    boosted = learned.candidates[-1]
    assert learned.cost.trials == len([step for step in learned.course if step.seconds > 0])
    assert "learning_rate" in boosted.bounds
    inputs = boosted.model.inputs(clean["parts"].tune)
    assert apart(boosted.model.program.margin(inputs), margins["boosted"](inputs)).max() == 0


def test_what_the_clock_cut_is_said_in_the_reason_and_the_cost(clean: dict[str, Any]) -> None:
    asked = rules(clean, learners=("trivial", "boosted"), search=True, seconds=0.6)
    learned, _ = learn(clean["parts"], fit(clean["parts"].learn), asked)
    told = "no time was left for boosted; another run may choose another model"
    assert learned.cost.cut in (told, "the budget cut the search after 1 trial; another run may choose another model")
    assert learned.why.endswith(f"; {learned.cost.cut}")
    assert unpack_learned(pack_learned(learned)).cost.cut == learned.cost.cut


def test_by_trials_the_outcome_depends_on_rows_and_seed_alone(clean: dict[str, Any]) -> None:
    found = [learn(clean["parts"], fit(clean["parts"].learn),
                   rules(clean, search=True, seconds=2.0, trials=2))[0] for _ in "ab"]
    assert [one.cost.trials for one in found] == [2, 2]
    assert not found[0].cost.cut and "budget cut" not in found[0].why
    assert [one.model.digest for one in found[0].candidates] == [one.model.digest for one in found[1].candidates]


def test_a_size_limit_shrinks_boosted_trees_until_they_fit(clean: dict[str, Any]) -> None:
    learned, _ = learn(clean["parts"], fit(clean["parts"].learn),
                       rules(clean, learners=("trivial", "boosted"), max_megabytes=0.012))
    assert learned.candidates[-1].figures.bytes <= 12_000


def test_a_quick_fit_learns_the_signal_from_its_own_rows() -> None:
    project = world_project()
    table = with_roles(world(3, rows=1_500), project)
    model = train(table, project=project)
    other = with_roles(world(4, rows=500), project)
    assert auc(model.truth(other), model.score(other)) > 0.75
    assert model.classes == ("no", "yes")


@pytest.mark.parametrize(("target", "task"), [([1, 2, 3] * 40, "multiclass"), (np.linspace(0, 1, 120), "regression"),
                                              ([0, 1] * 60, "binary"), ([True, False] * 60, "binary")])
def test_the_task_follows_from_the_target(target: Any, task: str) -> None:
    from shipworthy.core.project import parse

    project = parse('[project]\nname = "p"\n[data]\ntarget = "y"')
    rows = Table.of({"x": np.random.default_rng(0).normal(size=120), "y": target})
    model = train(rows.with_schema(rows.schema.replace("y", role="target")), project=project, learner="tree")
    assert model.task == task
