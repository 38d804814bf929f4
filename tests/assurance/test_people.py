"""Fairness, bias, decisions: what is said when nothing can be measured, and what the groups are."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.assurance.bias import amplification
from shipworthy.assurance.decisions import abstain_band, reasons, resets
from shipworthy.assurance.fairness import fairness
from shipworthy.assurance.groups import Grouping, enough, groupings, mend
from shipworthy.core.learned import Parts
from shipworthy.core.project import Fairness
from shipworthy.core.table import Table


def unprotected(case: dict[str, Any]) -> Parts:
    parts = case["parts"]
    return Parts(*(rows.with_schema(rows.schema.replace("sex", protected=False))
                   for rows in (parts.learn, parts.tune, parts.holdout)))


def about(case: dict[str, Any], **facts: Any) -> Any:
    project = case["project"]
    data = msgspec.structs.replace(project.data, protected=())
    return msgspec.structs.replace(project, data=data, project=msgspec.structs.replace(project.project, **facts))


@pytest.mark.parametrize("check", [fairness, amplification])
def test_things_without_a_protected_column_do_not_need_it(check: Any, clean: dict[str, Any]) -> None:
    finding = check(about(clean, subject="thing"), clean["model"], unprotected(clean))
    assert finding.verdict == "not-applicable"
    assert 'subject = "thing"' in finding.sentence


@pytest.mark.parametrize("check", [fairness, amplification])
@pytest.mark.parametrize("subject", ["person", "undeclared"])
def test_people_without_a_protected_column_are_unknown(check: Any, subject: str, clean: dict[str, Any]) -> None:
    assert check(about(clean, subject=subject), clean["model"], unprotected(clean)).verdict == "unknown"


def test_a_thing_with_a_protected_column_is_still_measured(clean: dict[str, Any]) -> None:
    finding = fairness(about(clean, subject="thing"), clean["model"], clean["parts"])
    assert finding.verdict != "not-applicable"


def test_no_criterion_is_unknown(clean: dict[str, Any]) -> None:
    project = msgspec.structs.replace(clean["project"], fairness=Fairness())
    finding = fairness(project, clean["model"], clean["parts"])
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
    finding = amplification(clean["project"], clean["model"], few)
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
    finding = fairness(asked, model, clean["parts"])
    assert finding.verdict == "fail"
    assert re.search(r"the answer is outcome = \w+ for \d+% of the rows with sex = \w+.* and for \d+% of the rows with "
                     r"sex = \w+", finding.sentence), finding.sentence
    assert "[data] set_aside" in finding.remedy and "shipworthy waive ethics.fairness --by" in finding.remedy
    finding = amplification(project, model, clean["parts"], limit=-1.0)
    assert re.search(r"^By sex, the share of outcome = \w+ differs by [+-][\d.]+ in the data and by [+-][\d.]+ in "
                     r"decisions, sex = \w+ less sex = \w+: the model adds ", finding.sentence), finding.sentence


def test_a_remedy_names_every_column_that_the_model_reads(clean: dict[str, Any]) -> None:
    names = clean["model"].features.columns[:2]
    way = Grouping(tuple(names), np.array(["x"]), np.array([True]), ())
    assert mend(way, clean["model"], "ethics.bias").startswith(
        f'add "{names[0]}", "{names[1]}" to [data] set_aside and run again')


@pytest.mark.parametrize("facts", [{"decides": False}, {"subject": "thing"}])
def test_reasons_are_owed_only_where_a_person_is_decided_about(facts: Any, clean: dict[str, Any]) -> None:
    project = about(clean, **facts)
    assert abstain_band(project, clean["model"], clean["parts"]).verdict == "not-applicable"
    assert reasons(project, clean["model"], clean["parts"], clean["steps"]).verdict == "not-applicable"


def test_resetting_the_true_reasons_moves_every_row_back(clean: dict[str, Any]) -> None:
    model, inputs = clean["model"], clean["model"].inputs(clean["parts"].holdout)
    moved = resets(model, inputs, np.asarray(clean["steps"].contributions(model, inputs)))
    assert (moved >= -1e-9).all()
