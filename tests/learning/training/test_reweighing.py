from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.learned import Job
from shipworthy.core.project import Fairness, parse
from shipworthy.core.registry import registry
from shipworthy.core.table import Table
from shipworthy.errors import BadProject
from shipworthy.learning.selection.ladder import rungs, train
from shipworthy.learning.training.reweighing import mitigated

PROJECT = parse('[project]\nname = "p"\n[data]\ntarget = "y"\npositive = "yes"\nprotected = ["sex"]\n')
WEIGHED = msgspec.structs.replace(PROJECT, fairness=Fairness("impact-ratio", mitigation="reweighing"))


def table(rows: int = 2_000) -> Table:
    """sex moves x, and x the outcome."""
    random = np.random.default_rng(0)
    sex = random.integers(0, 2, rows)
    x = random.normal(size=rows) + sex
    made = Table.of({"x": x.tolist(), "sex": ["fm"[code] for code in sex],
                     "y": np.where(x + random.normal(size=rows) > 0.5, "yes", "no").tolist()})
    return made.with_schema(made.schema.replace("y", role="target").replace("sex", protected=True))


def gap(learner: str, project: Any, settings: dict[str, Any]) -> float:
    rows = table()
    model = train(rows, project=project, learner=learner, settings=settings)
    chosen, sex = model.decide(model.score(rows)), np.array(rows.words("sex"))
    return float(chosen[sex == "m"].mean() - chosen[sex == "f"].mean())


@pytest.mark.parametrize(("learner", "settings"), [
    ("linear", {}), ("tree", {}), ("forest", {"n_estimators": 10}), ("boosted", {"rounds": 20}),
    ("additive", {"max_rounds": 40})])
def test_every_learner_heeds_the_weights(learner: str, settings: dict[str, Any]) -> None:
    assert gap(learner, WEIGHED, settings) < gap(learner, PROJECT, settings) - 0.05


def test_without_protected_columns_or_the_setting_all_rows_weigh_the_same() -> None:
    rows, truth = table(), np.zeros(2_000, np.int64)
    assert mitigated(rows, truth, PROJECT) is None
    assert mitigated(rows.with_schema(rows.schema.replace("sex", protected=False)), truth, WEIGHED) is None


def test_weights_follow_the_rows_of_a_job() -> None:
    job = Job("binary", ("no", "yes"), (), weights=np.arange(4.0))
    assert job.only(np.array([2, 0])).weights.tolist() == [2.0, 0.0]  # type: ignore[union-attr]
    assert Job("binary", ("no", "yes"), ()).only(np.array([2, 0])).weights is None


def test_a_network_that_is_named_is_refused() -> None:
    project = msgspec.structs.replace(WEIGHED, learning=msgspec.structs.replace(
        WEIGHED.learning, learners=("linear", "network")))
    with pytest.raises(BadProject, match="a network does not weigh its rows"):
        rungs(project, "binary", registry().of("learner"))
