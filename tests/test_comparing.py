"""An incident of harm names the axis that did it: old and new code, model and data are replayed once it opens."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy import flow, runbooks
from shipworthy.cli.watch import lines
from shipworthy.comparing import why_worse
from shipworthy.core.cleaning import Cleaning, Gap, Numbers
from shipworthy.core.evidence import Evidence
from shipworthy.core.project import FILE
from shipworthy.core.release import Release
from shipworthy.core.table import Table
from shipworthy.deployment.alerts.heed import due
from shipworthy.deployment.alerts.message import Message
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.serving.app import app
from shipworthy.deployment.monitoring.incident import Alarm, Incident, Replay, opened
from shipworthy.sabotage.world import PROJECT, world
from shipworthy.store.workspace import Workspace, open_workspace
from shipworthy.survey import ROWS

from .deployment.alerts.conftest import web as web
from .deployment.integration.conftest import ask

REQUIRED = json.dumps([row.id for row in ROWS if row.required])
QUICK = PROJECT.replace("seconds = 20.0", "seconds = 2.0").replace(
    '"trivial", "linear", "tree", "additive", "boosted"', '"linear"') + f"[gate]\nwithout = {REQUIRED}\n"
WHO = {"by": "approver@example.org", "why": "nothing is required of so small a world"}
Make = Callable[..., Workspace]


def turned(seed: int, rows: int) -> Table:
    """The world of somebody who has the sign of a figure wrong."""
    found = world(seed, rows=rows)
    return found.with_column("num1", -found.numbers("num1"))


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a good champion, and one after it that learnt the sign of a figure wrong."""
    folder = tmp_path_factory.mktemp("twice") / "project"
    folder.mkdir()
    (folder / FILE).write_text(QUICK, encoding="utf-8")
    place = open_workspace(folder)
    for rows in (world(3, rows=2_000), turned(4, 2_000)):
        champion_of(place, rows)
    return folder


def champion_of(place: Workspace, rows: Table) -> None:
    """A release of these rows that nobody judged, as champion."""
    history.must_sign(place.store)
    made = flow.write(place, place.releases, flow.prepare(place, {"world": rows}) | {"release": None}, Evidence(()))
    history.record(place.store, actor=place.project.project.trainer, role="trainer", action="train",
                   subject={"release": made.id}, evidence=made.evidence.digest)
    flow.promote(place, **WHO)


@pytest.fixture
def place(twice: Path, tmp_path: Path) -> Make:
    """Makes a copy of the project, with one champion or both."""

    def make(champions: int, more: str = "") -> Workspace:
        folder = Path(shutil.copytree(twice, tmp_path / "project"))
        (folder / FILE).write_text(f"{QUICK}\n{more}\n", encoding="utf-8")
        place = open_workspace(folder)
        if champions == 1:
            flow.rollback(place, by="approver@example.org", why="to see the first")
        return place

    return make


def champion(place: Workspace) -> Release:
    found = flow.champion(place)
    assert found
    return found


def serve(place: Workspace, rows: Table, release: Release | None = None, *, truth: bool = True) -> None:
    """The champion answers rows, and all of them get their label. release: what runs under its name instead."""
    served = app(release or champion(place), place.log, place.project)
    asked = rows.drop("entity", "sex", "outcome").records()
    status, answer = ask(served, "POST", "/v1/predict", [{**row, "when": row["when"].isoformat()} for row in asked])
    assert status == 200, answer
    told = [{"prediction_id": one["prediction_id"], "label": word, "observed_at": datetime.now(UTC).isoformat()}
            for one, word in zip(answer, rows.words("outcome"), strict=True)]
    if truth:
        assert ask(served, "POST", "/v1/labels", told)[0] == 200
    served.arms.close()
    served.log.close()


def incident(place: Workspace) -> Incident:
    found = runbooks.attend(place).watched.incident
    assert found
    return found


def other_unit(seed: int = 5) -> Table:
    rows = world(seed, rows=1_000)
    return rows.with_column("num1", -2.5 * rows.numbers("num1"))


def lines_of(place: Workspace, action: str) -> list[dict[str, Any]]:
    return [line for line in history.ledger(place.store) if line["action"] == action]


def test_a_feed_in_another_unit_is_the_data_s_and_every_outlet_says_so(place: Make, web: Any) -> None:
    here = place(1, f'[[sink]]\nkind = "webhook"\naddress = "http://127.0.0.1:{web.port}"\n')
    serve(here, other_unit())
    attended = runbooks.attend(here)
    found = attended.watched.incident
    assert found and found.harms and found.replay and found.replay.worse
    value, low, high = found.replay.shares["data"]
    assert low > 0.5 and low < value < high
    assert found.replay.shares["code"] == (0.0, 0.0, 0.0) and "model" not in found.replay.shares
    assert "No other champion is at hand, so the model is not compared." in found.replay.sentence
    assert found.causes[0].axis == "data" and found.causes[0].sentence.startswith("replayed on the labels")

    page, = lines_of(here, "replay")
    assert (page["actor"], page["why"]) == ("watch", found.replay.sentence)
    assert page["subject"] == {"release": found.release, "incident": found.id}
    sent, = [msgspec.json.decode(body, type=Message) for _, _, body in web.posts]
    assert sent.incident == found and found.replay.sentence in sent.text
    assert any(found.replay.sentence in line for line in lines(attended.watched))
    shown = runbooks.report(here, attended.watched)
    assert "Before and now" in shown and f"{value:+.4f}" in shown

    again = runbooks.attend(here).watched
    assert again.incident and again.incident.replay == found.replay and len(lines_of(here, "replay")) == 1


