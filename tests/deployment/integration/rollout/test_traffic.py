from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shipworthy.core.clock import MINUTE
from shipworthy.core.settings.deployment import Rollout
from shipworthy.core.table import Table
from shipworthy.deployment.integration.rollout.calls import (
    EDGES,
    Calls,
    Sampler,
    add_calls,
    forget_calls,
    merged,
    read_calls,
)
from shipworthy.deployment.integration.rollout.guardrails import assigned, server_errors, split
from shipworthy.deployment.integration.rollout.traffic import Arms, Traffic, arms, entities


def rows(*told: tuple[str, str, float]) -> Table:
    """Entity, arm and propensity of rows in order."""
    start = datetime(2024, 5, 1, tzinfo=UTC)
    return Table.of({
        "prediction_id": [f"{n:04d}" for n in range(len(told))],
        "at": [start + timedelta(seconds=n) for n in range(len(told))],
        "release": ["new" if arm == "challenger" else "old" for _, arm, _ in told],
        "arm": [arm for _, arm, _ in told], "propensity": [chance for _, _, chance in told],
        "score": [0.5] * len(told), "decision": ["yes"] * len(told), "abstain": [False] * len(told),
        "who": [who for who, _, _ in told]})


def of(table: Table, unit: tuple[str, ...] = ("who",), **more: Any) -> Arms:
    return arms(Traffic(table, **more), champion="old", challenger="new", since=0, unit=unit)


def test_an_entity_counts_once_a_share_given_where_it_was_seen_to_lie() -> None:
    found = of(rows(("ann", "champion", 0.9), ("ann", "champion", 0.9), ("bob", "challenger", 0.1),
                    ("ann", "champion", 0.5), ("bob", "challenger", 0.5), ("cid", "challenger", 0.5)))
    chance, judged = assigned(found)
    assert chance == pytest.approx([0.1, 0.1, 4 / 9, 1.0, 0.5])
    assert judged.tolist() == [False, True, False, True, True]


def test_an_entity_that_falls_back_to_the_champion_while_the_share_grows_cannot_be() -> None:
    found = of(rows(("bob", "challenger", 0.1), ("bob", "champion", 0.5)))
    chance, judged = assigned(found)
    assert chance.tolist() == [0.1, 1.0]
    assert judged.tolist() == [True, False]


def test_without_a_unit_every_row_is_its_own() -> None:
    chance, _ = assigned(of(rows(("ann", "champion", 0.9), ("ann", "challenger", 0.1)), unit=()))
    assert chance == pytest.approx([0.1, 0.1])


def test_each_row_without_an_entity_counts_for_itself_in_the_split() -> None:
    table = rows(("ann", "champion", 0.9), ("bob", "challenger", 0.1), *[("cid", "champion", 0.9)] * 2)
    chance, judged = assigned(of(table.with_column("who", ["ann", None, None, "ann"])))
    assert chance == pytest.approx([0.1, 0.1, 0.1])
    assert judged.tolist() == [False, True, False]


@pytest.mark.parametrize(("challenged", "verdict"), [(100, "pass"), (0, "fail"), (1_000, "fail")])
def test_rows_without_an_entity_that_all_go_to_one_arm_are_a_split_that_was_not_told(
    challenged: int, verdict: str
) -> None:
    table = rows(*[("", "challenger", 0.1)] * challenged, *[("", "champion", 0.9)] * (1_000 - challenged))
    found = of(table.with_column("who", [None] * 1_000))
    assert split(found, Rollout(), 0.01).verdict == verdict


def test_rows_without_an_entity_are_their_own() -> None:
    table = Table.of({"who": ["ann", None, None, "ann"]})
    code = entities([table], ("who",))
    assert code is not None
    assert (len(set(code.tolist())), code[0] == code[3]) == (3, True)
    assert entities([table], ("whom",)) is None


def test_rows_that_were_asked_of_the_challenger_by_name_are_nobodys_sample() -> None:
    table = rows(("ann", "challenger", 1.0), ("bob", "challenger", 0.1))
    drawn = arms(Traffic(table), champion="old", challenger="new", since=0, shares=(0.0, 0.1))
    assert drawn.challenger.rows == 1
    assert of(table).challenger.rows == 2


