from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.project import Project, Serving
from shipworthy.core.table import Table
from shipworthy.deployment.integration.serve import answerer
from shipworthy.errors import BadData, Misuse

from .conftest import record, small_model


def records(table: Table) -> list[dict[str, Any]]:
    return table.drop("ill").records()


@pytest.mark.parametrize("conformal", [None, 0.6])
@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c"), ()])
def test_single_answers_equal_the_batch_exactly(
    classes: tuple[str, ...], conformal: float | None, table: Table
) -> None:
    model = small_model(classes, conformal=conformal)
    answers = answerer(model)
    expected = model.predict(table)
    one_by_one = [answers.answer([row])[0] for row in records(table)]
    assert answers.answer(records(table)) == one_by_one
    plain = [{key: value for key, value in answer.items() if key != "unseen"} for answer in one_by_one]
    assert plain == [expected[place] for place in range(len(expected))]


def test_an_unseen_category_is_answered_and_counted_or_refused_as_declared() -> None:
    model, row = small_model(), record(ward="nroth")
    accepting = answerer(model)
    assert accepting.batch(accepting.shape.convert([row])).unseen == 1
    assert accepting.answer([row]) == [{**accepting.answer([record(ward=None)])[0], "unseen": ["ward"]}]
    with pytest.raises(BadData) as caught:
        answerer(model, Serving(unseen="refuse")).answer([row])
    assert (caught.value.where, caught.value.problem, caught.value.hint) == (
        "ward", "field \"ward\": 'nroth' was never seen in training", 'did you mean "north"?')


def test_more_rows_than_declared_are_refused(project: Project) -> None:
    with pytest.raises(BadData, match="51 records are more than the 50 allowed at once"):
        answerer(small_model(), project).answer([record()] * 51)


def test_contributions_come_from_the_function_given() -> None:
    def shares(model: Any, inputs: Any) -> Any:
        return np.where(np.isnan(inputs), 0.0, 1.0)

    answer = answerer(small_model(), contributions=shares).answer([record(age=None)], contributions=True)[0]
    assert answer["contributions"] == {"age": 0.0, "dose": 1.0, "ward": 1.0, "smoker": 1.0, "seen.hour": 1.0,
                                       "seen.month": 1.0, "grade": 1.0}
    with pytest.raises(Misuse, match="no reference row"):
        answerer(small_model()).answer([record()], contributions=True)


def test_no_records_have_no_answers() -> None:
    assert answerer(small_model()).answer([]) == []


def test_columns_that_the_model_does_not_read_may_be_sent_and_are_kept() -> None:
    model = small_model()
    schema = model.sheet.schema.replace("ill", role="group")
    answers = answerer(model.with_sheet(schema=schema))
    batch = answers.batch(answers.shape.decode(msgspec.json.encode(record(ill="yes")))[0])
    assert batch.columns["ill"] == ["yes"]
    assert answers.answer([record()]) == batch.answers


def test_exact_contributions_add_up_to_the_margin_against_the_reference() -> None:
    reference = (40.0, 0.1, 0.0, 1.0, 12.0, 3.0, 1.0)
    model = small_model().with_sheet(reference=reference)
    answers = answerer(model)
    answer = answers.answer([record()], contributions=True)[0]
    inputs = model.row({**record(), "grade": "2"})
    gap = model.program.margin(np.array([inputs, reference]))[:, 0]
    assert sum(answer["contributions"].values()) == pytest.approx(gap[0] - gap[1], abs=1e-12)
