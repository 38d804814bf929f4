from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from shipworthy.core.evidence import Evidence
from shipworthy.core.ledger import broken
from shipworthy.core.release import Release
from shipworthy.core.settings.deployment import Rollout
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.rollout import rollout
from shipworthy.deployment.integration.serving.standing import FILE, Standing, read_standing
from shipworthy.errors import Misuse, NotFit, StoreError
from shipworthy.store import Store

BEGIN = 1_700_000_040_000_000
HOUR = 3_600_000_000
Begin = Callable[..., rollout.Rolling]
Pair = tuple[Release, Release]


def told(store: Store) -> Standing:
    found = read_standing(store.home)
    assert found
    return found


def actions(store: Store) -> list[str]:
    return [line["action"] for line in history.ledger(store) if line["action"].startswith("rollout")]


def nobody(known: rollout.Rolling, why: str) -> object:
    raise AssertionError("nobody promotes here")


def test_a_good_challenger_goes_through_every_stage_and_becomes_champion(
    run: Callable[..., Any], store: Store, pair: Pair
) -> None:
    town, decisions = run()
    assert [d.share for d in decisions if d.action == "advance"] == [0.05, 0.25, 0.5, 1.0]
    assert decisions[-1].action == "done"
    champion = history.champion(store)
    assert champion
    assert champion.id == pair[1].id
    assert history.ledger(store)[-2]["actor"] == "bob@example.org"
    stand = rollout.Stand(champion.id, told(store).champion.folder)
    assert told(store) == Standing(told(store).turn, stand, previous=history.before(history.ledger(store)))
    assert told(store).previous == rollout.Stand(pair[0].id, f"releases/{pair[0].id[:16]}")
    assert actions(store) == ["rollout start", *["rollout advance"] * 4, "rollout done"]
    assert broken(history.ledger(store)) == []
    assert len(town.where) == 1 + ("" in town.where)  # one salt through all stages
    for line in history.ledger(store)[4:]:
        if line["action"] == "rollout advance":
            assert (store.home / "rollouts" / f"{line['evidence']}.json").is_file()


def test_the_servers_are_told_at_once_and_every_move_is_a_turn(store: Store, begin: Begin, pair: Pair) -> None:
    known = begin()
    first = told(store)
    assert (first.mode, first.share, first.salt, first.unit) == ("shadow", 0.0, known.id, ("ward",))
    assert (first.champion.release, first.challenger and first.challenger.release) == (pair[0].id, pair[1].id)
    rollout.stop(store, by="ann@example.org", why="not today", now=BEGIN + 1)
    after = told(store)
    assert (after.mode, after.challenger, after.champion, after.turn) == ("alone", None, first.champion, first.turn + 1)
    assert history.ledger(store)[-1]["actor"] == "ann@example.org"
    assert begin().id != known.id


def test_a_rollback_keeps_the_champion_and_needs_a_new_start(
    run: Callable[..., Any], store: Store, pair: Pair, begin: Begin
) -> None:
    def dead(columns: dict[str, Any], rows: Any, random: Any) -> None:
        columns["score"][rows] = float("nan")

    town, decisions = run(fault=dead)
    assert decisions[-1].action == "back"
    assert "no finite score" in decisions[-1].reason
    assert told(store).mode == "alone"
    champion = history.champion(store)
    assert champion
    assert champion.id == pair[0].id
    again = rollout.step(store, town.traffic, promote=nobody, now=town.now)
    assert again.action == "none"
    assert actions(store) == ["rollout start", "rollout back"]
    begin()
    assert told(store).mode == "shadow"


def test_what_a_kill_left_undone_is_put_right_at_the_next_step(
    run: Callable[..., Any], store: Store, pair: Pair
) -> None:
    town, _ = run(looks=5)
    known = rollout.rolling(store)
    assert known
    before = told(store)
    stale = msgspec.structs.replace(before, share=0.0, mode="shadow", turn=before.turn - 1)
    (store.home / FILE).write_bytes(msgspec.json.encode(stale))  # on record, and the servers were not told
    rollout.step(store, town.traffic, promote=nobody, now=town.now)
    assert told(store) == before
    (store.home / FILE).unlink()
    rollout.step(store, town.traffic, promote=nobody, now=town.now)
    assert msgspec.structs.replace(told(store), turn=before.turn) == before


def test_a_kill_after_the_promotion_ends_in_the_promotion(begin: Begin, store: Store, pair: Pair) -> None:
    begin()
    history.promote(store, pair[1], by="bob@example.org", why="every guardrail held")
    found = rollout.step(store, lambda _: pytest.fail("no look is needed"), promote=nobody, now=BEGIN + 1)
    assert found.action == "done"
    assert told(store).champion.release == pair[1].id
    assert told(store).challenger is None


def test_a_champion_that_somebody_moves_stops_the_rollout(
    begin: Begin, store: Store, trained: Callable[..., Release]
) -> None:
    begin()
    third = trained(seed=2)
    history.promote(store, third, by="ann@example.org", why="urgent")
    found = rollout.step(store, lambda _: pytest.fail("no look is needed"), promote=nobody, now=BEGIN + 1)
    assert found.action == "stop"
    assert (told(store).champion.release, told(store).mode) == (third.id, "alone")


