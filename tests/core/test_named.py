"""Settings that cannot be are refused with what is meant: when the file is read, or once columns and classes are known.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shipworthy.core.judge import known_metrics
from shipworthy.core.named import check_columns, check_feedback
from shipworthy.core.project import Feedback, Project, Watching, parse
from shipworthy.errors import BadProject
from shipworthy.metrics import METRICS

HEAD = '[project]\nname = "x"\ntrainer = "Ann"\n[data]\ntarget = "y"\n'
TIME = '[split]\nkind = "time"\n'


def project(**sections: Any) -> Project:
    return msgspec.structs.replace(parse(HEAD), **sections)


@pytest.mark.parametrize(("classes", "hint"), [
    (("0", "1"), "choose one of: 0, 1"), (("reject", "accept"), 'did you mean "accept"?'),
    ((), 'a number is predicted, so write influenced = "all", or [] for none')])
def test_a_decision_that_no_class_is_is_refused_with_the_classes(classes: tuple[str, ...], hint: str) -> None:
    with pytest.raises(BadProject, match='no decision is called "accepted"') as caught:
        check_feedback(project(feedback=Feedback(influenced=("accepted",))), classes)
    assert (caught.value.where, caught.value.hint) == ("[feedback] influenced", hint)
    assert all(name in caught.value.problem for name in classes)


def test_decisions_that_are_classes_and_words_for_all_or_none_are_taken() -> None:
    for told in (("yes",), (), "all", "unknown"):
        check_feedback(project(feedback=Feedback(influenced=told)), ("no", "yes"))  # type: ignore[arg-type]


@pytest.mark.parametrize(("noise", "classes", "problem"), [
    (2.0, ("a", "b"), "has room for noise of 2"), (0.01, ("a", "b", "c"), "many classes get no noise")])
def test_noise_that_no_score_can_bear_is_refused(noise: float, classes: tuple[str, ...], problem: str) -> None:
    with pytest.raises(BadProject, match=problem):
        check_feedback(project(feedback=Feedback(randomise=noise)), classes)
    check_feedback(project(feedback=Feedback(randomise=2.0)), ())


@pytest.mark.parametrize(("sections", "where"), [
    ({"watch": Watching(segments=("colour",))}, "[watch] segments"),
    ({"watch": Watching(effects={"colour": 0.1})}, "[watch] effects"),
    ({"feedback": Feedback(unit=("colour",))}, "[feedback] unit")])
def test_a_column_that_is_not_there_is_refused_by_its_setting(sections: dict[str, Any], where: str) -> None:
    with pytest.raises(BadProject, match='no column "colour"') as caught:
        check_columns(project(**sections), ("color", "age"))
    assert (caught.value.where, caught.value.hint) == (where, 'did you mean "color"?')


def test_an_entity_is_named_by_what_requests_carry() -> None:
    named = project(feedback=Feedback(unit=("age",)))
    check_columns(named, ("age", "who"), ("age",))
    with pytest.raises(BadProject, match='no request carries the column "age"'):
        check_columns(named, ("age", "who"), ("who",))


def test_a_metric_that_is_not_there_is_refused_before_anything_is_learnt() -> None:
    with pytest.raises(BadProject, match='no metric "accurracy"') as caught:
        known_metrics(METRICS, parse(f'{HEAD}[[requirement]]\nmetric = "accurracy"\nat_least = 0.5\n'))
    assert caught.value.hint == 'did you mean "accuracy"?'


@pytest.mark.parametrize("day", ["2018-07-16", '"2018-07-16"', '"2018-07-16T00:00:00Z"', "2018-07-16T00:00:00Z",
                                 '"2018-07-16T02:00:00+02:00"'])
def test_a_day_is_its_midnight_in_utc_however_it_is_written(day: str) -> None:
    found = parse(f"{HEAD}{TIME}learn_until = {day}\ntune_until = 2018-08-01\n").split
    assert found.until("learn_until").timestamp() == 1_531_699_200


@pytest.mark.parametrize(("dates", "problem", "where"), [
    ("learn_until = 2018-07-16T06:00:00", "not a time with its zone", "[split] learn_until"),
    ('tune_until = "soon"', "'soon' is not a time with its zone", "[split] tune_until"),
    ("learn_until = 2018-07-16", "learn_until and tune_until go together", "[split]"),
    ("learn_until = 2018-07-16\ntune_until = 2018-07-01", "must follow each other", "[split]")])
def test_dates_that_cannot_be_are_refused_when_the_file_is_read(dates: str, problem: str, where: str) -> None:
    with pytest.raises(BadProject, match=problem) as caught:
        parse(f"{HEAD}{TIME}{dates}\n")
    assert caught.value.where.endswith(where)


@pytest.mark.parametrize(("rules", "problem"), [
    ('then = "promote"', "needs somebody who gave standing approval"),
    ('then = "rollout"\napprover = " "', "needs somebody who gave standing approval"),
    ('then = "promote"\napprover = "ann"', "ann trains the model and may not approve it")])
def test_nobody_and_the_trainer_give_no_standing_approval(rules: str, problem: str) -> None:
    with pytest.raises(BadProject, match=problem):
        parse(f"{HEAD}[renew]\n{rules}\n")
    assert parse(f'{HEAD}[renew]\nthen = "promote"\napprover = "Bob"\n').renew.approver == "Bob"


def test_a_change_of_no_size_is_no_effect_that_matters() -> None:
    for rule in ("effect = 0.0", "effects = { age = 0.0 }"):
        with pytest.raises(BadProject, match="> 0"):
            parse(f"{HEAD}[watch]\n{rule}\n")


def test_a_misspelt_word_of_a_list_is_met_with_the_nearest() -> None:
    with pytest.raises(BadProject) as caught:
        parse(f'{HEAD}[renew]\ncandidates = ["warm", "windows"]\n')
    assert caught.value.hint.startswith('did you mean "window"?')
