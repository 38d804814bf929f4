"""The whole way of an adaptation and of a comparison: a champion, traffic that moved, and what is made of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shipworthy import flow, updates
from shipworthy.cli.waive import waive
from shipworthy.core.project import FILE
from shipworthy.core.table import Table
from shipworthy.deployment.integration.releases import history
from shipworthy.errors import Misuse
from shipworthy.metrics.losses import row_losses
from shipworthy.sabotage.deployment_monitoring import logged
from shipworthy.sabotage.world import PROJECT, world
from shipworthy.store.workspace import Workspace, open_workspace

QUICK = PROJECT.replace("seconds = 20.0", "seconds = 2.0").replace(
    '"trivial", "linear", "tree", "additive", "boosted"', '"trivial", "linear"')


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("adapted")
    pq.write_table(world(3, rows=3_000).data, folder / "world.parquet")
    (folder / FILE).write_text(QUICK, encoding="utf-8")
    place = open_workspace(folder)
    flow.build(place)
    soon = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    for row in flow.checklist(place).refusals:
        waive(place, row=row, by="owner@example.org", reason="a small world", until=soon)
    flow.promote(place, by="approver@example.org", why="the checklist holds")
    return place


def mostly(rows: Table, word: str, share: float) -> Table:
    """All rows of a class, and so many of the other that the class has this share."""
    which = rows.words("outcome") == word
    others = np.flatnonzero(~which)[: round(which.sum() * (1 - share) / share)]
    return rows.take(np.sort(np.r_[np.flatnonzero(which), others]))


@pytest.fixture(scope="module")
def adaptation(place: Workspace) -> updates.Adaptation:
    champion = flow.champion(place)
    assert champion
    return updates.adapt(place, log=logged(champion.model, mostly(world(4, rows=6_000), "yes", 0.75))["log"])


def test_traffic_with_other_shares_of_the_classes_makes_a_candidate_that_fits_it(
    place: Workspace, adaptation: updates.Adaptation
) -> None:
    assert adaptation.sentence.startswith("adapted to other shares of the classes: ")
    made, champion = adaptation.release, flow.champion(place)
    assert made
    assert champion
    rows = mostly(world(5, rows=6_000), "yes", 0.75)
    before, after = (row_losses(one.model.score(rows), one.model.truth(rows), "binary").mean()
                     for one in (champion, made))
    assert after < before - 0.02
    known = flow.stored(made)
    assert (known["holdout"].words("outcome") == "yes").mean() == pytest.approx(0.75, abs=0.08)
    assert made.id != champion.id
    assert flow.candidate(place).id == made.id
    last = history.ledger(place.store)[-1]
    assert (last["action"], last["subject"]["champion"], last["why"]) == ("adapt", champion.id, adaptation.sentence)


def test_the_candidate_is_judged_by_the_same_checklist_on_rows_like_the_traffic(
    place: Workspace, adaptation: updates.Adaptation
) -> None:
    champion = flow.champion(place)
    assert champion
    assert adaptation.release
    assert {one.check for one in adaptation.release.evidence.findings} >= {
        one.check for one in champion.evidence.findings}
    failed = {one.check for one in adaptation.release.evidence.findings if one.verdict == "fail"}
    assert "contract-holds" not in failed
    assert "calibration" not in failed


def test_traffic_as_it_was_changes_nothing(place: Workspace) -> None:
    champion = flow.champion(place)
    assert champion
    found = updates.adapt(place, log=logged(champion.model, world(6, rows=3_000))["log"])
    assert found.release is None
    assert found.sentence.startswith("nothing was adapted: The rows are as they were")


def test_two_releases_are_compared_and_the_change_is_the_models(
    place: Workspace, adaptation: updates.Adaptation
) -> None:
    found = updates.compare(place)
    champion = flow.champion(place)
    assert champion
    assert adaptation.release
    assert found.names == (champion.short, adaptation.release.short)
    assert found.finding.verdict == "pass"
    assert len(found.shares.losses) == 8
    change, share = found.shares.change, found.shares.shares["model"]
    assert change
    assert share
    assert share.value == pytest.approx(change.value)


def test_labelled_traffic_is_compared_as_new_data(place: Workspace) -> None:
    champion = flow.champion(place)
    assert champion
    rows = world(7, rows=2_000)
    turned = np.where(rows.words("outcome") == "yes", "no", "yes")
    told = logged(champion.model, rows.with_column("outcome", pa.array(turned)))
    found = updates.compare(place, log=told["log"], labels=told["labels"])
    assert found.names == (champion.short, champion.short)
    assert found.finding.verdict == "fail"
    assert found.finding.sentence.startswith("It got worse, most through the data: ")


def test_nothing_is_adapted_or_compared_without_a_champion(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(QUICK, encoding="utf-8")
    with pytest.raises(Misuse, match="nothing is in production"):
        updates.adapt(tmp_path)
    with pytest.raises(Misuse, match="nothing is in production") as told:
        updates.compare(tmp_path)
    assert told.value.hint.endswith("or name two releases")
