"""Rehearsed loops: when a known gain is found, what comes back in the next score, and what a holdback teaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.model import Model
from shipworthy.core.project import Feedback
from shipworthy.core.table import Table
from shipworthy.deployment.monitoring.loop_drill import (
    found_soon,
    holdback_teaches,
    later_gain,
    learnable,
    loop_drill,
    rehearsed,
)
from shipworthy.deployment.monitoring.loops import gain_interval
from shipworthy.learning.selection.ladder import train
from shipworthy.sabotage.feedback import held_back

Case = Mapping[str, Any]
SCORE = np.random.default_rng(0).uniform(0.2, 0.8, 5_000)


def test_a_strong_loop_is_found_in_its_first_weeks_and_none_where_there_is_none() -> None:
    strong, none = (rehearsed(SCORE, gain=gain, scale=0.1, rows=5_000, weeks=4, runs=10) for gain in (0.5, 0.0))
    assert strong.found == 1
    assert np.nanmedian(strong.week) <= 2
    assert none.found == 0
    assert strong.covers.mean() == none.covers.mean() == 1


def test_noise_that_is_too_small_for_the_traffic_is_told() -> None:
    found = found_soon(SCORE, scale=0.001, rows=500, weeks=2)
    assert found.verdict == "fail"
    assert found.sentence == (
        "With noise of 0.001 on 500 labelled rows a week, a gain of one half is shown never, in 0% of 20 simulated "
        "runs of 2 weeks; without a loop, one is shown in 0%.")
    assert found_soon(SCORE, scale=0.1, rows=20_000, weeks=2).verdict == "pass"


def test_noise_that_comes_back_in_the_next_score_of_the_same_entity_is_found() -> None:
    random = np.random.default_rng(1)
    entities, visits = 2_000, 5
    noise = random.choice([-0.05, 0.0, 0.05], (entities, visits))
    score = 0.5 + random.normal(0, 0.05, (entities, visits))
    score[:, 1:] += 0.4 * noise[:, :-1]
    person = np.repeat(np.arange(entities), visits).astype(str)
    log = Table.of({"person": person, "at": np.tile(np.arange(5.0), entities),
                    "score": score.ravel(), "noise": pa.array(noise.ravel(), mask=noise.ravel() == 0)})
    log = log.take(random.permutation(log.rows))
    _, low, high, n = gain_interval(later_gain(log, ("person",)))
    assert 5_000 < n < 5_700
    assert 0 < low < 0.4 < high
    assert later_gain(log, ()).tolist() == later_gain(log.drop("noise"), ("person",)).tolist() == [0] * 4


@pytest.fixture
def quick(case: Case) -> Callable[[Table, int], Model]:
    return lambda rows, seed: train(rows, project=case["project"], learner="boosted", seed=seed,
                                    settings={"rounds": 20, "num_leaves": 7})


def test_alarms_that_come_true_teach_all_rows_wrongly_and_those_held_back_not(
    case: Case, quick: Callable[[Table, int], Model]
) -> None:
    looped = held_back(case, 0, gain=0.9)
    rows = learnable(case, looped["log"], looped["labels"])
    found = holdback_teaches(case["model"], rows, quick, limit=0.0)
    assert found.verdict == "fail", found.sentence
    assert found.low is not None
    assert found.low > 0


def test_too_few_rows_held_back_teach_nothing(case: Case, quick: Callable[[Table, int], Model]) -> None:
    looped = held_back(case, 0, gain=0.0)
    rows = learnable(case, looped["log"], looped["labels"]).head(3_000)
    assert holdback_teaches(case["model"], rows, quick).verdict == "unknown"


def test_the_drill_says_all_that_a_log_and_a_simulation_tell(case: Case) -> None:
    looped = held_back(case, 0, gain=0.0)
    log = looped["log"].with_column("noise", pa.array(np.full(looped["log"].rows, 0.01)))
    log = log.with_column("who", pa.array((np.arange(log.rows) % 999).astype(str)))
    rules = msgspec.structs.replace(case["project"], feedback=Feedback(unit=("who",)))
    steps = SimpleNamespace(train=lambda rows, **told: train(rows, project=case["project"], **told))
    found = loop_drill({**case, "project": rules, "steps": steps}, log, looped["labels"], rows=20_000, scale=0.1)
    assert [one.check for one in found] == ["feedback-drill"] * 3
    assert "of the same entity" in found[1].sentence
    assert loop_drill({**case, "project": rules}, log.head(0), looped["labels"])[0].check == "feedback-drill"
