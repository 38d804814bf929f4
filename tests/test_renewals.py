"""A renewal by the keeper: due, tried, won, and sent to a rollout by standing approval; and what is refused before."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy import flow, renewals, rollouts
from shipworthy.core.clock import HOUR, now_us
from shipworthy.core.project import FILE
from shipworthy.core.table import Table
from shipworthy.deployment.integration.log.drain import drained_log
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.replay import replay
from shipworthy.errors import NotFit
from shipworthy.sabotage.world import PROJECT, world
from shipworthy.store.workspace import Workspace, open_workspace
from shipworthy.survey import ROWS

REQUIRED = json.dumps([row.id for row in ROWS if row.required])
QUICK = PROJECT.replace("seconds = 20.0", "seconds = 2.0\ntrials = 1").replace(
    '"trivial", "linear", "tree", "additive", "boosted"', '"linear"') + f"[gate]\nwithout = {REQUIRED}\n"
RULES: dict[str, Any] = {"mode": "automatic", "growth": 1.5, "search": "never", "candidates": ("recalibrate", "window"),
                         "then": "rollout", "approver": "approver@example.org"}


def changed(seed: int, rows: int) -> Table:
    """The clean world, but one of its figures says the opposite of what it said."""
    found = world(seed, rows=rows)
    return found.with_column("num2", -found.numbers("num2"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("kept")
    (folder / FILE).write_text(QUICK, encoding="utf-8")
    place = open_workspace(folder)
    flow.build(place, {"world": world(3, rows=1_500)})
    release = flow.promote(place, by="approver@example.org", why="nothing is required of so small a world")
    with Server(release, place.log, place.project) as server:
        assert replay(changed(4, 1_200).drop("entity"), server.address, label="outcome", batch=100).refused == 0
    return place


def ruled(place: Workspace, **settings: Any) -> Workspace:
    rules = msgspec.structs.replace(place.project.renew, **{**RULES, **settings})
    return replace(place, project=msgspec.structs.replace(place.project, renew=rules))


def acts(place: Workspace) -> list[tuple[str, str]]:
    return [(line["actor"], line["action"]) for line in history.ledger(place.store)]


def test_nothing_is_renewed_unless_the_project_says_so(place: Workspace) -> None:
    assert renewals.step(ruled(place, mode="hand")) is None


def test_the_schedule_waits_for_the_age_whatever_else_is_due(place: Workspace) -> None:
    assert renewals.due(ruled(place)).verdict == "fail"
    assert renewals.step(ruled(place, mode="scheduled")) is None


def test_poisoned_labels_reach_no_candidate(place: Workspace) -> None:
    log, labels = drained_log(place.log, place.store.tables)
    words = labels.words("label").copy()
    bad = np.random.default_rng(0).random(len(words)) < 0.8
    words[bad] = np.where(words[bad] == "yes", "no", "yes")
    before = {path.name for path in place.releases.iterdir()}
    steps: list[str] = []
    came = flow.renew(ruled(place), log=log, labels=labels.with_column("label", list(words)), progress=steps.append)
    assert came.sentence.startswith("refused before training: ")
    assert steps == ["admitting the new rows"]
    assert {path.name for path in place.releases.iterdir()} == before
    assert acts(place)[-1] == ("renewal", "refuse rows")


def test_what_may_be_tried_and_proves_nothing_keeps_the_champion_on_record(place: Workspace) -> None:
    came = flow.renew(ruled(place, candidates=()), progress=lambda name: None)
    assert not came.won
    assert acts(place)[-1] == ("renewal", "keep champion")


def test_a_due_renewal_is_begun_won_and_goes_to_a_rollout_by_standing_approval(place: Workspace) -> None:
    kept = ruled(place)
    came = renewals.step(kept)
    assert came is not None
    assert came.won, came.sentence
    assert came.release is not None
    told = [finding.sentence for finding in came.findings]
    assert "window is taken" in told[1]
    begun = [line for line in history.ledger(place.store) if line["action"] == "renew"]
    assert begun[-1]["actor"] == "keeper"
    assert begun[-1]["why"].startswith("automatic: The champion is due for renewal: ")
    rolling = rollouts.status(kept)[0]
    assert rolling is not None
    assert (rolling.by, rolling.challenger.release) == ("approver@example.org", came.release.id)
    assert rolling.why.startswith("standing approval in the project file, [renew] approver: ")
    champion = flow.champion(place)
    assert champion is not None
    assert champion.id != came.release.id
    assert flow.stored(came.release)["recipe"].learner == flow.stored(champion)["recipe"].learner

    assert renewals.step(kept, now=now_us() + 100 * HOUR) is None  # a rollout is under way
    rollouts.stop(kept, by="operator@example.org", why="enough for a test")
    assert renewals.step(kept) is None  # within the pause


def test_the_trainer_cannot_give_standing_approval(place: Workspace) -> None:
    trainer = place.project.project.trainer
    came = flow.Renewal(True, "", flow.checklist(place).findings[:1], flow.candidate(place))
    with pytest.raises(NotFit, match="trained this model and may not approve it"):
        renewals.settled(ruled(place, then="promote", approver=trainer), came)


def test_without_a_name_a_challenger_stays_a_candidate(place: Workspace) -> None:
    before = acts(place)
    came = flow.Renewal(True, "", flow.checklist(place).findings[:1], flow.candidate(place))
    renewals.settled(ruled(place, then="promote", approver=""), came)
    assert acts(place) == before
