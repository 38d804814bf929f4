"""The request that `shipworthy serve` prints: answered, safe to paste, and of nobody."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from shipworthy.cli.serve import request
from shipworthy.core.features import Category, Features
from shipworthy.core.model import Model
from shipworthy.deployment.integration.releases.example import example
from shipworthy.deployment.integration.serving.answerer import answerer

HOSTILE = "o'brien'; touch ran; echo '"


@pytest.fixture
def model(make_case: Callable[..., dict[str, Any]]) -> Model:
    found: Model = make_case(0)["model"]
    return found


def hostile(model: Model) -> Model:
    """The model whose categories all have hostile levels."""
    turned = tuple(msgspec.structs.replace(one, levels=tuple(f"{HOSTILE}{n}" for n in range(len(one.levels))))
                   if isinstance(one, Category) else one for one in model.features.encoders)
    return Model(msgspec.structs.replace(model.sheet, features=Features(turned)), model.program)


def test_the_example_is_answered_and_every_column_has_a_value(model: Model) -> None:
    made = example(model)
    assert set(made) == set(model.sheet.schema.names)
    assert [name for name in model.features.columns if made[name] is None] == []
    assert "prediction" in answerer(model).answer([json.loads(json.dumps(made))])[0]


def test_a_value_cannot_leave_its_quotes(model: Model) -> None:
    line = request(hostile(model), "http://127.0.0.1:8000")
    words = shlex.split(line)
    assert words[:4] == ["curl", "-s", "http://127.0.0.1:8000/v1/predict", "-d"]
    assert len(words) == 5
    assert json.loads(words[4])["cat1"].startswith(HOSTILE)
