"""What a job does: the verbs of the command line, on the table that was sent, in the name of whoever asked."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from shipworthy import flow
from shipworthy.core.project import read_project
from shipworthy.deployment.integration.releases import history
from shipworthy.errors import Misuse, NotFit
from shipworthy.server.work import _instead, done
from shipworthy.store.jobs import Jobs
from shipworthy.store.workspace import Workspace, open_workspace

from ..cli.conftest import rows, text
from .conftest import Ask

RUNS = "/v1/projects/tiny/runs"


def arrow(table: pa.Table, *, stream: bool) -> bytes:
    sink = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pa.parquet.write_table(table, sink)
    return sink.getvalue()


def lines(table: pa.Table) -> bytes:
    return b"\n".join(msgspec.json.encode(row) for row in table.to_pylist())


@pytest.mark.parametrize(("kind", "written"), [
    ("text/csv", lambda table: text(rows()[:50]).encode()),
    ("application/vnd.apache.parquet", parquet),
    ("application/vnd.apache.arrow.stream", lambda table: arrow(table, stream=True)),
    ("application/vnd.apache.arrow.file", lambda table: arrow(table, stream=False)),
    ("application/x-ndjson", lines),
])
def test_a_table_is_the_same_however_it_was_sent(
    ask: Ask, jobs: Jobs, place: Workspace, kind: str, written: Callable[[pa.Table], bytes]
) -> None:
    table = pyarrow.csv.read_csv(io.BytesIO(text(rows()[:50]).encode()))
    made = ask("POST", RUNS, written(table), content_type=kind)[1]
    job = jobs.get(made["id"])
    assert job
    read = flow.gather(place, _instead(place, job.settings))
    assert list(read) == ["t"]
    assert read["t"].data.to_pydict() == table.to_pydict()


def test_a_named_source_is_read_instead_of_the_declared_one(place: Workspace) -> None:
    (place.folder / "more.csv").write_text(text(rows()[:30]))
    assert flow.gather(place, _instead(place, {"table": "t", "source": "more.csv"}))["t"].rows == 30
    assert flow.gather(place, _instead(place, {"table": "t", "source": "t"}))["t"].rows == 240
    assert flow.gather(place, _instead(place, {}))["t"].rows == 240


def test_the_verbs_do_what_those_of_the_command_line_do(place: Workspace) -> None:
    told: list[str] = []
    state, made = done(place, "run", {"seconds": 30.0}, "tia@example.org", told.append)
    assert (state, made["fit"], made["refusals"]) == ("done", True, [])
    assert told[-1] == "writing the release"
    release = flow.candidate(place)
    assert release.id == made["release"]
    stored = flow.stored(release)["project"]
    assert (stored.learning.seconds, stored.project.trainer) == (30.0, "tia@example.org")
    assert read_project(place.folder) == place.project
    assert [line["actor"] for line in history.ledger(place.store)] == ["tia@example.org"]
    with pytest.raises(NotFit):
        flow.promote(place, by="tia@example.org", why="mine")
    with pytest.raises(Misuse, match="nothing is in production"):
        done(place, "watch", {}, "tia@example.org", told.append)
    flow.promote(place, by="ann@example.org", why="first")
    state, watched = done(place, "watch", {}, "tia@example.org", told.append)
    assert (state, watched["rows"], watched["incidents"]) == ("done", 0, ())
    state, verified = done(place, "verify", {"release": made["release"][:12]}, "tia@example.org", told.append)
    assert state == ("done" if all(one["ok"] for one in verified["results"]) else "refused")
    assert {"what", "ok", "sentence"} == set(verified["results"][0])


def test_a_run_that_the_evidence_refuses_ends_as_refused(place: Workspace, folder: Path) -> None:
    file = folder / "shipworthy.toml"
    file.write_text(file.read_text().partition("[gate]")[0])
    result: dict[str, Any]
    state, result = done(open_workspace(folder), "run", {}, "tia@example.org", lambda step: None)
    assert (state, result["fit"]) == ("refused", False)
    assert len(result["refusals"]) > 3
