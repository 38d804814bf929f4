"""Late labels, the audit sample, bias in parts, and gaps between groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.clock import DAY
from shipworthy.core.evidence import Finding, Judged
from shipworthy.core.judge import run
from shipworthy.core.registry import Marked
from shipworthy.core.tallies import Sums
from shipworthy.deployment.monitoring.audit import audited, audited_performance
from shipworthy.deployment.monitoring.bias import paths, prediction_bias
from shipworthy.deployment.monitoring.chosen import AUDITS, level_of, levels
from shipworthy.deployment.monitoring.counting import counting, tally
from shipworthy.deployment.monitoring.fairness import fairness_over_time, gaps
from shipworthy.deployment.monitoring.late import cohorts, late_labels
from shipworthy.deployment.monitoring.watch import CHECKS
from shipworthy.marks import MARK
from shipworthy.sabotage import late_labels as faults

Case = Mapping[str, Any]
ALL = {getattr(f, MARK)["name"]: f for f in CHECKS}
PLANTED = [f for f in vars(faults).values() if getattr(f, MARK, {}).get("kind") == "sabotage"]
TWINS = [f for f in vars(faults).values() if getattr(f, MARK, {}).get("kind") == "twin"]


def judged(check: str, case: Case) -> Finding:
    function = ALL[check]
    return run(Marked(check, function, getattr(function, MARK), function.__module__), case, {}, Judged())


@pytest.mark.parametrize("fault", PLANTED, ids=lambda f: getattr(f, MARK)["name"])
def test_every_planted_fault_is_caught(fault: Any, case: Case) -> None:
    found = judged(getattr(fault, MARK)["check"], fault(case))
    assert found.verdict == "fail", found.sentence


@pytest.mark.parametrize("twin", TWINS, ids=lambda f: getattr(f, MARK)["check"])
def test_every_clean_twin_is_quiet(twin: Any, cases: Callable[[int], dict[str, Any]]) -> None:
    for seed in (1, 2):
        found = judged(getattr(twin, MARK)["check"], twin(cases(seed), seed))
        assert found.verdict == "pass", found.sentence
