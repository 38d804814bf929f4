"""Every check of assurance fails on its planted fault and is quiet on the clean case."""

from __future__ import annotations

from typing import Any

import pytest

from shipworthy.assurance import (
    antipatterns,
    authorship,
    bias,
    criterion,
    decisions,
    explainability,
    fairness,
    inversion,
    loop,
    nontechnical,
    poisoning,
    reasons,
    teams,
    tooling,
)
from shipworthy.core.evidence import Judged
from shipworthy.core.judge import run
from shipworthy.core.registry import Marked, _marked
from shipworthy.sabotage import assurance, ethics, own_meters

MODULES = (antipatterns, authorship, bias, criterion, decisions, explainability, fairness, inversion, loop,
           nontechnical, poisoning, reasons, teams, tooling)
CHECKS = {marked.name: marked for module in MODULES for marked in _marked(module)}
PLANTED = [*_marked(assurance), *_marked(ethics), *_marked(own_meters)]
FAULTS = [marked for marked in PLANTED if marked.facts["kind"] == "sabotage"]
TWINS = {marked.facts["check"]: marked for marked in PLANTED if marked.facts["kind"] == "twin"}


def judged(name: str, case: dict[str, Any]) -> Any:
    return run(CHECKS[name], case, {}, Judged())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(fault: Marked, clean: dict[str, Any]) -> None:
    finding = judged(fault.facts["check"], fault.function(clean))
    assert finding.verdict == "fail", finding.sentence
    assert finding.remedy


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_clean_case_is_left_in_peace(name: str, clean: dict[str, Any]) -> None:
    case = TWINS[name].function(clean, 1) if name in TWINS else clean
    finding = judged(name, case)
    assert finding.verdict in ("pass", "attested"), finding.sentence


def test_every_check_has_a_sabotage() -> None:
    assert {fault.facts["check"] for fault in FAULTS} == set(CHECKS)
