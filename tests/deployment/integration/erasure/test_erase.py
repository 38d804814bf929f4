"""People are erased from all that a project keeps; what cannot go yet is told, and nobody comes back."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shipworthy import flow
from shipworthy.core.absence import search
from shipworthy.core.attested import Attestation, signed_by
from shipworthy.core.evidence import Evidence
from shipworthy.core.table import Table
from shipworthy.deployment.integration.backups.backup import back_up, restore
from shipworthy.deployment.integration.checks import tables_reopen
from shipworthy.deployment.integration.erasure.erase import erase
from shipworthy.deployment.integration.erasure.expire import forget, retention
from shipworthy.deployment.integration.erasure.subjects import admitted, remembered, wanted
from shipworthy.deployment.integration.log.answers import Heading, ServedRow
from shipworthy.deployment.integration.log.counts import COUNTS, read_counts
from shipworthy.deployment.integration.log.labels import Label, LabelLog
from shipworthy.deployment.integration.log.log import Log
from shipworthy.deployment.integration.log.tally import tally
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases.shelf import remove
from shipworthy.deployment.integration.serving.record import Field
from shipworthy.errors import Misuse
from shipworthy.store.workspace import Workspace, open_workspace

PROJECT = """[project]
name = "people"
trainer = "tom"
subject = "person"
[data]
target = "outcome"
positive = "yes"
identifiers = ["person"]
time = "seen"
retention_days = 400
[[source]]
address = "people.parquet"
[split]
kind = "random"
[learning]
seconds = 1
search = false
learners = ["trivial", "linear"]
[gate]
without = ["data.discovery"]
"""
IDS = [f"zq{n:03}someone" for n in range(200)]


def people(days: int = 100) -> Table:
    random = np.random.default_rng(0)
    size = random.normal(size=len(IDS))
    seen = [datetime.now(UTC) - timedelta(days=float(day)) for day in np.linspace(1, days, len(IDS))]
    truth = np.where(size + random.normal(size=len(IDS)) > 0, "yes", "no")
    return Table.of(pa.table({"person": IDS, "size": size, "outcome": truth,
                              "seen": pa.array(seen, pa.timestamp("us", "UTC"))}), name="people")


def made(place: Workspace) -> str:
    """The id of a release from the people who may be learnt from."""
    tables = admitted(place.store.home, place.project, {"people": people()})
    return flow.write(place, place.releases, flow.prepare(place, tables), Evidence(())).id


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "shipworthy.toml").write_text(PROJECT, encoding="utf-8")
    return open_workspace(folder)


def standing(place: Workspace, release: str) -> None:
    """A release that a name points to; it was made without judging, so it is no champion."""
    history.point(place.store, "pilot", flow.candidate(place, release), by="ann", why="a pilot")


def served(place: Workspace, person: str, prediction: str) -> None:
    fields = (Field("person", "person", "text", required=False), Field("size", "size", "number", required=True))
    heading = Heading("r" * 64, ("no", "yes"), fields)
    log = Log(place.log, heading)
    now = int(datetime.now(UTC).timestamp() * 1e6)
    log.served(ServedRow(prediction, now, "champion", 1.0, 0.5, "yes", False, (person, 1.0)))
    log.labelled([Label(prediction, "yes", datetime.now(UTC), source=f"told by {person}")])
    log.close()


def test_a_release_that_learnt_from_people_goes_with_their_rows_answers_labels_and_caches(place: Workspace) -> None:
    release = made(place)
    served(place, IDS[3], "0190-a")
    served(place, IDS[4], "0190-b")
    assert len(search(place.folder, [IDS[3]]).hits) > 5
    done = erase(place, [IDS[3]], by="ann", why="a request")
    assert done.done
    assert done.removed == (release,)
    assert {name.split("-")[0]: count for name, count in done.rows.items()} == {"training": 1, "served": 1, "labels": 1}
    assert done.caches > 0
    assert search(place.folder, [IDS[3]]).hits == ()
    assert len(search(place.folder, [IDS[4]]).hits) > 0


def test_labels_that_wait_for_their_prediction_go_too(place: Workspace) -> None:
    now, counts = datetime.now(UTC), place.store.home / COUNTS
    log = LabelLog(place.log)
    micros = int(now.timestamp() * 1e6)
    log.keep([Label(one, "yes", now) for one in ("0190-c", "0190-d")])
    log.keep([Label("", "yes", now, entity=(("person", one),), until=micros) for one in (IDS[3], IDS[4])])
    log.close()
    tally(place.log, counts, {}.get, place.store.tables)
    assert len(read_counts(counts).waiting) == 4
    assert erase(place, [IDS[3], "0190-c"], by="ann", why="a request").done
    left = read_counts(counts).waiting
    assert (left.direct["prediction_id"].to_pylist(), len(left.named)) == (["0190-d"], 1)
    assert search(place.folder, [IDS[3], "0190-c"]).hits == ()


def test_what_answers_waits_until_another_took_its_place(place: Workspace) -> None:
    first = made(place)
    standing(place, first)
    done = erase(place, IDS[:2], by="ann", why="a request")
    assert (done.done, done.retrain, done.removed) == (False, (first,), ())
    second = made(place)
    assert second != first
    assert flow.candidate(place, second).model.digest != flow.candidate(place, first).model.digest
    standing(place, second)
    again = erase(place, IDS[:2], by="ann", why="a request")
    assert (again.done, again.removed, again.request) == (True, (first,), done.request)
    assert search(place.folder, IDS[:2]).hits == ()


def test_the_ledger_knows_a_hash_and_nobody_by_name(place: Workspace) -> None:
    done = erase(place, [IDS[3]], by="ann", why="a request")
    last = history.ledger(place.store)[-1]
    assert (last["action"], last["subject"]) == ("erase", {"request": done.request, "state": "done", "retrain": ""})
    told = json.dumps(history.ledger(place.store)) + (place.store.home / "erased.json").read_text("utf-8")
    assert IDS[3] not in told
    assert remembered(place.store.home).known(IDS[3]) in told


def test_whoever_was_erased_is_never_learnt_from_again(place: Workspace) -> None:
    erase(place, IDS[:5], by="ann", why="a request")
    left = admitted(place.store.home, place.project, {"people": people()})["people"]
    assert left.rows == len(IDS) - 5
    assert not set(left.words("person")) & set(IDS[:5])


def test_rows_that_have_expired_are_not_learnt_from(place: Workspace) -> None:
    left = admitted(place.store.home, place.project, {"people": people(days=800)})["people"]
    assert 0.45 * len(IDS) < left.rows < 0.55 * len(IDS)


def test_a_backup_is_written_again_without_them_and_still_restores(place: Workspace, tmp_path: Path) -> None:
    made(place)
    backup = tmp_path / "all.tar"
    back_up(place, backup, keys=True)
    done = erase(place, [IDS[3]], by="ann", why="a request", backups=[backup])
    assert (done.done, done.backups) == (True, (str(backup),))
    assert search(tmp_path, [IDS[3]]).hits == ()
    restore(backup, tmp_path / "again")
    assert len(search(tmp_path / "again", [IDS[4]]).hits) > 0
    assert erase(place, [IDS[3]], by="ann", why="a request", backups=[backup]).backups == ()


def test_a_source_in_the_project_that_still_names_them_is_told(place: Workspace) -> None:
    (place.folder / "people.csv").write_text(f"person\n{IDS[3]}\n", encoding="utf-8")
    done = erase(place, [IDS[3]], by="ann", why="a request")
    assert (done.done, done.left) == (False, ("people.csv",))


def test_a_log_that_a_server_still_writes_is_told(place: Workspace) -> None:
    log = Log(place.log, Heading("r" * 64, ("no", "yes"), (Field("person", "person", "text", required=False),)))
    log.served(ServedRow("0190-a", 1, "champion", 1.0, 0.5, "yes", False, (IDS[3],)))
    done = erase(place, [IDS[3]], by="ann", why="a request")
    log.close()
    assert not done.done
    assert "of the log holds them: stop the server" in done.waiting[0]
    assert erase(place, [IDS[3]], by="ann", why="a request").done


def test_nobody_named_no_reason_and_no_column_are_misuse(place: Workspace, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="nobody is named"):
        wanted([" "])
    with pytest.raises(Misuse, match="only with a name and a reason"):
        erase(place, [IDS[3]], by="ann", why=" ")
    with pytest.raises(Misuse, match="there is no such file"):
        erase(place, [IDS[3]], by="ann", why="a request", backups=[tmp_path / "none.tar"])
    (tmp_path / "ids").write_text("a\n\nb\na\n", encoding="utf-8")
    assert wanted(["c"], tmp_path / "ids") == ("c", "a", "b")


def test_the_job_that_forgets_removes_what_has_expired_at_every_version(place: Workspace) -> None:
    rows = people(days=800).data
    place.store.tables.write("training", rows)
    profile = flow.profile(people())
    assert retention(place.project, profile, place.store.tables, ()).verdict == "fail"
    done = forget(place)
    assert sum(done.rows.values()) == len(rows) - len(place.store.tables.read("training")) > 90
    assert search(place.store.home / "tables", [IDS[-1]]).hits == ()
    finding = retention(place.project, profile, place.store.tables, ())
    assert finding.sentence == "No row of 1 stored tables is older than 400 days."
    assert forget(place).rows == {}


@pytest.fixture(autouse=True)
def writable(place: Workspace) -> object:
    """Releases are read-only; the folder of a test is not."""
    yield
    for folder in place.releases.glob("*"):
        remove(folder)
    shutil.rmtree(place.folder.parent / "again", ignore_errors=True)


def test_rows_without_a_time_are_unknown_until_somebody_else_than_the_trainer_signs_for_them(place: Workspace) -> None:
    project = msgspec.structs.replace(place.project, data=msgspec.structs.replace(place.project.data, time=""))
    place.store.tables.write("training", people().data.drop_columns(["seen"]))
    until = (datetime.now(UTC) + timedelta(days=90)).date().isoformat()
    given = {by: signed_by(Attestation("law.legislation", "retention", by, "officer", "deleted every January",
                                       "2026-01-01", until), bytes(range(32))) for by in ("tom", "ida")}
    profile, tables = flow.profile(people()), place.store.tables
    for signed in ((), (given["tom"],), (msgspec.structs.replace(given["ida"], sentence="never"),)):
        assert retention(project, profile, tables, signed).verdict == "unknown"
    assert retention(project, profile, tables, (given["ida"],)).verdict == "attested"


def test_versions_that_an_erasure_took_away_are_no_loss_of_the_store(place: Workspace) -> None:
    for _ in range(2):
        place.store.tables.write("training", people().data)
    erase(place, [IDS[0]], by="ida", why="a request")
    assert tables_reopen(place.store.tables).verdict == "pass"
