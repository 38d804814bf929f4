"""The whole way of a renewal: a table with columns that the server never receives, served, labelled, learnt again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shipworthy import flow
from shipworthy.cli.waive import waive
from shipworthy.core.project import FILE
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases.declared import declared
from shipworthy.deployment.integration.serving.answerer import answerer
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.replay import replay
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
    asked = world(4, rows=900).drop("entity")
    with Server(release, place.log, place.project) as server:
        assert replay(asked, server.address, label="outcome", batch=50).refused == 0
    return place


@pytest.fixture(scope="module")
def renewal(place: Workspace) -> flow.Renewal:
    return flow.renew(place)


def test_a_table_with_identifiers_and_columns_set_aside_is_renewed(renewal: flow.Renewal) -> None:
    assert renewal.findings[0].verdict != "fail"
    assert not renewal.sentence.startswith("refused before training")
    assert renewal.release is not None
    failed = [f.sentence for f in renewal.release.evidence.findings
              if f.verdict == "fail" and f.row.startswith(("data.", "verification.data", "ethics."))]
    assert failed == []


def test_what_no_request_held_is_null_and_not_promised_and_what_fairness_needs_is_there(renewal: flow.Renewal) -> None:
    assert renewal.release is not None
    about = flow.stored(renewal.release)
    arrived, promised = about["arrived"], {rule.column for rule in about["contract"].rules}
    nulls = {name: arrived.column(name).null_count for name in ("entity", "num3", "sex")}
    assert nulls["entity"] == nulls["num3"] > 0
    assert nulls["sex"] == 0
    assert promised.isdisjoint(nulls)
    assert arrived.schema["entity"].role == "ignored"


def test_the_challenger_takes_the_raw_rows_that_the_champion_took(place: Workspace, renewal: flow.Renewal) -> None:
    row = world(5, rows=1).records()[0]
    champion = flow.champion(place)
    assert champion is not None
    assert renewal.release is not None
    for release in (champion, renewal.release):
        assert "prediction" in answerer(release.model, told=declared(release)).answer([row])[0]


def test_a_challenger_that_won_is_called_so_on_record_until_it_is_champion(
    place: Workspace, renewal: flow.Renewal
) -> None:
    named = history.aliases(place.store).get("challenger")
    assert renewal.release is not None
    assert named == (renewal.release.id if renewal.won else None)
