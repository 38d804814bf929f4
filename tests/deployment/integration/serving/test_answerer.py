from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.cleaning import Cleaning, Gap, Numbers, Numerals, Times, Truths, Words
from shipworthy.core.features import Features
from shipworthy.core.model import Model
from shipworthy.core.project import Project, Serving
from shipworthy.core.table import Table
from shipworthy.deployment.integration.releases.declared import Declared
from shipworthy.deployment.integration.serving.answerer import answerer
from shipworthy.errors import BadData, Misuse

from ..conftest import patients, record, small_model, small_network


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


def test_a_model_abstains_on_what_training_never_saw_if_told_to() -> None:
    told = Declared(limits={"age": (0.0, 120.0)})
    careful = answerer(small_model(), Serving(strange="abstain"), told=told)
    for row, flagged in ((record(ward="nroth"), True), (record(age=900.0), True), (record(), False)):
        found = careful.answer([row])[0]
        assert (found["abstain"], {"unseen", "outside"} & set(found) != set()) == (flagged, flagged)
        assert careful.answer([row] * 20) == [found] * 20
        assert careful.one(careful.shape.convert([row])[0]).answer == found
    assert not answerer(small_model(), told=told).answer([record(age=900.0)])[0]["abstain"]


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


def test_contributions_of_a_network_are_refused_with_a_reason() -> None:
    answers = answerer(small_network())
    assert answers.answer([record()])[0]["prediction"] in ("no", "yes")
    with pytest.raises(Misuse, match="the model holds a network"):
        answers.answer([record()], contributions=True)


def cleaning_model() -> Model:
    """The small model, whose training had −99 for no age, doses in text, truths in words, and times without a zone."""
    return small_model().with_sheet(cleaning=Cleaning((
        Numbers("age", (Gap(-99.0, -99.0, "missing written as -99"),)), Numbers("dose", text=Numerals(unit="mg")),
        Words("ward", known={"East": "east", "east": "east"}), Truths("smoker", text=True), Times("seen", naive=True))))


def test_a_request_is_cleaned_as_training_was_and_says_what_it_took_for_missing() -> None:
    answers = answerer(cleaning_model())
    plain = answers.answer([record()])[0]
    assert answers.answer([record(dose="0.5 mg", ward=" East", smoker="Yes", seen="2024-03-01 06:00")]) == [plain]
    coded = answers.answer([record(age=-99, ward="?", dose="a few")])[0]
    assert coded == {**answers.answer([record(age=None, ward=None, dose=None)])[0], "missing": ["age", "dose", "ward"]}
    assert answers.answer([record(age=-99, ward="?", dose="a few")] * 9) == [coded] * 9


def test_the_log_keeps_what_was_asked_in_types_of_its_own() -> None:
    answers = answerer(cleaning_model())
    body = msgspec.json.encode(record(age=-99, dose="0.5 mg", ward=" East", smoker="Yes", seen="2024-03-01T06:00:00"))
    columns = answers.batch(answers.shape.decode(body)[0]).columns
    assert columns == {"age": [-99.0], "dose": ["0.5 mg"], "ward": [" East"], "smoker": [True], "grade": [2],
                       "seen": [datetime(2024, 3, 1, 6, tzinfo=UTC)]}
    assert {field.name: field.kept for field in answers.shape.fields}["dose"] == "text"


@pytest.mark.parametrize(("change", "problem"), [
    ({"age": "39"}, 'field "age": "39" is not a number, or null'),
    ({"smoker": "perhaps"}, "holds 'perhaps', which is neither true nor false"),
    ({"seen": "yesterday"}, "'yesterday' is not a time"),
    ({"dose": True}, 'field "dose": true is not a number, or text that says one, or null'),
])
def test_text_that_training_could_not_read_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadData) as caught:
        answerer(cleaning_model()).answer([record(**change)])
    assert problem in caught.value.problem
    assert caught.value.where == next(iter(change))


def test_a_value_too_rare_for_a_level_is_not_called_unseen() -> None:
    model = small_model()
    encoders = tuple(msgspec.structs.replace(e, rare=("south",)) if e.column == "ward" else e
                     for e in model.features.encoders)
    rare = model.with_sheet(features=Features(encoders))
    assert "unseen" not in answerer(rare, Serving(unseen="refuse")).answer([record(ward="south")])[0]


def test_a_model_abstains_where_costs_decide_for_a_class_outside_the_set() -> None:
    model, rows = small_model(conformal=0.5).with_sheet(threshold=1.1), records(patients())
    answers = [answerer(model).answer([row])[0] for row in rows]
    torn = [one for one in answers if one["set"] == ["yes"]]
    assert torn
    assert {(one["prediction"], one["abstain"]) for one in torn} == {("no", True)}
    assert answerer(model).answer(rows) == answers
    assert model.predict(patients()).abstain.tolist() == [one["abstain"] for one in answers]
