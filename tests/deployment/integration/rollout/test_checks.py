from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from shipworthy.core.evidence import Finding, Judged
from shipworthy.core.judge import run
from shipworthy.core.registry import Marked
from shipworthy.deployment.integration.rollout.checks import rollout
from shipworthy.deployment.monitoring.reference import reference
from shipworthy.deployment.monitoring.watch import counted
from shipworthy.marks import MARK
from shipworthy.sabotage import deployment_rollout as faults
from shipworthy.sabotage.deployment_monitoring import served

PLANTED = [f for f in vars(faults).values() if getattr(f, MARK, {}).get("kind") == "sabotage"]


@pytest.fixture
def case(clean: dict[str, Any]) -> dict[str, Any]:
    steps = clean["steps"]
    return {**clean, "steps": type("With", (), {
        **vars(steps), "reference": staticmethod(reference),
        "tally": staticmethod(partial(counted, project=clean["project"]))})()}


def judged(case: Any) -> Finding:
    return run(Marked("rollout", rollout, getattr(rollout, MARK), rollout.__module__), case, {}, Judged())


@pytest.mark.parametrize("fault", PLANTED, ids=lambda f: getattr(f, MARK)["name"])
def test_every_planted_fault_is_caught(fault: Any, case: Any) -> None:
    found = judged(fault(case))
    assert found.verdict == "fail", found.sentence


@pytest.mark.parametrize("seed", range(4))
def test_the_same_release_twice_is_quiet(case: Any, seed: int) -> None:
    found = judged(faults.same_release_twice(case, seed))
    assert found.verdict == "pass", found.sentence


def test_traffic_that_nobody_shares_is_not_judged(case: Any) -> None:
    assert judged(served(case, 0)).verdict == "not-applicable"