def test_a_worse_release_is_the_model_s_and_the_one_before_it_takes_part(place: Make) -> None:
    here = place(2)
    first, second = (line["subject"]["release"] for line in lines_of(here, "promote"))
    serve(here, world(6, rows=1_000))
    found = incident(here)
    assert found.replay and found.replay.worse
    assert (found.release, found.replay.before) == (second, first)
    told = found.replay.shares
    assert told["model"][1] > 0.3 and abs(told["data"][0]) < 0.2 * told["model"][0]
    assert [cause.axis for cause in found.causes[:2]] == ["model", "model"]
    assert "became champion (promote" in found.causes[1].sentence
    assert sum(share for share, _, _ in told.values()) == pytest.approx(found.replay.change[0])  # type: ignore[index]


def test_the_release_before_it_on_the_same_rows_opens_nothing_and_nothing_is_replayed(place: Make) -> None:
    here = place(1)
    serve(here, world(6, rows=1_000))
    found = runbooks.attend(here).watched
    assert found.incident is None
    assert lines_of(here, "replay") == []


def test_other_code_that_serves_the_same_release_is_the_code_s(place: Make) -> None:
    here = place(1)
    release = champion(here)
    lost = (Gap(-99.0, 99.0, "looks like a code"),)
    wrong = Cleaning((Numbers("num1", lost), Numbers("num2", lost)))
    serve(here, world(6, rows=3_000), replace(release, model=release.model.with_sheet(cleaning=wrong)))
    found = incident(here)
    assert found.replay and found.replay.worse
    assert found.replay.shares["code"][1] > 0 and found.replay.shares["data"][1] < 0
    assert found.causes[0].axis == "code"


def test_a_champion_that_is_gone_from_the_shelf_is_not_compared(place: Make) -> None:
    here = place(2)
    folder = here.folder / lines_of(here, "promote")[0]["subject"]["folder"]
    folder.rename(here.folder / "elsewhere")
    serve(here, world(6, rows=1_000))
    found = incident(here)
    assert found.replay and found.replay.worse and found.replay.before == ""
    assert set(found.replay.shares) == {"code", "data"}


def test_a_replay_that_is_turned_off_leaves_the_hints(place: Make) -> None:
    here = place(1, "[watch]\nreplay = 0\n")
    serve(here, other_unit())
    found = incident(here)
    assert found.harms and found.replay is None and found.causes


def test_a_replay_out_of_time_says_so_and_the_incident_opens_all_the_same(place: Make) -> None:
    here = place(1, "[watch]\nreplay_seconds = 1e-9\n")
    serve(here, other_unit())
    found = incident(here)
    assert found.harms and found.replay and found.replay.shares == {}
    assert found.replay.sentence == "not replayed: the 1e-09 seconds for it are over ([watch] replay_seconds)."


def test_no_more_rows_are_replayed_than_the_project_allows(place: Make) -> None:
    here = place(2, "[watch]\nreplay = 150\n")
    serve(here, world(6, rows=1_000))
    found = incident(here)
    assert found.replay and found.replay.rows == (150, 150)


def test_without_labels_it_is_said_why_nothing_is_replayed(place: Make) -> None:
    here = place(1)
    serve(here, other_unit(), truth=False)
    seen = flow.watch(here)
    assert seen.tallies
    told = why_worse(here, champion(here), seen.tallies)
    assert told == Replay("not replayed: 0 labelled rows are too few, 30 are needed (the log).")


def test_code_that_made_the_release_and_is_not_at_hand_is_told(place: Make) -> None:
    here = place(1)
    (here.folder / "own.py").write_text("HERE = 1\n", encoding="utf-8")
    text = QUICK.replace('trainer = ', 'plugins = ["own.py"]\ntrainer = ')
    (here.folder / FILE).write_text(text, encoding="utf-8")
    here = open_workspace(here.folder)
    serve(here, other_unit())
    found = incident(here)
    made = champion(here).manifest.identity.code
    assert found.replay
    assert f"; the code that made {champion(here).short} ({made[:12]}) is not at hand" in found.replay.sentence


def test_an_incident_is_replayed_once_and_again_only_where_labels_now_prove_harm() -> None:
    drift = opened((Alarm("drift", "day", 1, 1e6),), "unknown", "r", "too few labels")
    guess = msgspec.structs.replace(drift, harm="yes")
    proved = msgspec.structs.replace(guess, families=("drift", "harm"))
    tried = Replay("not replayed: 0 labelled rows are too few, 30 are needed.")
    told = Replay("It got worse.", (0.2, 0.1, 0.3))
    with_ = msgspec.structs.replace
    assert not due(drift, None) and due(guess, None) and due(proved, guess)
    assert not due(with_(guess, replay=tried), with_(guess, replay=tried))
    assert due(with_(proved, replay=tried), with_(guess, replay=tried))
    assert not due(with_(proved, replay=tried), with_(proved, replay=tried))
    assert not due(with_(proved, replay=told), with_(guess, replay=told))
