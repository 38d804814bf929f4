"""The rows, the checks and the planted faults belong together: none stands alone."""

from __future__ import annotations

import re
from inspect import Parameter

from shipworthy.core.case import SUBJECTS
from shipworthy.core.registry import registry
from shipworthy.survey import BY_ID, ROWS, STAGES


def test_every_row_has_a_check_or_says_why_not() -> None:
    judged = {marked.facts["row"] for marked in registry().checks.values()}
    assert [row.id for row in ROWS if row.id not in judged and not row.absent] == []


def test_a_row_that_says_why_it_has_no_check_has_none() -> None:
    judged = {marked.facts["row"] for marked in registry().checks.values()}
    assert [row.id for row in ROWS if row.id in judged and row.absent] == []


def test_a_required_row_has_a_check() -> None:
    judged = {marked.facts["row"] for marked in registry().checks.values()}
    assert [row.id for row in ROWS if row.required and row.id not in judged] == []


def test_every_row_is_unique_and_of_a_stage() -> None:
    assert len(BY_ID) == len(ROWS)
    assert {row.stage for row in ROWS} == set(STAGES)


def test_every_mark_names_a_row_that_exists() -> None:
    assert {name: marked.facts["row"] for name, marked in registry().checks.items()
            if marked.facts["row"] not in BY_ID} == {}


def test_every_check_has_a_planted_fault() -> None:
    planted = {marked.facts["check"] for marked in registry().of("sabotage").values()}
    assert sorted(set(registry().checks) - planted) == []


def test_every_planted_fault_and_every_twin_names_a_check_that_exists() -> None:
    marks = [*registry().of("sabotage").values(), *registry().of("twin").values()]
    named = {marked.name: marked.facts["check"] for marked in marks}
    assert {name: check for name, check in named.items() if check not in registry().checks} == {}


def test_every_check_judges_subjects_that_exist_and_has_defaults() -> None:
    faults = []
    for name, marked in registry().checks.items():
        faults += [f"{name} judges {subject}" for subject in marked.subjects if subject not in SUBJECTS]
        faults += [f"{name} has {key} without a default"
                   for key, value in marked.settings.items() if value is Parameter.empty]
        faults += [] if marked.subjects else [f"{name} judges nothing"]
    assert faults == []


def test_every_check_has_a_kebab_case_name() -> None:
    assert [name for name in registry().checks if not re.fullmatch(r"[a-z]+(-[a-z]+)*", name)] == []
