"""The whole way on the clean world: built once, then judged again, promoted, refused, rolled back."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipworthy import flow
from shipworthy.cli.waive import waive
from shipworthy.core.project import FILE
from shipworthy.deployment.integration.drain import drained_log
from shipworthy.deployment.integration.host import Server
from shipworthy.deployment.integration.replay import replay
from shipworthy.errors import BadProject, Misuse, NotFit
from shipworthy.sabotage.world import PROJECT, world
from shipworthy.store.workspace import Workspace, open_workspace


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("world")
    (folder / FILE).write_text(PROJECT, encoding="utf-8")
    return open_workspace(folder)


@pytest.fixture(scope="module")
def built(place: Workspace) -> flow.Built:
    return flow.build(place, {"world": world(3)})


def test_every_row_with_a_check_has_a_finding_and_no_check_fails_on_the_clean_world(built: flow.Built) -> None:
    evidence = built.release.evidence
    assert len({finding.row for finding in evidence.findings}) >= 30
    assert [(f.check, f.sentence) for f in evidence.findings if f.verdict == "fail"] == []


def test_a_release_judged_again_from_its_own_folder_says_the_same(built: flow.Built) -> None:
    results = flow.recheck(built.release.folder)
    assert len(results) > 15
    assert [told for told in results if not told[1]] == []


def test_the_trainer_may_not_promote_and_a_stranger_to_the_gate_is_named(place: Workspace, built: flow.Built) -> None:
    for row in built.release.evidence.refusals:
        waive(place, row=row, by="owner@example.org", reason="a small world", until="2027-03-01")
    with pytest.raises(NotFit, match=r"trainer@example\.org trained this model and may not approve it"):
        flow.promote(place, by="trainer@example.org", why="mine")
    release = flow.promote(place, by="approver@example.org", why="the checklist holds")
    standing = flow.champion(place)
    assert standing is not None
    assert standing.id == release.id == built.release.id
    with pytest.raises(Misuse, match="no earlier champion"):
        flow.rollback(place, by="approver@example.org", why="to see")


def test_the_served_log_is_drained_and_watched_from_where_the_last_look_ended(
    place: Workspace, built: flow.Built
) -> None:
    assert flow.watch(place).rows == 0
    with Server(built.release, place.log, place.project) as server:
        replay(world(3, rows=300), server.address, label="outcome", batch=50)
    first, again = flow.watch(place), flow.watch(place)
    assert (first.rows, again.rows) == (300, 300)
    assert not list(place.log.glob("*.log"))
    assert again.state == first.state
    assert [path.stem for path in (place.store.home / "watch").iterdir()] == [built.release.id[:16]]
    log, labels = drained_log(place.log, place.store.tables)
    assert (log.rows, labels.rows) == (300, 300)


def test_a_second_run_on_the_same_rows_learns_nothing_again(place: Workspace, built: flow.Built) -> None:
    again = flow.prepare(place, {"world": world(3)})
    assert again["learned"].cost == built.learned.cost
    assert again["model"].digest == built.case["model"].digest
    assert "library" not in again


def test_a_row_that_does_not_exist_cannot_be_required(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(PROJECT + '\n[gate]\nalso = ["data.discovry"]\n', encoding="utf-8")
    with pytest.raises(BadProject) as caught:
        flow.build(open_workspace(tmp_path), {"world": world(0, rows=300)})
    assert caught.value.hint == 'did you mean "data.discovery"?'
