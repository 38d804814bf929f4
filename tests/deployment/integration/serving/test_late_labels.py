"""Two servers that share a log take ten thousand labels, before they are drained and after; each counts once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from shipworthy.core.canon import canonical
from shipworthy.core.project import Project, Serving
from shipworthy.core.release import Release
from shipworthy.deployment.integration.log.drain import drain
from shipworthy.deployment.integration.log.read import label_history, read_log, waiting
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.store import open_store

from ..conftest import patients, record

SEEN = "2024-04-01T00:00:00Z"
ROWS = 10_000


@pytest.fixture
def release(make_release: Callable[..., Release], project: Project) -> Release:
    """A release whose training table names its patients."""
    table = patients(3).with_column("patient", pa.array(["a", "b", "c"]))
    schema = table.schema.replace("patient", role="identifier")
    return make_release(more={"training.json": canonical({"table": "training", "version": 0, "schema": schema}),
                              "project.json": canonical(project)})


def test_labels_in_bulk_count_once_whichever_server_they_reach(release: Release, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    folder, serving = store.home / "log", Serving(max_rows=ROWS)
    asked = [record(patient=f"p{n}") for n in range(20)]
    named = {"label": "yes", "observed_at": SEEN, "at": "2999-01-01T00:00:00Z", "since": "2020-01-01T00:00:00Z"}

    def post(server: Server, path: str, value: Any) -> tuple[int, Any]:
        with Connection(server.address) as connection:
            status, body = connection.post(path, msgspec.json.encode(value))
            return status, msgspec.json.decode(body)

    with Server(release, folder, serving) as one, Server(release, folder, serving) as other:
        ids = [answer["prediction_id"] for answer in post(one, "/v1/predict", asked)[1]]
        labels = [{"prediction_id": ids[n] if n < 10 else f"{n:036d}", "label": "no", "observed_at": SEEN}
                  for n in range(ROWS)]
        assert post(one, "/v1/labels", labels) == (200, counts(kept=ROWS))
        assert post(other, "/v1/labels", labels) == (200, counts(known=ROWS))
        assert post(other, "/v1/labels", [*labels, labels[0]])[0] == 422
        by_name = [{**named, "entity": {"patient": f"p{n}"}} for n in (11, 12, 99)]
        assert post(other, "/v1/labels", by_name) == (200, counts(kept=3, waiting=1))
        assert post(one, "/v1/labels", {**by_name[0], "label": "no"})[1] == counts(corrected=1)
    drain(folder, store.tables)
    with Server(release, folder, serving) as again:
        assert post(again, "/v1/labels", labels[:5])[1] == counts(kept=5)
        late = post(again, "/v1/predict", record(patient="p99"))[1]["prediction_id"]
    _, found = read_log(folder, store.tables)
    told = dict(zip(found.words("prediction_id"), found.words("label"), strict=True))
    assert len(told) == found.rows == ROWS + 3
    assert [told[place] for place in (ids[0], ids[11], ids[12], late)] == ["no", "no", "yes", "yes"]
    assert waiting(folder, store.tables).rows == 0
    assert label_history(folder, store.tables).rows == ROWS + 4


def counts(**changes: int) -> dict[str, int]:
    return {"kept": 0, "corrected": 0, "known": 0, "waiting": 0, **changes}
