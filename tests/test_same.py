"""The whole way on a dirty table: what was judged on cleaned rows is what raw rows are answered."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from shipworthy import flow
from shipworthy.again import training
from shipworthy.cli.predict import command as predict
from shipworthy.core.cleaning import Numbers
from shipworthy.core.project import FILE
from shipworthy.core.table import Table
from shipworthy.data.collection.read import read
from shipworthy.deployment.integration.log.drain import drained_log
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.replay import replay
from shipworthy.deployment.monitoring.watch import counted, watch
from shipworthy.deployment.updating.renew import next_rows, next_training
from shipworthy.store.workspace import Workspace, open_workspace

PROJECT = """
[project]
name = "dirty"
subject = "person"

[data]
target = "bought"
positive = "yes"
missing_codes = { age = ["-999"] }
kinds = { member = "boolean" }

[[source]]
address = "dirty.csv"

[learning]
seconds = 2
search = false
learners = ["trivial", "tree"]
"""
ROWS = 1_500


def dirty(path: Path) -> None:
    """age with −999, pay such as "2,500", job with "?", stray spaces and case, member as yes or no, naive times."""
    random = np.random.default_rng(5)
    age, pay = random.integers(18, 80, ROWS), random.integers(900, 9_000, ROWS)
    bought = random.random(ROWS) < 1 / (1 + np.exp(-(age - 50) / 8 - (pay - 5_000) / 900))
    job = random.choice(["cook", "nurse", "?", "cook ", "COOK", ""], ROWS, p=[.5, .3, .1, .04, .03, .03])
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["age", "pay", "job", "member", "hired", "bought"])
        for n in range(ROWS):
            out.writerow([-999 if n % 7 == 0 else age[n], "NA" if n % 11 == 0 else f"{pay[n]:,}", job[n],
                          "yes" if n % 3 else "no", datetime(2024, 1, 1) + timedelta(hours=5 * n),
                          "yes" if bought[n] else "no"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("dirty")
    (folder / FILE).write_text(PROJECT, encoding="utf-8")
    dirty(folder / "dirty.csv")
    return open_workspace(folder)


@pytest.fixture(scope="module")
def built(place: Workspace) -> flow.Built:
    return flow.build(place)


def test_raw_rows_are_scored_as_the_cleaned_ones_that_were_judged(built: flow.Built) -> None:
    model, case = built.release.model, built.case
    arrived, holdout = case["arrived"], case["parts"].holdout
    assert not arrived.data.equals(holdout.select(arrived.schema.names).data)
    assert np.array_equal(model.score(arrived), model.score(holdout))
    finding = built.release.evidence.find("served-equals-batch")
    assert finding is not None
    assert (finding.verdict, finding.n) == ("pass", 200)


def test_the_very_file_that_was_learnt_from_can_be_scored(place: Workspace, built: flow.Built) -> None:
    out = place.folder / "scored.parquet"
    told = CliRunner().invoke(predict, [str(place.folder / "dirty.csv"), "-o", str(out), "--project",
                                        str(place.folder), "--release", built.release.id[:16]])
    assert told.exit_code == 0, told.output
    table = built.case["table"]
    assert len(pq.read_table(out)) == ROWS
    expected = built.release.model.score(read(str(place.folder / "dirty.csv")))
    assert pq.read_table(out)["score"].to_pylist() == expected.tolist()
    assert sorted(expected.tolist()) == sorted(built.release.model.score(table).tolist())


def test_raw_traffic_like_the_training_rows_is_no_drift_and_a_challenger_still_reads_it(
    place: Workspace, built: flow.Built
) -> None:
    release, rows = built.release, read(str(place.folder / "dirty.csv"))
    with Server(release, place.log, place.project) as server:
        sent = replay(rows, server.address, label="bought", batch=50)
    assert sent.refused == 0
    log, labels = drained_log(place.log, place.store.tables)
    place_of = {one: n for n, one in enumerate(log.words("prediction_id"))}
    log = log.take([place_of[one] for one in sent.ids])
    assert [log.words(name).tolist() for name in ("pay", "job")] == [rows.words(n).tolist() for n in ("pay", "job")]
    assert np.array_equal(log.numbers("score"), release.model.score(rows))
    seen = counted(release.model, built.case["grid"], log, labels, place.project)
    drift = watch(built.case["grid"], seen, place.project, release=release.id)
    assert [one.sentence for one in drift.findings if one.check == "column-drift" and one.verdict == "fail"] == []
    fresh = next_rows(log, labels, release.model, _stored(place, release))
    assert sorted(map(str, fresh.words("pay"))) == sorted(map(str, rows.words("pay")))
    joined, _ = next_training(_stored(place, release), fresh)
    again = flow.study(place.project, {"dirty": Table(joined.data, joined.schema, "dirty", notes=joined.notes)})
    reading = again["model"].sheet.cleaning.of("pay")
    assert isinstance(reading, Numbers)
    assert reading.reads_text
    assert np.array_equal(again["model"].score(again["arrived"]), again["model"].score(again["parts"].holdout))


def _stored(place: Workspace, release: flow.Release) -> Table:
    return training(place, release)
