"""`shipworthy labels`: a table of what came true, kept as the server keeps it; the same file twice changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shipworthy.cli.labels import rows
from shipworthy.core.clock import now_us
from shipworthy.core.table import Table
from shipworthy.data.collection.tidy import tidied
from shipworthy.deployment.integration.log.log import Heading, Log, Served
from shipworthy.deployment.integration.log.read import labels
from shipworthy.deployment.integration.log.told import Rules
from shipworthy.errors import BadData
from shipworthy.flow import champion
from shipworthy.store.workspace import Workspace, open_workspace

ID = "018f0000-0000-7000-8000-00000000000"
SEEN = "2024-03-01T06:00:00Z"


@pytest.fixture
def place(made: tuple[Path, Any], call: Callable[..., Any], tmp_path: Path) -> Workspace:
    """A project in production that answered two requests."""
    folder = shutil.copytree(made[0], tmp_path / "project")
    assert call("promote", "--by", "ann", "--why", "a test", "-p", folder).code == 0
    found = open_workspace(folder)
    release = champion(found)
    assert release
    log = Log(found.log, Heading(release.id, release.model.classes, ()))
    log.served(Served([f"{ID}1", f"{ID}2"], now_us(), "champion", 1.0, [0.5] * 2, ["no"] * 2, [False] * 2, []))
    log.close()
    return found


def written(place: Workspace, text: str) -> Path:
    path = place.folder / "late.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_kept_and_twice_is_once(place: Workspace, call: Callable[..., Any]) -> None:
    path = written(place, f"prediction_id,label,observed_at\n{ID}1,yes,{SEEN}\n{ID}2,no,{SEEN}\n{ID}9,no,{SEEN}\n")
    told = call("labels", path, "--source", "desk", "-p", place.folder)
    assert (told.code, told.err.splitlines()) == (0, [
        "3 labels kept, 0 of them corrections; 0 were known already",
        "1 wait for their answer; they are joined when it is logged"])
    call("watch", "-p", place.folder)
    told = call("labels", path, "--source", "desk", "-p", place.folder, "--json")
    assert json.loads(told.out) == {"kept": 0, "corrected": 0, "known": 3, "unmatched": 1}
    found = labels(place.log, place.store.tables)
    assert dict(zip(found.words("prediction_id"), found.words("label"), strict=True)) == {
        f"{ID}1": "yes", f"{ID}2": "no", f"{ID}9": "no"}
    assert set(found.words("source")) == {"desk"}
    some = written(place, f"prediction_id,label,observed_at\n{ID}1,yes,{SEEN}\n")
    assert call("labels", some, "-p", place.folder).err.splitlines()[-1] == "0 wait for their answer"


def test_one_row_that_does_not_fit_keeps_all_others_out(place: Workspace, call: Callable[..., Any]) -> None:
    path = written(place, f"prediction_id,label,observed_at\n{ID}1,yes,{SEEN}\n{ID}2,maybe,{SEEN}\n")
    told = call("labels", path, "-p", place.folder)
    assert (told.code, told.problem) == (2, f"error: row 2: 'maybe' is no label of this model\n  at: {path}, label\n"
                                            "  hint: send no or yes")
    assert labels(place.log, place.store.tables).rows == 0


def test_without_a_champion_there_is_nothing_to_label(made: tuple[Path, Any], call: Callable[..., Any]) -> None:
    assert call("labels", "late.csv", "-p", made[0]).problem.startswith("error: nothing is in production")


def test_times_without_a_zone_are_refused() -> None:
    table = tidied(pa.table({"prediction_id": [f"{ID}1"], "label": ["yes"], "observed_at": ["2024-03-01 06:00:00"]}),
                   name="late", origin="late.csv")
    with pytest.raises(BadData) as caught:
        rows(table, Rules(("no", "yes")))
    assert str(caught.value) == ('the times in "observed_at" have no zone\n  at: late.csv\n'
                                 "  hint: write them as 2024-07-09T08:00:00Z")


def test_columns_of_any_type_say_what_words_say() -> None:
    seen = datetime(2024, 3, 1, 6, tzinfo=UTC)
    table = Table.of({"customer": [17], "label": [1], "observed_at": [seen], "at": [seen], "weight": [0.5],
                      "source": [None]})
    (found,) = rows(table, Rules(("0", "1"), entity=("customer",)), source="desk")
    assert (found.label, found.weight, found.source) == ("1", 0.5, "desk")
    assert (found.entity, found.observed_at) == ((("customer", "17"),), seen)
    (number,) = rows(Table.of({"customer": ["a"], "label": [2], "observed_at": [SEEN], "at": [SEEN]}),
                     Rules((), entity=("customer",)))
    assert number.label == 2.0


def test_the_audit_lists_what_lacks_a_label(place: Workspace, call: Callable[..., Any]) -> None:
    told = call("labels", "--audit", "-p", place.folder)
    assert told.problem == ("error: no audit sample is declared\n  at: [watch] audit\n"
                            "  hint: set its share: audit = 0.01")
    project = place.folder / "shipworthy.toml"
    project.write_text(project.read_text("utf-8") + "\n[watch]\naudit = 1.0\n", encoding="utf-8")
    call("labels", written(place, f"prediction_id,label,observed_at\n{ID}1,yes,{SEEN}\n"), "-p", place.folder)
    told = json.loads(call("labels", "--audit", "-p", place.folder, "--json").out)
    assert [one["prediction_id"] for one in told] == [f"{ID}2"]


def test_cohorts_are_a_table_by_prediction_day(place: Workspace, call: Callable[..., Any]) -> None:
    told = call("watch", "--cohorts", "-p", place.folder)
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    line = next(one for one in told.out.splitlines() if one.startswith(day))
    assert line.split() == [day, "2", "0", "unknown", "unknown", "unknown"]
    [cohort] = json.loads(call("watch", "-p", place.folder, "--json").out)["cohorts"]
    assert (cohort["predictions"], cohort["labels"], cohort["maturity"]) == (2, 0, None)