def test_no_traffic_is_no_evidence() -> None:
    found = of(rows(("ann", "champion", 1.0)).head(0))
    assert len(found.differences()) == 0
    assert len(assigned(found)[0]) == 0


def test_calls_survive_in_files_and_merge_over_servers(tmp_path: Path) -> None:
    add_calls(tmp_path / "calls-a.jsonl", [Calls(0, "champion", 1, 0, {35: 1})])
    add_calls(tmp_path / "calls-a.jsonl", [Calls(MINUTE, "champion", 1, 1, {len(EDGES): 1})])
    add_calls(tmp_path / "calls-b.jsonl", [Calls(0, "champion", 1, 1, {35: 1}), Calls(0, "challenger", 1, 0, {0: 1})])
    with (tmp_path / "calls-a.jsonl").open("ab") as file:
        file.write(b'{"at":0,"arm":"cham')  # killed here
    found = read_calls(tmp_path)
    assert [(each.at, each.arm, each.requests, each.errors) for each in found] == [
        (0, "challenger", 1, 0), (0, "champion", 2, 1), (MINUTE, "champion", 1, 1)]
    assert [each.cells for each in found] == [{0: 1}, {35: 2}, {len(EDGES): 1}]
    assert merged(read_calls(tmp_path, since=1)) == found[2:]


def test_calls_that_nobody_asks_for_any_more_are_forgotten(tmp_path: Path) -> None:
    for name, at in (("a", 5), ("b", 7)):
        path = tmp_path / f"calls-{name}.jsonl"
        add_calls(path, [Calls(at * MINUTE, "champion", at)])
        os.utime(path, ns=(0, at * MINUTE * 1_000))
    (tmp_path / "labels-1.log").touch()
    assert forget_calls(tmp_path, 5 * MINUTE) == 0
    assert forget_calls(tmp_path, 7 * MINUTE) == 1
    assert [each.requests for each in read_calls(tmp_path)] == [7]
    assert len(list(tmp_path.iterdir())) == 2


def test_running_totals_become_calls_of_the_minute_that_is_over() -> None:
    def slow(**counts: int) -> list[int]:
        return [counts.get(f"_{cell}", 0) for cell in range(len(EDGES) + 1)]

    read = Sampler()
    assert read.taken("champion", 5 * MINUTE + 7, 3, slow(_4=100, _9=20, _164=1)) is None
    found = read.taken("champion", 6 * MINUTE + 7, 5, slow(_4=190, _9=30, _164=1))
    assert found == Calls(5 * MINUTE, "champion", 100, 2, {4: 90, 9: 10})
    assert read.taken("champion", 7 * MINUTE + 7, 5, slow(_4=190, _9=30, _164=1)) is None
    assert read.taken("champion", 8 * MINUTE + 7, 0, slow(_4=1)) is None  # started again
    after = read.taken("champion", 9 * MINUTE + 7, 0, slow(_4=3))
    assert after is not None
    assert after.requests == 2


@pytest.mark.parametrize(("errors", "requests", "usual", "verdict"), [
    (20, 20, 0, "fail"), (4, 20, 0, "pass"), (10, 100, 0, "pass"), (11, 100, 0, "fail"), (30, 100, 30, "pass"),
    (19, 19, 0, "unknown")])
def test_a_minute_of_failures_needs_requests_and_a_champion_that_answers(
    errors: int, requests: int, usual: int, verdict: str
) -> None:
    calls = (Calls(0, "challenger", requests, errors), Calls(0, "champion", 100, usual))
    found = of(rows(("ann", "champion", 1.0)), calls=merged(calls))
    assert server_errors(found, Rollout()).verdict == verdict


def test_failures_of_a_quiet_challenger_add_up_over_minutes() -> None:
    calls = tuple(Calls(k * MINUTE, "challenger", 5, 5) for k in range(4))
    assert server_errors(of(rows(("ann", "champion", 1.0)), calls=calls), Rollout()).verdict == "fail"
