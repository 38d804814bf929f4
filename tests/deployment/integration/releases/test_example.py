"""The record that `shipworthy serve` shows: usual values, decoded from the model, that the model answers."""

from __future__ import annotations

import numpy as np

from shipworthy.deployment.integration.releases.example import example
from shipworthy.deployment.integration.serving.answerer import answerer

from ..conftest import small_model

USUAL = (41.0, 0.25, 2.0, 1.0, 10.0, 3.0, None)


def test_an_example_is_the_reference_row_and_nobodys() -> None:
    assert example(small_model().with_sheet(reference=USUAL)) == {
        "age": 41.0, "dose": 0.25, "ward": "west", "smoker": True, "seen": "2024-03-01T10:00:00Z",
        "grade": None}


def test_an_example_is_answered_and_read_as_the_reference() -> None:
    model = small_model().with_sheet(reference=USUAL)
    answers = answerer(model)
    answers.answer([example(model)])
    columns = answers.shape.columns(answers.shape.convert([example(model)]))
    assert np.array_equal(model.rows(columns)[0], model.reference, equal_nan=True)


def test_a_model_without_a_reference_shows_its_columns_as_null() -> None:
    assert set(example(small_model().with_sheet(reference=())).values()) == {None}
