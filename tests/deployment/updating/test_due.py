from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from tests.deployment.monitoring.conftest import make_case

from shipworthy.core.evidence import Judged
from shipworthy.core.judge import run
from shipworthy.core.registry import Marked
from shipworthy.core.release import Identity, Manifest
from shipworthy.deployment.updating.due import mature, renewal_due
from shipworthy.marks import MARK
from shipworthy.sabotage import updating as faults

Case = Mapping[str, Any]
FAULTS = [f for f in vars(faults).values()
          if getattr(f, MARK, {}).get("kind") == "sabotage" and getattr(f, MARK)["check"] == "renewal-due"]


def due_case(seed: int = 0) -> dict[str, Any]:
    found = make_case(seed)
    made = Manifest("r", "world", "2024-07-01T00:00:00+00:00", Identity("c", "m", "d"), {})
    return {**found, "profile": SimpleNamespace(rows=2_000),
            "release": SimpleNamespace(manifest=made, model=found["model"])}


def judged(case: Case) -> Any:
    facts = getattr(renewal_due, MARK)
    return run(Marked("renewal-due", renewal_due, facts, ""), case, {}, Judged())


def ruled(case: Case, **settings: Any) -> Case:
    project = case["project"]
    rules = msgspec.structs.replace(project.renew, **settings)
    return {**case, "project": msgspec.structs.replace(project, renew=rules)}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: getattr(f, MARK)["name"])
def test_every_cause_makes_it_due(fault: Any) -> None:
    found = judged(fault(due_case()))
    assert found.verdict == "fail", found.sentence
    cause = {"left-standing": "age", "outgrown": "growth", "does-harm": "harm"}[getattr(fault, MARK)["name"]]
    assert cause in found.counterexample["causes"]


def test_a_young_champion_with_little_new_is_not_due() -> None:
    for seed in (1, 2):
        found = judged(faults.little_has_come(due_case(seed), seed))
        assert found.verdict == "pass", found.sentence
    assert found.sentence == (
        "The champion is not due for renewal: 13 days old of at most 365, no harm shown, 900 mature labels beside the "
        "2,000 rows that it learnt from.")


def test_the_sentence_says_how_much_came() -> None:
    found = judged(faults.outgrown(due_case()))
    assert found.sentence == (
        "The champion is due for renewal: 6,000 mature labels have come since it learnt from 2,000 rows, 2,000 were to "
        "come first.")


def test_a_cause_that_the_project_does_not_want_is_none() -> None:
    assert judged(ruled(faults.outgrown(due_case()), growth=0.0)).verdict == "pass"
    assert judged(ruled(faults.left_standing(due_case()), days=0.0)).verdict == "pass"


def test_without_an_age_limit_and_labels_nothing_is_known() -> None:
    case = faults.little_has_come(due_case(), 0)
    none = case["steps"].tally(case["model"], case["grid"], case["log"], None)
    found = judged({**ruled(case, days=0.0), "tallies": none})
    assert found.verdict == "unknown"
    assert found.sentence == ("Too little is known since the release: 0 mature labels beside the 2,000 rows that it "
                              "learnt from.")


def test_a_champion_that_learns_on_is_due_with_every_so_many_labels() -> None:
    case = ruled(faults.little_has_come(due_case(), 0), continual=True, rows=500)
    assert judged(case).verdict == "pass"
    release = case["release"]
    online = release.model.with_program(replace(release.model.program, label="online"))
    told = judged({**case, "release": SimpleNamespace(manifest=release.manifest, model=online)})
    assert told.counterexample == {"causes": ["labels"]}


def test_labels_of_days_that_are_not_in_yet_do_not_count() -> None:
    case = faults.outgrown(due_case())
    seen = case["tallies"]
    early = int(seen.cohorts.whole.at[-1])
    assert mature(replace(seen, until=early, told=early)) <= mature(seen) == 6_000
