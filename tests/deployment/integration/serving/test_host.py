from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.deployment.integration.log.read import read_log
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.replay import replay
from shipworthy.errors import BadData, Misuse, StoreError

from ..conftest import patients, record, small_model


def test_a_server_answers_over_the_network_survives_nonsense_and_stops(
    release: Release, project: Project, tmp_path: Path
) -> None:
    with Server(release, tmp_path / "log", project) as server:
        with Connection(server.address) as connection:
            assert connection.post("/v1/predict", b"{")[0] == 400
            assert connection.post("/v1/predict", b"[" * 10_000)[0] == 400
            status, body = connection.post("/v1/predict", msgspec.json.encode(record()))
            assert status == 200
            assert connection.json("/ready")["ready"]
        pid = server.pid
    assert server.pid == 0
    assert pid
    logged, _ = read_log(tmp_path / "log", None)
    assert list(logged.words("prediction_id")) == [msgspec.json.decode(body)["prediction_id"]]
    with pytest.raises(StoreError, match="nobody answers"):
        Connection(server.address)


def test_a_replay_serves_every_row_and_sends_labels_when_they_are_due(
    release: Release, project: Project, tmp_path: Path
) -> None:
    table = patients(130)
    with Server(release, tmp_path / "log", project) as server:
        single = replay(table, server.address, label="ill", time="seen", delay=timedelta(hours=24))
        batches = replay(table.drop("ill"), server.address, batch=50)
        with pytest.raises(BadData, match='column "ward" is missing'):
            replay(table.drop("ward"), server.address)
    assert (single.rows, single.requests, single.labels, single.refused) == (130, 130, 130, 0)
    assert (batches.requests, batches.labels, batches.refused) == (3, 0, 0)
    assert 0 < single.quantile(0.5) <= single.quantile(0.99)
    log, labels = read_log(tmp_path / "log", None)
    scores = dict(zip(log.words("prediction_id"), log.numbers("score"), strict=True))
    expected = small_model().score(table).tolist()
    assert [scores[place] for place in single.ids] == expected
    assert [scores[place] for place in batches.ids] == expected
    told = dict(zip(labels.words("prediction_id"), labels.words("label"), strict=True))
    assert [told[place] for place in single.ids] == list(table.words("ill"))
    seen = dict(zip(labels.words("prediction_id"), labels.numbers("observed_at"), strict=True))
    assert [seen[place] for place in single.ids] == pytest.approx((table.numbers("seen") + 86_400).tolist())


def test_rows_that_are_refused_are_counted(release: Release, project: Project, tmp_path: Path) -> None:
    strict = msgspec.structs.replace(project.serve, unseen="refuse")
    table = patients(40)
    with Server(release, tmp_path / "log", strict) as server:
        result = replay(table, server.address)
    strange = [(ward == "south") or (grade == "4") for ward, grade in zip(table.words("ward"), table.words("grade"),
                                                                          strict=True)]
    assert [not place for place in result.ids] == strange
    assert "was never seen in training" in result.refusals[0]


def test_a_server_that_cannot_start_says_why(release: Release, project: Project, tmp_path: Path) -> None:
    (release.folder / "card.md").chmod(0o644)
    (release.folder / "card.md").write_text("better")
    with pytest.raises(StoreError) as caught:
        Server(release, tmp_path / "log", project).start()
    assert caught.value.problem == "the server did not start"
    assert "a file of the release was altered" in caught.value.hint
    assert "card.md" in caught.value.hint


def test_only_this_machine_is_asked() -> None:
    for address in ("http://example.org:80", "https://127.0.0.1:8000", "ftp://127.0.0.1", "http://127.0.0.1"):
        with pytest.raises(Misuse, match="only a server on this machine"):
            Connection(address)
