"""Every check of private learning is quiet on its clean twin and fails on its planted faults."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shipworthy.core.evidence import Finding
from shipworthy.core.project import Privacy
from shipworthy.core.registry import registry
from shipworthy.data.analysis.profile import profile
from shipworthy.sabotage import private_learning as faults

TWINS = {"epsilon": faults.bounded, "canary": faults.noisy, "privacy-cost": faults.cheap, "sums-only": faults.honest}
FAULTS = {"epsilon": (faults.fitted_outside, faults.tuned_outside, faults.forgotten, faults.twice),
          "canary": (faults.silent, faults.silent_tables), "privacy-cost": (faults.dear,),
          "sums-only": (faults.leaking,)}


@pytest.fixture(scope="module")
def case(clean: dict[str, Any]) -> dict[str, Any]:
    return {**clean, "profile": profile(clean["parts"].learn, target="outcome"), "history": []}


def judge(name: str, case: dict[str, Any]) -> Finding:
    check = registry().checks[name]
    finding: Finding = check.function(*(case[subject] for subject in check.subjects))
    return finding


@pytest.mark.parametrize("name", TWINS)
def test_a_clean_twin_passes(name: str, case: dict[str, Any]) -> None:
    finding = judge(name, TWINS[name](case, 1))
    assert (finding.verdict, finding.remedy) == ("pass", "")


@pytest.mark.parametrize(("name", "fault"), [(name, fault) for name, each in FAULTS.items() for fault in each],
                         ids=lambda value: getattr(value, "__name__", value))
def test_a_planted_fault_is_caught(name: str, fault: Any, case: dict[str, Any]) -> None:
    finding = judge(name, fault(case))
    assert finding.verdict == "fail", finding.sentence
    assert finding.remedy


@pytest.mark.parametrize("name", ["epsilon", "canary", "privacy-cost"])
def test_without_a_budget_nothing_is_bounded(name: str, case: dict[str, Any]) -> None:
    assert judge(name, case).sentence == (
        "No [privacy] is declared, so nothing bounds what the model gives away of a person.")
    assert judge(name, case).verdict == "unknown"


@pytest.mark.parametrize("name", ["epsilon", "canary", "privacy-cost"])
def test_it_does_not_apply_where_declaration_and_scanner_find_nobody(name: str, case: dict[str, Any]) -> None:
    about = msgspec.structs.replace(case["project"].project, subject="thing")
    data = msgspec.structs.replace(case["project"].data, personal=())
    project = msgspec.structs.replace(case["project"], project=about, data=data)
    nobody = msgspec.structs.replace(case["profile"], columns=tuple(
        msgspec.structs.replace(column, personal="") for column in case["profile"].columns))
    somebody = msgspec.structs.replace(nobody, columns=(
        msgspec.structs.replace(nobody.columns[0], personal="e-mail address"), *nobody.columns[1:]))
    assert judge(name, {**case, "project": project, "profile": nobody}).verdict == "not-applicable"
    assert judge(name, {**case, "project": project, "profile": somebody}).verdict == "unknown"


def test_a_claim_beyond_the_power_of_the_canary_is_unknown(case: dict[str, Any]) -> None:
    finding = judge("canary", faults._private(case, Privacy(epsilon=8.0)))
    assert finding.verdict == "unknown"
    assert "could show 4.91 at the most" in finding.sentence
    assert finding.remedy.startswith("train more: [checks.canary] runs = ")


def test_one_controller_has_no_sums_to_send(case: dict[str, Any]) -> None:
    assert judge("sums-only", case).sentence == (
        "One controller holds every row: no other party is named in [federated].")


def test_a_message_of_rows_is_told_by_its_length(case: dict[str, Any]) -> None:
    rows = case["parts"].learn.rows * 4
    assert judge("sums-only", faults.leaking(case)).sentence == (
        f"Party 2 sent {rows:,} values where a sum has 66 (pull, turn 39); so did 1 of 120 messages.")
