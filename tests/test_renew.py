"""The whole way of a renewal: a table with columns that the server never receives, served, labelled, learnt again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shipworthy import flow
from shipworthy.cli.waive import waive
from shipworthy.core.project import FILE
from shipworthy.deployment.integration.host import Server
from shipworthy.deployment.integration.replay import replay
from shipworthy.sabotage.world import PROJECT, world
from shipworthy.store.workspace import Workspace, open_workspace

QUICK = PROJECT.replace("seconds = 20.0", "seconds = 2.0").replace(
    '"trivial", "linear", "tree", "additive", "boosted"', '"trivial", "linear"').replace(
    'set_aside = ["sex"]', 'set_aside = ["sex", "num3"]')


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("renewed")
    (folder / FILE).write_text(QUICK, encoding="utf-8")
    place = open_workspace(folder)
    flow.build(place, {"world": world(3, rows=1_500)})
    soon = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    for row in flow.checklist(place).refusals:
        waive(place, row=row, by="owner@example.org", reason="a small world", until=soon)
    release = flow.promote(place, by="approver@example.org", why="the checklist holds")
    asked = world(4, rows=900).drop("entity", "sex", "num3")
    with Server(release, place.log, place.project) as server:
        assert replay(asked, server.address, label="outcome", batch=50).refused == 0
    return place


def test_a_table_with_identifiers_and_columns_set_aside_is_renewed(place: Workspace) -> None:
    renewal = flow.renew(place)
    assert renewal.findings[0].verdict == "pass"
    assert not renewal.sentence.startswith("refused before training")
    assert renewal.release is not None
    about = flow.stored(renewal.release)
    assert {"entity", "sex", "num3"} <= set(about["arrived"].schema.names)
    assert about["arrived"].schema["entity"].role == "ignored"
    assert {rule.column for rule in about["contract"].rules}.isdisjoint({"entity", "sex", "num3"})
    assert [f.sentence for f in renewal.release.evidence.findings
            if f.verdict == "fail" and f.row.startswith(("data.", "verification.data"))] == []
