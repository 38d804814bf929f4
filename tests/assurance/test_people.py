"""Fairness, bias, decisions: what is said when nothing can be measured, and what the groups are."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.assurance.bias import amplification
from shipworthy.assurance.criterion import criterion_first
from shipworthy.assurance.decisions import abstain_band, override
from shipworthy.assurance.fairness import fairness
from shipworthy.assurance.groups import Grouping, enough, groupings, mend, wished
from shipworthy.assurance.loop import gap_slope
from shipworthy.assurance.reasons import reasons, recourse
from shipworthy.core.learned import Parts
from shipworthy.core.ledger import CHOOSE, MEASURE, criterion_of, line
from shipworthy.core.project import Fairness, Recourse
from shipworthy.core.table import Table
from shipworthy.errors import BadProject


def unprotected(case: dict[str, Any]) -> Parts:
    parts = case["parts"]
    return Parts(*(rows.with_schema(rows.schema.replace("sex", protected=False))
                   for rows in (parts.learn, parts.tune, parts.holdout)))


def about(case: dict[str, Any], **facts: Any) -> Any:
    project = case["project"]
    data = msgspec.structs.replace(project.data, protected=(), personal=())
    return msgspec.structs.replace(project, data=data, project=msgspec.structs.replace(project.project, **facts))


@pytest.mark.parametrize("check", [fairness, amplification, gap_slope])
def test_things_without_a_protected_column_do_not_need_it(check: Any, clean: dict[str, Any]) -> None:
    finding = check(about(clean, subject="thing"), clean["profile"], clean["model"], unprotected(clean))
    assert finding.verdict == "not-applicable"
    assert 'subject = "thing"' in finding.sentence


@pytest.mark.parametrize("check", [fairness, amplification, gap_slope])
def test_a_declared_thing_in_which_the_scanner_sees_a_person_is_measured(check: Any, clean: dict[str, Any]) -> None:
    columns = (msgspec.structs.replace(clean["profile"].columns[0], personal="e-mail"), *clean["profile"].columns[1:])
    profile = msgspec.structs.replace(clean["profile"], columns=columns)
    assert check(about(clean, subject="thing"), profile, clean["model"], unprotected(clean)).verdict == "unknown"


@pytest.mark.parametrize("check", [fairness, amplification, gap_slope])
@pytest.mark.parametrize("subject", ["person", "undeclared"])
def test_people_without_a_protected_column_are_unknown(check: Any, subject: str, clean: dict[str, Any]) -> None:
    found = check(about(clean, subject=subject), clean["profile"], clean["model"], unprotected(clean))
    assert found.verdict == "unknown"


def test_a_thing_with_a_protected_column_is_still_measured(clean: dict[str, Any]) -> None:
    finding = fairness(about(clean, subject="thing"), clean["profile"], clean["model"], clean["parts"])
    assert finding.verdict != "not-applicable"


@pytest.mark.parametrize("check", [fairness, amplification, gap_slope])
def test_without_a_criterion_no_group_is_measured(check: Any, clean: dict[str, Any]) -> None:
    project = msgspec.structs.replace(clean["project"], fairness=Fairness())
    finding = check(project, clean["profile"], clean["model"], clean["parts"])
    assert finding.sentence == "No fairness criterion was chosen before measuring."
    assert finding.verdict == "unknown"


def test_an_open_question_says_how_many_rows_would_close_it() -> None:
    told, remedy = enough(120, value=0.0, end=0.04, limit=0.02, row="ethics.bias", share=0.1)
    assert told == "The smaller group has 120 rows here; about 480 would tell."
    assert remedy == ("hold out a larger share, [split] holdout = 0.40; or accept it for a time: "
                      "shipworthy waive ethics.bias --by WHO --reason WHY --until DAY")
    assert enough(120, value=0.0, end=0.04, limit=0.02, row="ethics.bias", share=0.2)[1].startswith("that takes more")
    near = enough(120, value=0.0199, end=0.04, limit=0.02, row="ethics.bias", share=0.1)
    assert near[0] == "It is so near what is allowed that no number of rows in reach would tell."


def test_a_gap_that_a_small_holdout_leaves_open_says_so(clean: dict[str, Any]) -> None:
    parts = clean["parts"]
    few = Parts(parts.learn, parts.tune.head(100), parts.holdout.head(200))
    finding = amplification(clean["project"], clean["profile"], clean["model"], few)
    assert finding.verdict == "unknown"
    assert finding.sentence.endswith((" would tell.", "in reach would tell."))
    assert "shipworthy waive ethics.bias" in finding.remedy


def test_small_groups_are_named_and_not_judged() -> None:
    words = ["a"] * 60 + ["b"] * 60 + ["c"] * 3
    table = Table.of({"group": words})
    table = table.with_schema(table.schema.replace("group", protected=True))
    way = groupings(table)[0]
    assert way.small == ("group = c (3)",)
    assert way.groups == 2


def test_two_protected_columns_are_also_crossed() -> None:
    table = Table.of({"sex": ["f", "m"] * 200, "age": list(range(400))})
    schema = table.schema.replace("sex", protected=True).replace("age", protected=True)
    ways = groupings(table.with_schema(schema))
    assert [way.name for way in ways] == ["sex", "age", "sex × age"]
    assert ways[1].groups == 4
    assert set(ways[1].label) == {"age ≤ 99.75", "99.75 < age ≤ 199.5", "199.5 < age ≤ 299.25", "age > 299.25"}
    assert ways[2].label[399] == "sex = m and age > 299.25"
    assert ways[2].groups == 8


def test_a_gap_names_columns_and_groups_and_a_remedy_that_exists(clean: dict[str, Any]) -> None:
    model, project = clean["model"], clean["project"]
    asked = msgspec.structs.replace(project, fairness=Fairness("impact-ratio", limit=5.0))
    finding = fairness(asked, clean["profile"], model, clean["parts"])
    assert finding.verdict == "fail"
    assert re.search(r"the answer is outcome = \w+ for \d+% of the rows with sex = \w+.* and for \d+% of the rows with "
                     r"sex = \w+", finding.sentence), finding.sentence
    assert "shipworthy mitigate" in finding.remedy and "shipworthy waive ethics.fairness --by" in finding.remedy
    assert "Not chosen, and not judged: the equalised odds difference by sex is 0." in finding.sentence
    finding = amplification(project, clean["profile"], model, clean["parts"], limit=-1.0)
    assert re.search(r"^By sex, the share of outcome = \w+ differs by [+-][\d.]+ in the data and by [+-][\d.]+ in "
                     r"decisions, sex = \w+ less sex = \w+: the model adds ", finding.sentence), finding.sentence


def test_a_remedy_says_that_leaving_a_column_out_seldom_helps(clean: dict[str, Any]) -> None:
    names = clean["model"].features.columns[:2]
    way = Grouping(tuple(names), np.array(["x"]), np.array([True]), ())
    assert mend(way, clean["model"], "ethics.bias").startswith(
        f"see what each mitigation costs: shipworthy mitigate (to leave {names[0]} and {names[1]} out seldom helps")


def test_three_protected_columns_are_crossed_with_each_other() -> None:
    table = Table.of({name: ["x", "y"] * 400 for name in "abc"})
    schema = table.schema
    for name in "abc":
        schema = schema.replace(name, protected=True)
    assert [way.name for way in groupings(table.with_schema(schema))][-1] == "a × b × c"


def test_the_class_wished_for_may_be_the_other_one(clean: dict[str, Any]) -> None:
    rules = msgspec.structs.replace(clean["project"].fairness, favourable="no")
    project = msgspec.structs.replace(clean["project"], fairness=rules)
    assert (wished(clean["project"], clean["model"]), wished(project, clean["model"])) == (1, 0)
    finding = fairness(project, clean["profile"], clean["model"], clean["parts"])
    assert "the answer is outcome = no for" in finding.sentence
    wrong = msgspec.structs.replace(project, fairness=msgspec.structs.replace(rules, favourable="nope"))
    with pytest.raises(BadProject, match='"nope" is not a value of outcome'):
        wished(wrong, clean["model"])


@pytest.mark.parametrize("facts", [{"decides": False}, {"subject": "thing"}])
def test_reasons_are_owed_only_where_a_person_is_decided_about(facts: Any, clean: dict[str, Any]) -> None:
    project, steps = about(clean, **facts), clean["steps"]
    nouns = (project, clean["profile"], clean["model"], clean["parts"])
    found = [abstain_band(*nouns), reasons(*nouns, steps), recourse(*nouns, steps),
             override(project, clean["profile"], clean["release"], steps)]
    assert {finding.verdict for finding in found} == {"not-applicable"}


def test_ways_out_that_nobody_declared_are_unknown(clean: dict[str, Any]) -> None:
    project = msgspec.structs.replace(clean["project"], recourse=Recourse())
    finding = recourse(project, clean["profile"], clean["model"], clean["parts"], clean["steps"])
    assert (finding.verdict, finding.sentence) == ("unknown", "Nobody has said what a person can change.")


def test_what_nobody_can_change_enough_is_no_way_out(clean: dict[str, Any]) -> None:
    project = msgspec.structs.replace(clean["project"], recourse=Recourse({"flag": "up"}))
    finding = recourse(project, clean["profile"], clean["model"], clean["parts"], clean["steps"])
    assert finding.verdict == "fail"
    assert "it is proved that none does, 0 are undecided" in finding.sentence


def test_a_criterion_that_is_not_on_record_did_not_come_first(clean: dict[str, Any]) -> None:
    nouns = (clean["project"], clean["profile"], clean["parts"])
    rows = {"rows": clean["parts"].holdout.digest}
    assert criterion_first(*nouns, []).sentence == (
        "The ledger does not say when groups of these holdout rows were first measured.")
    measured = line([], actor="ann", action=MEASURE, subject=rows)
    assert criterion_first(*nouns, [measured]).verdict == "fail"
    chosen = line([], actor="ann", action=CHOOSE, subject=criterion_of(clean["project"]))
    lines = [chosen, line([chosen], actor="ann", action=MEASURE, subject=rows)]
    assert criterion_first(*nouns, lines).verdict == "pass"
    forged = [{**lines[0], "at": "2000-01-01T00:00:00+00:00"}, lines[1]]
    assert criterion_first(*nouns, forged).sentence == (
        "The ledger does not hold, so it shows no order: line 0 was changed after it was written.")
