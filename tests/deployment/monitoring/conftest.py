"""A small case: a fixed model of the clean world, its reference, and traffic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shipworthy.core.features import fit
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model, Sheet
from shipworthy.core.program import Linear, Lookup, Program, Term
from shipworthy.deployment.monitoring.reference import reference
from shipworthy.deployment.monitoring.watch import counted
from shipworthy.sabotage.deployment_monitoring import logged
from shipworthy.sabotage.world import world, world_project

ROLES = {"when": "time", "entity": "identifier", "sex": "ignored", "outcome": "target"}
WEIGHTS = {"num1": 1.3, "num2": -0.9, "num3": 0.9, "num4": 0.5, "flag": 0.6}
STEPS = {"a": -0.8, "b": -0.3, "c": 0.0, "d": 0.4, "e": 0.8, "f": 1.1, "low": -0.5, "mid": 0.0, "high": 0.5}


def fixed_model() -> Model:
    """The rule of the clean world as a program; nothing is fitted but the encoders."""
    table = world(0, rows=500)
    schema = table.schema
    for name, role in ROLES.items():
        schema = schema.replace(name, role=role)
    features = fit(table.with_schema(schema), schema)
    numbers = [place for place, encoder in enumerate(features.inputs) if not encoder.categorical]
    weight = np.array([[WEIGHTS.get(features.inputs[place].name, 0.0)] for place in numbers])
    terms = [Term(Linear(), {"place": np.array(numbers), "fill": np.zeros(len(numbers)), "weight": weight,
                             "missing": np.zeros_like(weight), "intercept": np.array([-0.2])})]
    for place, encoder in enumerate(features.encoders):
        if features.inputs[place].categorical:
            values = np.array([[0.0], *([STEPS[level]] for level in encoder.levels)])
            terms.append(Term(Lookup((place,)), {"cuts0": np.zeros(0), "values": values}))
    program = Program(features.inputs, tuple(terms), "logistic", ("no", "yes"), label="linear")
    return Model(Sheet(features, schema, "binary", "outcome", ("no", "yes")), program)


def make_case(seed: int = 0) -> dict[str, Any]:
    """Project, model, parts, reference and steps of a seed."""
    model = fixed_model()
    rows = world(seed, rows=3_000).with_schema(model.sheet.schema)
    parts = Parts(rows.head(1_000), rows.take(np.arange(1_000, 2_000)), rows.take(np.arange(2_000, 3_000)))
    return {"project": world_project(), "model": model, "parts": parts,
            "grid": reference(model, parts.tune, parts.holdout),
            "steps": SimpleNamespace(reference=reference, tally=partial(counted, project=world_project()))}


@pytest.fixture(scope="session")
def case() -> Mapping[str, Any]:
    return make_case()


@pytest.fixture(scope="session")
def cases() -> Callable[[int], dict[str, Any]]:
    return make_case


@pytest.fixture(scope="session")
def serve(case: Mapping[str, Any]) -> Callable[..., tuple[Any, Any]]:
    """rows → (log, labels), scored by the case's model."""

    def _serve(rows: Any = None, *, seed: int = 0, count: int = 6_000) -> tuple[Any, Any]:
        found = logged(case["model"], world(900 + seed, rows=count) if rows is None else rows, seed)
        return found["log"], found["labels"]

    return _serve
