from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from shipworthy.core.table import Table
from shipworthy.deployment.monitoring.watch import State
from shipworthy.sabotage.deployment_drift import correlation_turned

from .test_watch import look, verdicts

Case = Mapping[str, Any]


def test_columns_that_go_together_in_another_way_are_a_finding_that_names_them(case: Case) -> None:
    found = correlation_turned(case)
    watched = look(case, found["log"], None)
    joint = next(one for one in watched.findings if one.check == "joint-drift")
    assert joint.verdict == "fail"
    assert {"num1", "num2"} <= set(joint.counterexample["columns"])
    assert joint.sentence.startswith("Rows of traffic can be told from the reference by num")
    assert verdicts(watched)["column-drift"] == "pass"


def test_the_state_with_its_history_survives_its_file(case: Case, serve: Callable[..., tuple[Table, Table]]) -> None:
    state = look(case, *serve(seed=3)).state
    assert {name.split("/")[0] for name in state.history} == {"day", "week"}
    assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state
