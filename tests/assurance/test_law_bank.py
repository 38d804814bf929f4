"""Every check of law fails on its planted fault and is quiet on the clean case."""

from __future__ import annotations

from typing import Any

import pytest

from shipworthy.core.evidence import Judged
from shipworthy.core.judge import run
from shipworthy.core.registry import Marked, _marked, registry
from shipworthy.sabotage import law as planted

FAULTS = [marked for marked in _marked(planted) if marked.facts["kind"] == "sabotage"]
TWINS = {marked.facts["check"]: marked for marked in _marked(planted) if marked.facts["kind"] == "twin"}


def judged(name: str, case: dict[str, Any]) -> Any:
    return run(registry().checks[name], case, {}, Judged())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(fault: Marked, clean: dict[str, Any]) -> None:
    finding = judged(fault.facts["check"], fault.function(clean))
    assert finding.verdict == "fail", finding.sentence
    assert finding.remedy


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", sorted({fault.facts["check"] for fault in FAULTS}))
def test_a_clean_case_is_left_in_peace(name: str, seed: int, clean: dict[str, Any]) -> None:
    case = TWINS[name].function(clean, seed) if name in TWINS else clean
    finding = judged(name, case)
    assert finding.verdict in ("pass", "attested"), finding.sentence
