"""OpenTelemetry spans of a server: one for every request, told to a collector when [serve] traces names one.

What a span says: the route, the method, the status, and of a request for answers the release and the number of rows.
Never a value, a query, a client's address or a path that no route knows. Nothing here is imported or paid when off.
Sources: OpenTelemetry semantic conventions for HTTP spans (stable); W3C Trace Context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shipworthy import __version__
from shipworthy.errors import Misuse

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

    from shipworthy.deployment.integration.access.journal import Teller
    from shipworthy.deployment.integration.serving.app import App, Receive, Scope, Send

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
MODELS, MODEL = "/v2/models/", "/v2/models/{model}"
CONTEXT = (b"traceparent", b"tracestate")


class Traced:
    """An application whose requests are spans. provider: where they go; shut down when the server stops."""

    def __init__(self, app: App, provider: TracerProvider) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._app, self._provider, self._trace = app, provider, trace
        self._tracer = provider.get_tracer("shipworthy", __version__)
        self._context = TraceContextTextMapPropagator()
        app.journal = _Noted(trace, app.journal)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            self._provider.shutdown()
            return
        given = {key.decode(): value.decode("latin-1") for key, value in scope["headers"] if key in CONTEXT}
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        route = self._route(scope["path"])
        with self._tracer.start_as_current_span(
            f"{'HTTP' if method == '_OTHER' else method} {route}".strip(), self._context.extract(given),
            self._trace.SpanKind.SERVER, _about(scope, method, route),
        ) as span:
            await self._app(scope, receive, _noting(send, span, self._trace))

    def at_once(self, given: Any, body: bytes, began: float, *, look: bool = True) -> None:
        """Nothing is answered by the short way in, for it would be no span."""

    def _route(self, path: str) -> str:
        """The route that a path is of, with a name in place of the model; empty where there is none."""
        if path.startswith(MODELS):
            name, *rest = path[len(MODELS) :].split("/")
            rest[1:2] = ["{version}"] if rest[:1] == ["versions"] and len(rest) > 1 else rest[1:2]
            found = "/".join([MODEL, *rest]) if name else ""
            return found if "/".join(rest) in _OF_MODEL else ""
        return path if path in self._app.paths else ""


def traced(app: App, address: str) -> Traced:
    """The application, with its spans sent to a collector that takes OTLP over HTTP at an address.

    How many are sent is said by OpenTelemetry's own variables, such as OTEL_TRACES_SAMPLER. Raises Misuse when the
    extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise Misuse("traces need the extra otel", where="[serve] traces",
                     hint="pip install 'shipworthy[otel]', or take the setting out") from error
    about = {"service.name": "shipworthy", "service.version": __version__,
             "service.namespace": app.arms.champion.name}
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{address.rstrip('/')}/v1/traces")))
    return Traced(app, provider)


class _Noted:
    """Notes on the span what the application tells of its answer, and passes it on."""

    def __init__(self, trace: Any, journal: Teller | None) -> None:
        self._trace, self._journal = trace, journal

    def tell(
        self, route: str, status: int, seconds: float, *, request: str, rows: int = 0, token: str = "",
        release: str = "",
    ) -> None:
        span = self._trace.get_current_span()
        span.set_attribute("shipworthy.rows", rows)
        if release:
            span.set_attribute("shipworthy.release", release)
        if self._journal is not None:
            self._journal.tell(route, status, seconds, request=request, rows=rows, token=token, release=release)


def _about(scope: Scope, method: str, route: str) -> dict[str, str | int]:
    """What is known of a request before it is answered. url.path is left out where no route knows it."""
    host = next((value.decode("latin-1") for key, value in scope["headers"] if key == b"host"), "")
    name, _, port = host.rpartition(":") if host.rpartition(":")[2].isdigit() else (host, "", "")
    found: dict[str, str | int] = {
        "http.request.method": method, "url.scheme": scope.get("scheme", "http"),
        "network.protocol.version": scope.get("http_version", "1.1")}
    if name:
        found["server.address"] = name.strip("[]")
    if port:
        found["server.port"] = int(port)
    if route:
        found |= {"http.route": route, "url.path": scope["path"]}
    return found


def _noting(send: Send, span: Span, trace: Any) -> Send:
    async def noted(message: Any) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_attribute("error.type", str(status))
                span.set_status(trace.StatusCode.ERROR)
        await send(message)

    return noted


_OF_MODEL = {f"{version}{act}".strip("/") for version in ("", "versions/{version}") for act in ("", "/infer", "/ready")}