def test_a_champion_that_was_moved_and_moved_back_stops_it_too(
    begin: Begin, store: Store, pair: Pair, trained: Callable[..., Release]
) -> None:
    begin()
    history.promote(store, trained(seed=2), by="ann@example.org", why="urgent")
    history.rollback(store, by="ann@example.org", why="as it was")
    found = rollout.step(store, lambda _: pytest.fail("no look is needed"), promote=nobody, now=BEGIN + 1)
    assert (found.action, found.reason) == ("stop", "ann@example.org moved the champion")
    assert (told(store).champion.release, told(store).mode) == (pair[0].id, "alone")
    again = rollout.step(store, lambda _: pytest.fail("no look is needed"), promote=nobody, now=BEGIN + 2)
    assert again.action == "none"


def test_time_that_runs_out_keeps_the_champion(begin: Begin, store: Store, pair: Pair) -> None:
    begin(hours=2.0)
    found = rollout.step(store, lambda _: pytest.fail("no look is needed"), promote=nobody, now=BEGIN + 3 * HOUR)
    assert found.action == "timeout"
    assert told(store).mode == "alone"
    assert told(store).champion.release == pair[0].id


def test_a_log_that_cannot_be_read_moves_nothing(begin: Begin, store: Store) -> None:
    def unreadable(known: rollout.Rolling) -> Any:
        raise StoreError("the log cannot be read")

    begin()
    before = told(store)
    with pytest.raises(StoreError):
        rollout.step(store, unreadable, promote=nobody, now=BEGIN + 1)
    assert told(store) == before
    assert actions(store) == ["rollout start"]


def test_a_case_that_no_longer_holds_at_the_end_keeps_the_champion(
    run: Callable[..., Any], store: Store, pair: Pair
) -> None:
    def refuses(known: rollout.Rolling, why: str) -> object:
        raise NotFit("its evidence is stale")

    _, decisions = run(last=refuses)
    assert decisions[-1].action == "back"
    assert "its evidence is stale" in decisions[-1].reason
    assert told(store).champion.release == pair[0].id


def test_labels_and_segments_are_awaited_before_promotion_if_the_plan_says_so(run: Callable[..., Any]) -> None:
    _, decisions = run(plan={"labels": 10**6, "segment_rows": 10**6}, looks=14)
    assert decisions[-1].action == "hold"
    assert decisions[-1].share == 1.0
    assert "of 1,000,000 labels" in decisions[-1].reason
    assert "of 1000000 rows where smoker is" in decisions[-1].reason


def test_a_stage_is_not_left_while_no_server_counts_the_calls(run: Callable[..., Any]) -> None:
    _, decisions = run(counted=False, plan={"shadow": False}, looks=8)
    assert decisions[-1].reason == "a whole minute of requests to the challenger that the servers counted"


def test_only_who_may_promote_starts_one(store: Store, pair: Pair) -> None:
    def start(release: Release = pair[1], by: str = "bob@example.org", plan: Rollout | None = None) -> None:
        rollout.start(store, release, by=by, why="newer", plan=plan or Rollout(), now=BEGIN)

    with pytest.raises(NotFit, match="trained this model"):
        start(by="Tom@example.org")
    with pytest.raises(NotFit, match="not fit"):
        start(replace(pair[1], evidence=Evidence((), required=("data.variance",))))
    with pytest.raises(Misuse, match="name and a reason"):
        start(by=" ")
    with pytest.raises(Misuse, match="champion already"):
        start(pair[0])
    with pytest.raises(Misuse, match="do not rise to 1"):
        start(plan=Rollout(stages=(0.5, 0.1, 1.0)))
    with pytest.raises(Misuse, match='no request holds a column "wrad"'):
        start(plan=Rollout(unit=("wrad",)))
    assert actions(store) == []
    start()
    with pytest.raises(Misuse, match="under way"):
        start()


def test_there_is_none_without_a_champion_and_none_to_stop(store: Store, trained: Callable[..., Release]) -> None:
    with pytest.raises(Misuse, match="nothing is in production"):
        rollout.start(store, trained(), by="bob@example.org", why="first", plan=Rollout(), now=BEGIN)
    with pytest.raises(Misuse, match="no rollout is under way"):
        rollout.stop(store, by="bob@example.org", why="over", now=BEGIN)
    with pytest.raises(Misuse, match="name and a reason"):
        rollout.stop(store, by="", why="over", now=BEGIN)
    assert rollout.rolling(store) is None


def test_a_challenger_that_answers_another_question_is_not_rolled_out(
    store: Store, pair: Pair, trained: Callable[..., Release], model: Any
) -> None:
    sheet = msgspec.structs.replace(model.sheet, target="dead")
    other = trained(model=type(model)(sheet, model.program))
    with pytest.raises(NotFit, match="another question"):
        rollout.start(store, other, by="bob@example.org", why="newer", plan=Rollout(), now=BEGIN)
