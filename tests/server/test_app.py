"""The control API: closed without a token, strict about what it is asked, and acting in the holder's name."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.errors import Misuse, StoreError
from shipworthy.server.app import App, app
from shipworthy.server.gate import Closed
from shipworthy.server.runs import PLENTY
from shipworthy.server.tables import sweep
from shipworthy.store.jobs import Job, Jobs
from shipworthy.store.workspace import Workspace, open_workspace

from ..cli.conftest import fill
from .conftest import ANN, READER, ROOT, TOM, Ask, Tokens

RUNS = "/v1/projects/tiny/runs"
CSV = b"size,noise,colour,bought\n1,2,a,yes\n"


def routes(served: App) -> list[tuple[str, str]]:
    return [(route.method, route.path.replace("{name}", "tiny").replace("{id}", "x")) for route in served.routes.routes]


def test_every_route_but_health_needs_a_token(served: App, ask: Ask) -> None:
    assert ask("GET", "/health", token="") == (200, {"live": True})
    for token in ("", "wrong"):
        for method, path in [*routes(served), ("GET", "/nothing"), ("POST", "/v1/projects/other/runs")]:
            status, body = ask(method, path, token=token)
            assert (status, body["error"]["problem"]) == (401, "this token is not known"), path


def test_a_token_without_the_scope_is_refused(served: App, ask: Ask) -> None:
    for method, path in routes(served):
        assert ask(method, path, token=READER)[0] == 403, path
    assert ask("POST", f"{RUNS[:-5]}/promote", {"release": "abcd", "why": "w"}, token=TOM)[0] == 403
    assert ask("POST", RUNS, {}, token=ANN)[0] == 403
    assert ask("GET", RUNS, token=READER)[1]["error"]["problem"] == "this token may not train"
    assert ask("GET", RUNS, token=ANN)[0] == 200


def test_a_project_without_tokens_lets_nobody_in(place: Workspace) -> None:
    from ..deployment.integration.conftest import ask

    status, body = ask(app([place], lambda one: Closed()), "GET", "/v1/projects", headers=(
        (b"authorization", b"Bearer anything"),))
    assert (status, body["error"]["problem"]) == (401, "a token is needed, and this project has none")


def test_a_spent_budget_is_told_with_when_to_come_back(served: App, ask: Ask, tokens: Tokens) -> None:
    tokens.spent.add("tom@example.org")
    assert ask("GET", RUNS)[0] == 429


def test_what_is_not_there_is_told_to_whoever_may_come_in(ask: Ask) -> None:
    assert ask("GET", "/v1/projects/tinny/runs")[1]["error"] == {
        "field": "name", "problem": 'there is no project "tinny"', "hint": 'did you mean "tiny"?'}
    status, body = ask("GET", "/v1/project")
    assert (status, body["error"]["hint"]) == (404, 'did you mean "/v1/projects"?')
    status, body = ask("PUT", RUNS)
    assert (status, body["error"]["hint"]) == (405, "send POST, GET")
    assert ask("GET", f"{RUNS}/nothing")[1]["error"]["problem"] == "there is no such run"
    assert ask("PUT", "/health", token="")[0] == 405


def test_a_token_of_one_project_sees_only_that_one(tmp_path: Path, place: Workspace, tokens: Tokens) -> None:
    from ..deployment.integration.conftest import ask

    other = fill(tmp_path / "other")
    file = other / "shipworthy.toml"
    file.write_text(file.read_text().replace('name = "tiny"', 'name = "other"'))
    served = app([place, open_workspace(other)], lambda one: tokens if one is place else Closed())
    token = ((b"authorization", f"Bearer {TOM}".encode()),)
    assert [one["name"] for one in ask(served, "GET", "/v1/projects", headers=token)[1]["projects"]] == ["tiny"]
    assert ask(served, "GET", "/v1/projects/other/runs", headers=token)[0] == 401
    assert ask(served, "GET", "/v1/projects/third/runs", headers=token)[0] == 404


def test_two_projects_of_one_name_cannot_be_served(tmp_path: Path, place: Workspace, tokens: Tokens) -> None:
    with pytest.raises(Misuse, match='two projects are called "tiny"'):
        app([place, open_workspace(fill(tmp_path / "twin"))], lambda one: tokens)
    with pytest.raises(Misuse, match="there is no project to serve"):
        app([], lambda one: tokens)


def test_a_run_is_queued_in_the_holder_s_name_and_shown(ask: Ask, jobs: Jobs) -> None:
    status, made = ask("POST", RUNS, {"settings": {"seconds": 3}})
    assert (status, made["verb"], made["state"], made["by"]) == (202, "run", "queued", "tom@example.org")
    assert made["settings"] == {"seconds": 3.0}
    assert jobs.get(made["id"]).by == "tom@example.org"  # type: ignore[union-attr]
    assert ask("GET", f"{RUNS}/{made['id']}") == (200, {**made, "progress": ""})
    assert ask("GET", RUNS)[1] == {"runs": [made]}
    assert ask("GET", f"{RUNS}?state=done")[1] == {"runs": []}
    assert ask("GET", f"{RUNS}/{made['id']}/events?after=0")[1]["events"][0]["body"] == {
        "state": "queued", "by": "tom@example.org"}
    assert ask("GET", f"{RUNS}/{made['id']}/events?after=1")[1] == {"events": [], "after": 1}
    assert ask("GET", "/v1/projects")[1] == {"projects": [{"name": "tiny", "champion": None, "open_runs": 1}]}


def test_a_query_beside_json_is_refused_and_not_ignored(ask: Ask, jobs: Jobs) -> None:
    for sent in ({}, b""):
        status, body = ask("POST", f"{RUNS}?seconds=120", sent)
        assert (status, body["error"]["field"]) == (422, "query")
    assert jobs.find() == []


def test_json_is_taken_under_the_content_type_that_curl_gives_it(ask: Ask) -> None:
    curl = "application/x-www-form-urlencoded"
    status, made = ask("POST", RUNS, {"verb": "watch"}, content_type=curl)
    assert (status, made["verb"]) == (202, "watch")
    assert ask("POST", f"{RUNS}?seconds=2", {}, content_type=curl)[0] == 422


@pytest.mark.parametrize("body", [CSV, CSV * 100_000], ids=["small", "large"])
def test_a_table_under_the_content_type_of_curl_is_told_to_name_its_own(ask: Ask, jobs: Jobs, body: bytes) -> None:
    status, told = ask("POST", f"{RUNS}?seconds=2", body, content_type="application/x-www-form-urlencoded")
    assert (status, told["error"]["field"]) == (415, "content-type")
    assert told["error"]["hint"] == "send a table with its content-type, such as text/csv"
    assert jobs.find() == []


def test_who_asks_cannot_be_said_in_the_body(ask: Ask) -> None:
    status, body = ask("POST", RUNS, {"verb": "renew", "by": "ann@example.org"})
    assert (status, body["error"]["problem"]) == (422, 'the body cannot be read: there is an unknown field "by"')


@pytest.mark.parametrize(("body", "problem"), [
    ({"verb": "promote"}, 'the body cannot be read: Invalid enum value \'promote\' - at "verb"'),
    ({"settings": {"seconds": -1}}, None), ({"settings": {"seconds": "3"}}, None),
    ({"verb": "watch", "settings": {"seconds": 1}}, "watch takes no seconds"),
    ({"verb": "renew", "source": "t"}, "renew reads no source"),
    ({"verb": "verify"}, '"" is no id of a release'),
    ({"verb": "verify", "settings": {"release": "../releases/x"}}, '"../releases/x" is no id of a release'),
    ({"source": "t", "table": "u"}, 'the project has no source "u"'),
])
def test_a_run_that_means_nothing_is_refused(ask: Ask, jobs: Jobs, body: Any, problem: str | None) -> None:
    status, told = ask("POST", RUNS, body)
    assert status == 422
    assert problem is None or told["error"]["problem"] == problem
    assert jobs.find() == []


def test_a_body_that_is_not_json_is_a_bad_request(ask: Ask) -> None:
    assert ask("POST", RUNS, b"{")[0] == 400
    assert ask("POST", RUNS, b"[" * 100_000)[0] == 422
    assert ask("POST", RUNS, b"{\"source\": \"\xff\"}")[0] == 400
    assert ask("GET", f"{RUNS}?limit=many")[0] == 422
    assert ask("GET", f"{RUNS}?limit=0")[0] == 422


@pytest.mark.parametrize("source", [
    "/etc/passwd", "../other/t.csv", "http://169.254.169.254/latest", "postgresql://host/db#t", "file:///etc/passwd",
    "sqlite:///x.db#t", ".shipworthy/keys/signing.pem", "*.csv", "[.][.]/x.csv", "~/t.csv/../../..", "link.csv",
    "a/../../x.csv", ".", "releases/a/holdout.parquet", ".hidden.csv", "t.csv\0",
])
def test_a_source_that_is_nobody_s_business_is_not_read(ask: Ask, jobs: Jobs, folder: Path, source: str) -> None:
    (folder / "link.csv").symlink_to("/etc/passwd")
    status, body = ask("POST", RUNS, {"source": source})
    assert (status, body["error"]["problem"]) == (403, "the project does not declare this source")
    assert body["error"]["hint"] == "name one that it does: t; or a file in its folder; or send the table itself"
    assert jobs.find() == []


def test_a_declared_source_or_a_file_of_the_project_is_read(ask: Ask, folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "new.csv").write_bytes(CSV)
    for source in ("t", "t.csv", "more/new.csv"):
        status, made = ask("POST", RUNS, {"source": source})
        assert (status, made["settings"]) == (202, {"source": source, "table": "t"})
    assert ask("POST", RUNS, {"source": "more/none.csv"})[0] == 422


def test_an_admin_may_name_any_source(ask: Ask) -> None:
    assert ask("POST", RUNS, {"source": "postgresql://host/db#t"}, token=ROOT)[0] == 202
    status, body = ask("POST", RUNS, {"source": "postgresql://u:secret@host/db#t"}, token=ROOT)
    assert (status, body["error"]["problem"]) == (422, "the address holds a password, and runs are shown")


def test_a_table_that_is_sent_is_kept_whole_until_its_run_has_ended(ask: Ask, jobs: Jobs, place: Workspace) -> None:
    status, made = ask("POST", f"{RUNS}?seconds=2", CSV, content_type="text/csv; charset=utf-8")
    assert (status, made["settings"]) == (202, {"table": "t", "seconds": 2.0})
    kept = place.store.home / "uploads" / f"{made['id']}.csv"
    assert kept.read_bytes() == CSV
    assert kept.stat().st_mode & 0o777 == 0o600
    assert ask("DELETE", f"{RUNS}/{made['id']}")[1]["state"] == "cancelled"
    assert list(kept.parent.iterdir()) == []


@pytest.mark.parametrize(("kind", "body", "status"), [
    ("text/html", CSV, 415), ("text/csv", b"", 422), ("text/csv", b"x" * 100_001, 413)])
def test_a_table_that_cannot_be_taken_leaves_nothing(
    ask: Ask, jobs: Jobs, place: Workspace, kind: str, body: bytes, status: int
) -> None:
    assert ask("POST", RUNS, body, content_type=kind)[0] == status
    assert ask("POST", RUNS, CSV, content_type="text/csv", content_encoding="gzip")[0] == 415
    assert jobs.find() == []
    assert list((place.store.home / "uploads").glob("*")) + list((place.store.home / "uploads").glob(".*")) == []


def test_a_table_whose_sender_goes_away_leaves_nothing(served: App, jobs: Jobs, place: Workspace) -> None:
    pieces = [{"type": "http.request", "body": CSV, "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return pieces.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {TOM}".encode()), (b"content-type", b"text/csv")]
    scope = {"type": "http", "method": "POST", "path": RUNS, "query_string": b"", "headers": headers}
    asyncio.run(served(scope, receive, send))
    assert sent == []
    assert jobs.find() == []
    assert list((place.store.home / "uploads").iterdir()) == []


def test_the_same_key_again_is_the_same_run(ask: Ask, jobs: Jobs, place: Workspace) -> None:
    one = ask("POST", RUNS, {}, idempotency_key="k")[1]
    assert ask("POST", RUNS, {}, idempotency_key="k")[1] == one
    status, body = ask("POST", RUNS, {"verb": "watch"}, idempotency_key="k")
    assert (status, body["error"]["field"]) == (422, "idempotency-key")
    assert ask("POST", RUNS, {}, idempotency_key="k", token=ROOT)[1]["id"] != one["id"]
    sent = [ask("POST", RUNS, CSV, content_type="text/csv", idempotency_key="t") for _ in range(2)]
    assert sent[0] == sent[1]
    assert ask("POST", RUNS, CSV + CSV, content_type="text/csv", idempotency_key="t")[0] == 422
    assert len(jobs.find()) == 3
    assert len(list((place.store.home / "uploads").iterdir())) == 1


def test_a_run_is_cancelled_once(ask: Ask) -> None:
    made = ask("POST", RUNS, {})[1]
    status, after = ask("POST", f"{RUNS}/{made['id']}/cancel")
    assert (status, after["state"], after["stopped_by"]) == (200, "cancelled", "tom@example.org")
    status, body = ask("POST", f"{RUNS}/{made['id']}/cancel")
    assert (status, body["error"]["problem"]) == (409, "the run has ended: cancelled")


def test_only_so_many_runs_may_be_open(ask: Ask, jobs: Jobs) -> None:
    for _ in range(PLENTY):
        jobs.put(Job(verb="run", by="tom"))
    status, body = ask("POST", RUNS, {})
    assert (status, body["error"]["problem"]) == (429, "100 runs are open already")


def test_a_promotion_names_its_release_by_id_and_never_by_path(ask: Ask) -> None:
    for release in ("", "../x", "/etc", "new", "a" * 65):
        status, body = ask("POST", f"{RUNS[:-5]}/promote", {"release": release, "why": "w"}, token=ANN)
        assert (status, body["error"]["field"]) == (422, "release")
    assert ask("GET", f"{RUNS[:-5]}/checklist?release=../x")[0] == 422
    assert ask("GET", f"{RUNS[:-5]}/checklist")[1]["error"]["problem"] == "there is no release yet"
    assert ask("POST", f"{RUNS[:-5]}/rollback", {"why": "w"}, token=ANN)[0] == 422
    assert ask("GET", f"{RUNS[:-5]}/champion")[0] == 404
    assert ask("GET", f"{RUNS[:-5]}/releases")[1] == {"releases": []}


def test_ready_says_so_until_the_server_is_to_end(served: App, ask: Ask) -> None:
    assert ask("GET", "/ready")[1]["ready"]
    served.draining = True
    assert ask("GET", "/ready")[0] == 503


def test_a_store_that_refuses_is_told_as_a_matter_of_time(
    served: App, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: Jobs) -> int:
        raise StoreError("the index refused: gone", where="index.db", hint="try again")

    monkeypatch.setattr(Jobs, "open", away)
    assert ask("GET", "/ready") == (
        503, {"error": {"field": "index.db", "problem": "the index refused: gone", "hint": "try again"}})


def test_the_document_names_every_route_and_its_bodies(served: App, ask: Ask) -> None:
    told = ask("GET", "/openapi.json")[1]
    named = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert named == {("GET", "/health"), *((route.method, route.path) for route in served.routes.routes)}
    post = told["paths"]["/v1/projects/{name}/runs"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Asked"}
    assert {"Asked", "Settings", "Promotion", "Why", "Error"} <= set(told["components"]["schemas"])
    assert b"#/components" in msgspec.json.encode(told)
    events = told["paths"]["/v1/projects/{name}/runs/{id}/events"]["get"]
    assert "text/event-stream" in events["responses"]["200"]["content"]
    assert all(one["summary"] for methods in told["paths"].values() for one in methods.values())


def test_a_table_that_no_open_run_wants_is_deleted_after_an_hour(tmp_path: Path) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    for name in ("old.csv", "wanted.csv", "new.csv", ".broken.csv.ab12.part"):
        (uploads / name).write_bytes(CSV)
        if name != "new.csv":
            os.utime(uploads / name, (0, 0))
    sweep(tmp_path, {"wanted.csv"})
    assert sorted(path.name for path in uploads.iterdir()) == ["new.csv", "wanted.csv"]
    sweep(tmp_path / "none", set())
