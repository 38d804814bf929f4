"""`shipworthy watch` as a person calls it: tables from anywhere, a report, silences, sinks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shipworthy import flow
from shipworthy.store.workspace import Workspace

from ..cli.conftest import _call as call

Make = Callable[..., Workspace]
DAY = 86_400_000_000


def predictions(place: Workspace, folder: Path, *, broken: bool = False, **names: str) -> Path:
    """A Parquet folder of 30 days of predictions by another server, in five files. names: ours → theirs."""
    champion = flow.champion(place)
    assert champion
    random, n = np.random.default_rng(3), 3_000
    size, noise = random.normal(size=n), random.normal(size=n)
    gone = broken & (np.arange(n) > n // 2)
    log = pa.table({
        "prediction_id": [f"x{k}" for k in range(n)],
        "at": pa.array(1_700_000_000_000_000 + np.arange(n) * (DAY // 100), pa.timestamp("us", "UTC")),
        "size": pa.array(size, mask=gone), "noise": noise, "colour": random.choice(list("abc"), n)})
    from shipworthy.core.table import Table

    found = champion.model.predict(champion.model.cleaned(Table.of(log, name="log")))
    log = log.append_column("score", pa.array(found.score)).append_column(
        "decision", pa.array([str(word) for word in found.decision]))
    log = log.rename_columns([names.get(name, name) for name in log.column_names])
    folder.mkdir()
    for k, start in enumerate(range(0, n, 600)):
        pq.write_table(log.slice(start, 600), folder / f"part-{k}.parquet")
    return folder


def test_a_folder_of_predictions_is_enough(place: Make, tmp_path: Path) -> None:
    here = place()
    quiet = call("watch", "-p", here.folder, "--log", predictions(here, tmp_path / "log"), "--json")
    told = msgspec.json.decode(quiet.out)
    assert (quiet.code, told["rows"], told["open"]) == (0, 3_000, None)
    loud = call("watch", "-p", here.folder, "--log", predictions(here, tmp_path / "broken", broken=True))
    assert loud.code == 1 and "PAGE (high" in loud.out and "Broken input in size" in loud.out
    assert not (here.store.home / "watch").exists()  # nothing is kept of a table from elsewhere


def test_columns_of_other_names_are_hinted_and_then_mapped(place: Make, tmp_path: Path) -> None:
    here = place()
    folder = predictions(here, tmp_path / "log", at="served_at", prediction_id="uuid", score="proba")
    wrong = call("watch", "-p", here.folder, "--log", folder)
    assert wrong.code == 2 and "the table lacks the columns at, score" in wrong.problem
    assert "--column at=served_at --column score=proba" in wrong.problem
    right = call("watch", "-p", here.folder, "--log", folder, "--column", "at=served_at", "--column", "score=proba")
    assert right.code == 0
    again = call("watch", "-p", here.folder, "--log", folder, "--column", "at=servd_at")
    assert 'there is no column "servd_at"' in again.problem and 'did you mean "served_at"?' in again.problem
    pair = call("watch", "-p", here.folder, "--log", folder, "--column", "served_at")
    assert "is no pair of names" in pair.problem


def test_without_a_decision_the_score_decides_and_labels_need_an_id(place: Make, tmp_path: Path) -> None:
    here = place()
    folder = predictions(here, tmp_path / "log", decision="other", prediction_id="uuid")
    assert call("watch", "-p", here.folder, "--log", folder).code == 0
    pq.write_table(pa.table({"uuid": ["x1"], "label": ["yes"]}), tmp_path / "labels.parquet")
    told = call("watch", "-p", here.folder, "--log", folder, "--labels", tmp_path / "labels.parquet")
    assert "lacks the column prediction_id" in told.problem and "--column prediction_id=uuid" in told.problem


def test_a_log_of_another_model_is_refused(place: Make, tmp_path: Path) -> None:
    here = place()
    folder = predictions(here, tmp_path / "log", size="a", noise="b", colour="c")
    assert "none of the model's columns" in call("watch", "-p", here.folder, "--log", folder).problem


def test_the_report_is_one_page_with_the_incident_on_top(place: Make, tmp_path: Path) -> None:
    here, page = place(), tmp_path / "watch.html"
    told = call("watch", "-p", here.folder, "--log", predictions(here, tmp_path / "log", broken=True),
                "--report", page)
    text = page.read_text("utf-8")
    assert told.code == 1 and f"written: {page}" in told.err
    assert text.index("Open incident") < text.index("What was found") < text.index("Columns</h2>")
    assert text.count("<svg") >= 6 and "broken</span>" in text


def test_a_silence_is_said_with_its_end_and_needs_one(place: Make) -> None:
    here, last = place(), datetime.now(UTC).date() + timedelta(days=3)
    told = call("watch", "-p", here.folder, "--silence", "sale", "--by", "ann", "--until", last, "--family", "drift")
    assert told.code == 0 and f"drift silenced by ann until {last + timedelta(days=1)} 00:00 UTC: sale" in told.err
    assert "a silence needs a reason and an end" in call("watch", "-p", here.folder, "--silence", "sale").problem
    odd = call("watch", "-p", here.folder, "--silence", "sale", "--by", "ann", "--until", "soon")
    assert '"soon" is no date' in odd.problem


def test_sinks_are_tried_without_an_incident(place: Make, web: Any) -> None:
    here = place(f'[[sink]]\nkind = "webhook"\naddress = "http://127.0.0.1:{web.port}"\n'
                 '[[sink]]\nkind = "email"\naddress = "smtp://127.0.0.1:1"\nsender = "a@b.c"\nto = ["d@e.f"]\n')
    told = call("watch", "-p", here.folder, "--try-sinks")
    assert told.code == 1 and "delivered: webhook: TEST tiny" in told.err
    assert "not delivered: email: TEST tiny" in told.err and "refused" in told.err
    assert "no sink is named" in call("watch", "-p", place_again(here), "--try-sinks").err


def place_again(here: Workspace) -> Path:
    """The same project without its sinks."""
    file = here.folder / "shipworthy.toml"
    file.write_text(file.read_text("utf-8").partition("[[sink]]")[0], "utf-8")
    return here.folder


@pytest.mark.parametrize(("more", "told"), [
    ('[[sink]]\nkind = "slack"\n[[sink]]\nkind = "slack"\n', 'two sinks are called "slack"'),
    ('[[sink]]\nkind = "email"\naddress = "smtp://me:pw@host"\n', "holds a password"),
    ('[[runbook]]\nfamily = "drift"\nstep = "reboot"\n', "Invalid enum value")])
def test_a_project_file_that_cannot_be_meant_is_refused(place: Make, more: str, told: str) -> None:
    with pytest.raises(Exception, match=told):
        place(more)


def test_following_another_table_is_refused(place: Make, tmp_path: Path) -> None:
    here = place()
    assert "only the server's log can be followed" in call(
        "watch", "-p", here.folder, "--follow", "--log", tmp_path).problem
