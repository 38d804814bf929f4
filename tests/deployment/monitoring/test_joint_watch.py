from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from shipworthy.core.clock import DAY
from shipworthy.core.table import Table
from shipworthy.deployment.monitoring.watch import State
from shipworthy.sabotage.deployment_drift import correlation_turned
from shipworthy.sabotage.deployment_monitoring import FIRST, logged
from shipworthy.sabotage.world import world

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


def test_a_correlation_that_turns_pages_without_labels_and_without_a_column_that_changed(case: Case) -> None:
    """Two thousand rows a day for nine days; five hundred of each are chosen by hash."""
    rows = world(950, rows=18_000)
    dealt = np.empty(rows.rows, np.int64)
    dealt[np.argsort(rows.numbers("num1"))] = np.argsort(rows.numbers("num2"))
    for turned in (True, False):
        served = rows.with_column("num2", rows.numbers("num2")[dealt]) if turned else rows
        log = logged(case["model"], served)["log"]
        log = log.with_column("at", pa.array(FIRST + np.arange(log.rows) * (DAY // 2_000), pa.timestamp("us", "UTC")))
        found = [page.families for page in look(case, log, None).incidents]
        assert found == ([("joint",)] if turned else [])


def test_the_state_with_its_history_survives_its_file(case: Case, serve: Callable[..., tuple[Table, Table]]) -> None:
    state = look(case, *serve(seed=3)).state
    assert {name.split("/")[0] for name in state.history} == {"day", "week"}
    assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state
