"""Spans as a collector gets them: by the names of the conventions, without a value of anybody."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.deployment.integration.serving.app import App, app
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.tracing import Traced
from shipworthy.errors import StoreError

from ..conftest import ask, record

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
EXTRA = ("certifi", "google", "idna", "opentelemetry", "requests", "urllib3")
HOST = (b"host", b"ward.example.org:8443")


@pytest.fixture
def spans() -> Iterator[Any]:
    """An exporter in memory, and its provider."""
    pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed; it is in the extra dev")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    yield kept, provider
    provider.shutdown()


@pytest.fixture
def traced(served: App, spans: Any) -> Traced:
    return Traced(served, spans[1])


def only(spans: Any) -> Any:
    (found,) = spans[0].get_finished_spans()
    return found


def test_an_answer_is_a_span_with_its_route_release_and_rows(traced: Traced, spans: Any, release: Release) -> None:
    status, _ = ask(traced, "POST", "/v1/predict?contributions=0", [record(), record(age=None)], (HOST,))
    found = only(spans)
    assert status == 200
    assert (found.name, found.kind.name, found.status.status_code.name) == ("POST /v1/predict", "SERVER", "UNSET")
    assert dict(found.attributes) == {
        "http.request.method": "POST", "http.route": "/v1/predict", "http.response.status_code": 200,
        "url.scheme": "http", "url.path": "/v1/predict", "server.address": "ward.example.org", "server.port": 8443,
        "network.protocol.version": "1.1", "shipworthy.rows": 2, "shipworthy.release": release.id[:16]}


def test_a_span_continues_the_trace_of_its_caller(traced: Traced, spans: Any) -> None:
    ask(traced, "POST", "/v1/predict", record(), ((b"traceparent", f"00-{TRACE}-{PARENT}-01".encode()),))
    found = only(spans)
    assert f"{found.context.trace_id:032x}" == TRACE
    assert f"{found.parent.span_id:016x}" == PARENT


@pytest.mark.parametrize("header", [b"nonsense", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01", b"\xff"])
def test_a_trace_that_cannot_be_read_begins_anew(traced: Traced, spans: Any, header: bytes) -> None:
    assert ask(traced, "POST", "/v1/predict", record(), ((b"traceparent", header),))[0] == 200
    assert only(spans).parent is None


def test_a_caller_who_samples_nothing_is_obeyed(traced: Traced, spans: Any) -> None:
    ask(traced, "POST", "/v1/predict", record(), ((b"traceparent", f"00-{TRACE}-{PARENT}-00".encode()),))
    assert spans[0].get_finished_spans() == ()


@pytest.mark.parametrize("method, path, name, route", [
    ("GET", "/ready", "GET /ready", "/ready"),
    ("GET", "/metrics", "GET /metrics", "/metrics"),
    ("POST", "/v2/models/ward/infer", "POST /v2/models/{model}/infer", "/v2/models/{model}/infer"),
    ("GET", "/v2/models/ward/versions/0123abcd", "GET /v2/models/{model}/versions/{version}",
     "/v2/models/{model}/versions/{version}"),
    ("GET", "/v2/models/ward/secret", "GET", None),
    ("GET", "/of/anna", "GET", None),
    ("BREW", "/of/anna", "HTTP", None),
])
def test_a_span_is_named_by_its_route_and_never_by_what_somebody_made_up(
    traced: Traced, spans: Any, method: str, path: str, name: str, route: str | None
) -> None:
    ask(traced, method, path, {})
    found = only(spans)
    assert (found.name, found.attributes.get("http.route")) == (name, route)
    assert ("url.path" in found.attributes) == (route is not None)
    assert found.attributes["http.request.method"] == ("_OTHER" if method == "BREW" else method)


def test_no_value_of_a_request_is_in_a_span(traced: Traced, spans: Any) -> None:
    ask(traced, "POST", "/v1/predict?contributions=anna", record(ward="anna"), ((b"user-agent", b"anna"),))
    ask(traced, "POST", "/v1/predict", record(ward=7, anna="anna"), ((b"authorization", b"Bearer anna"),))
    ask(traced, "POST", "/v1/predict", b'{"anna": ')
    told = [found.to_json() for found in spans[0].get_finished_spans()]
    assert [json.loads(one)["attributes"]["http.response.status_code"] for one in told] == [422, 422, 400]
    assert "anna" not in "".join(told)


def test_a_failure_of_the_server_is_an_error_and_a_refusal_is_none(
    traced: Traced, served: App, spans: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.arms, "draw", None)
    assert ask(traced, "POST", "/v1/predict", record())[0] == 500
    found = only(spans)
    assert found.status.status_code.name == "ERROR"
    assert found.attributes["error.type"] == "500"
    assert found.events == ()


def test_the_journal_is_still_written(release: Release, project: Project, tmp_path: Path, spans: Any) -> None:
    told: list[dict[str, Any]] = []

    class Teller:
        def tell(self, route: str, status: int, seconds: float, **more: Any) -> None:
            told.append({"route": route, "status": status, **more})

    served = app(release, tmp_path / "log", project)
    served.journal = Teller()
    ask(Traced(served, spans[1]), "POST", "/v1/predict", record())
    assert [(one["route"], one["status"], one["rows"]) for one in told] == [("predict", 200, 1)]


def test_spans_are_sent_off_when_the_server_stops(served: App, spans: Any) -> None:
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(Traced(served, spans[1])({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert spans[0].export([]).name == "FAILURE"  # it was shut down


@pytest.fixture
def exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the extra installs, within reach of the server: from here, or from the environment of clients."""
    code = "import opentelemetry.exporter.otlp.proto.http"
    if subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.DEVNULL).returncode == 0:
        return
    folder = os.environ.get("SHIPWORTHY_CLIENTS")
    if not folder:
        pytest.skip("the extra otel is not installed, and SHIPWORTHY_CLIENTS names no environment that has it")
    (tmp_path / "otel").mkdir()
    for path in Path(folder).resolve().glob("lib/python*/site-packages/*"):
        if path.name.startswith(EXTRA):
            (tmp_path / "otel" / path.name).symlink_to(path)
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "otel"), before]))


@pytest.mark.usefixtures("exporter")
def test_a_server_sends_its_spans_to_the_collector_that_was_named(
    release: Release, project: Project, tmp_path: Path
) -> None:
    paths: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            assert b"/v1/predict" in self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever).start()
        address = f"http://127.0.0.1:{collector.server_port}/"
        serving = msgspec.structs.replace(project.serve, traces=address)
        try:
            with Server(release, tmp_path / "log", serving) as server, Connection(server.address) as connection:
                assert connection.post("/v1/predict", msgspec.json.encode(record()))[0] == 200
        finally:
            collector.shutdown()
    assert paths == ["/v1/traces"]


def test_without_the_extra_the_server_says_what_to_install(release: Release, project: Project, tmp_path: Path) -> None:
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('opentelemetry') is None)"
    if subprocess.run([sys.executable, "-c", code], check=False).returncode == 0:
        pytest.skip("OpenTelemetry is installed here")
    serving = msgspec.structs.replace(project.serve, traces="http://127.0.0.1:4318")
    with pytest.raises(StoreError) as caught:
        Server(release, tmp_path / "log", serving).start()
    assert "pip install 'shipworthy[otel]'" in caught.value.hint
