"""What rollouts of other makers were seen to do wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.clock import HOUR
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.rollout import rollout
from shipworthy.errors import StoreError
from shipworthy.store import Store

BEGIN = 1_700_000_040_000_000
Run = Callable[..., Any]


def test_a_canary_near_zero_traffic_is_not_aborted(run: Run) -> None:
    def unlucky(columns: dict[str, Any], rows: Any, random: Any) -> None:
        columns["status"][rows], columns["decision"][rows] = 500, "neither"

    plan = {"stages": (0.01, 1.0), "shadow": False, "segments": (), "unit": ()}
    town, decisions = run(fault=unlucky, plan=plan, per_minute=10, looks=4, labelled=1.0)
    asked = sum(int((minute["arm"] == "challenger").sum()) for minute in town.rows)
    assert 0 < asked < 20
    assert {decision.action for decision in decisions} == {"hold"}
    assert decisions[-1].share == 0.01


def test_an_analysis_that_fails_again_and_again_ends_with_the_champion(
    begin: Callable[..., rollout.Rolling], store: Store, pair: Any
) -> None:
    def unreadable(known: rollout.Rolling) -> Any:
        raise StoreError("the log cannot be read")

    begin(hours=2.0)
    for minute in range(3):
        with pytest.raises(StoreError):
            rollout.step(store, unreadable, promote=unreadable, now=BEGIN + minute)
    last = rollout.step(store, unreadable, promote=unreadable, now=BEGIN + 3 * HOUR)
    assert last.action == "timeout"
    champion = history.champion(store)
    assert champion
    assert champion.id == pair[0].id


def test_a_challenger_that_is_ready_and_wrong_is_taken_back_and_every_move_has_its_evidence(
    run: Run, store: Store
) -> None:
    def wrong_and_well(columns: dict[str, Any], rows: Any, random: Any) -> None:
        some = rows & (random.random(len(rows)) < 0.25)
        columns["decision"][some] = np.where(columns["decision"][some] == "yes", "no", "yes")
        columns["status"][rows], columns["seconds"][rows] = 200, 0.001

    _, decisions = run(fault=wrong_and_well, plan={"differ": 1.0, "segments": (), "shadow": False, "minutes": 30.0})
    assert decisions[-1].action == "back"
    assert decisions[-1].reason.startswith("loss: ")
    moved = [line for line in history.ledger(store) if line["action"] in ("rollout advance", "rollout back")]
    assert moved[-1]["action"] == "rollout back"
    for line in moved:
        assert line["actor"] == "rollout"
        kept = (store.home / "rollouts" / f"{line['evidence']}.json").read_bytes()
        assert msgspec.json.decode(kept, type=rollout.Decision).reason == line["why"]
