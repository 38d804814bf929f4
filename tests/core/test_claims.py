"""Sentences about all inputs: which are understood, what they mean, and what an unknown one is told."""

from __future__ import annotations

import math

import pytest

from shipworthy.core.claims import CONDITIONS, FORMS, Claim, Condition, read_claim
from shipworthy.core.project import parse
from shipworthy.errors import BadProject

HEAD = '[project]\nname = "p"\n[data]\ntarget = "y"\n'


def spelt(form: str) -> str:
    filled = form.replace("CONDITION", "age is below 18").replace("CLASS", '"yes please"').replace("NAME", "age")
    return " ".join({"A": "0", "B": "1.5", "D": "0.2", "P": "5"}.get(word, word) for word in filled.split())


@pytest.mark.parametrize("form", FORMS)
def test_every_sentence_that_is_listed_is_understood(form: str) -> None:
    assert read_claim(spelt(form)).text == spelt(form)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_that_is_listed_is_understood(condition: str) -> None:
    said = condition.replace("NAME", '"hours a week"').replace("VALUE", "many").replace("A and B", "1 and 2")
    claim = read_claim(f"answers stay above 0 when {said.replace(' A', ' 3')} and sex is female.")
    assert [one.column for one in claim.when] == ["hours a week", "sex"]


@pytest.mark.parametrize("text, claim", [
    ("answers stay between 0 and 1", Claim("range", "", low=0, high=1)),
    ("Answers stay above -2e3.", Claim("range", "", low=-2000)),
    ("never falls when education_num rises", Claim("monotone", "", column="education_num")),
    ("Never  rises when \"number of kids\" rises.", Claim("monotone", "", column="number of kids", sign=-1)),
    ("sex alone never changes the decision", Claim("flip", "", column="sex")),
    ("sex alone moves the margin by at most .5", Claim("flip", "", column="sex", limit=0.5)),
    ("a missing age moves the margin by at most 1", Claim("missing", "", column="age", limit=1)),
    ("never decides yes when age is below 18 and job is missing", Claim("never", "", word="yes", when=(
        Condition("age", high=18, open=True), Condition("job", missing=True)))),
    ("never falls when age rises when age is between 20 and 60", Claim("monotone", "", column="age", when=(
        Condition("age", 20, 60),))),
    ("answers stay below 9 when job is \"at least one\"", Claim("range", "", high=9, when=(
        Condition("job", word="at least one"),))),
    ("errors of measurement change at most 5 % of decisions", Claim("robust", "", limit=0.05)),
])
def test_a_sentence_means_one_claim(text: str, claim: Claim) -> None:
    read = read_claim(text)
    assert (read.kind, read.column, read.sign, read.low, read.high, read.limit, read.word, read.when) == (
        claim.kind, claim.column, claim.sign, claim.low, claim.high, claim.limit, claim.word, claim.when)
    assert not math.isnan(read.low)


@pytest.mark.parametrize("text, hint", [
    ("never drops when age rises", "never falls when NAME rises"),
    ("sex never changes a decision", "NAME alone never changes the decision"),
    ("answer stays between 0 and 1", "answers stay between A and B"),
    ("missing age moves margin by 3", "a missing NAME moves the margin by at most D"),
    ("refuses when age is below 18", "never decides CLASS when CONDITION"),
])
def test_an_unknown_sentence_is_told_the_nearest(text: str, hint: str) -> None:
    with pytest.raises(BadProject) as caught:
        parse(f'{HEAD}[[property]]\nclaim = "{text}"\n')
    assert caught.value.problem == f'"{text}" is no sentence that can be proved'
    assert caught.value.where == "shipworthy.toml, [[property]] 1"
    assert caught.value.hint.startswith(f"nearest: {hint};")


@pytest.mark.parametrize("lines, problem", [
    ('claim = "answers stay between 1 and 0"', '"answers stay between 1 and 0" can hold of no answer'),
    ('claim = "never decides yes"', '"never decides yes" does not say when'),
    ('claim = "never decides yes when age is between 9 and 3"', '"age is between 9 and 3" holds of no row'),
    ('claim = "sex alone moves the margin by at most -1"',
     '"sex alone moves the margin by at most -1" allows less than nothing'),
    ('claim = "answers stay above 0"\nwithin = { age = [3, 1] }', "the range of age, 3 to 1, is empty"),
    ('claim = "errors of measurement change at most 5 % of decisions"',
     "a claim about errors of measurement, and no other, says how large they are"),
    ('claim = "answers stay above 0"\nerrors = { age = 1 }',
     "a claim about errors of measurement, and no other, says how large they are"),
    ('claim = "errors of measurement change at most 5% of decisions"\nerrors = { age = 0 }',
     "an error of measurement is above 0"),
])
def test_a_claim_that_says_nothing_is_refused(lines: str, problem: str) -> None:
    with pytest.raises(BadProject) as caught:
        parse(f"{HEAD}[[property]]\n{lines}\n")
    assert caught.value.problem == problem
    assert caught.value.hint
