"""Everything that is asked with GET: health, readiness, versions, metadata of the models, metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from shipworthy import __version__
from shipworthy.deployment.alerts.gauges import read_gauges
from shipworthy.deployment.integration.serving import openapi
from shipworthy.deployment.integration.serving.dialects import oip
from shipworthy.deployment.integration.serving.dialects.asked import about_of
from shipworthy.deployment.integration.serving.refusals import Headers, Refused, plain, refusal
from shipworthy.errors import nearest

if TYPE_CHECKING:
    from shipworthy.deployment.integration.serving.app import App
    from shipworthy.deployment.integration.serving.arms import Arm

JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
Told = tuple[int, tuple[bytes, bytes], bytes, Headers]
_encode = msgspec.json.Encoder().encode


class Routes:
    """The answers to GET requests of one application."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._gets: dict[str, Callable[[], tuple[int, Any]]] = {
            "/health": lambda: (200, {"live": True}), "/ready": self._ready, "/ping": self._ready,
            "/version": lambda: (200, {"version": __version__, "release": app.arms.champion.release.id}),
            "/v2": lambda: (200, oip.server_metadata(__version__)),
            "/v1/schema": lambda: (200, openapi.schema(app.arms.champion.release, app.arms.champion.answers)),
            "/openapi.json": lambda: (200, openapi.document(app.arms.champion.release, app.arms.champion.answers)),
            "/v2/health/live": lambda: (200, {"live": True}), "/v2/health/ready": self._ready,
        }

    @property
    def gets(self) -> list[str]:
        """The paths that take GET and name no model."""
        return [*self._gets, "/metrics"]

    @property
    def models(self) -> list[str]:
        """The paths of the models that can be asked, with and without their versions."""
        arms = self._app.arms
        base = f"/v2/models/{arms.champion.name}"
        return [base, *(f"{base}/versions/{arm.id}" for arm in arms.all)]

    def model(self, path: str) -> Arm | None:
        """The release that a path such as /v2/models/NAME/versions/ID names."""
        arms = self._app.arms
        base = f"/v2/models/{arms.champion.name}"
        if path == base:
            return arms.champion
        start = f"{base}/versions/"
        return arms.version(path[len(start) :]) if path.startswith(start) else None

    def answer(self, path: str, method: str, posts: Sequence[str]) -> Told:
        """Status, type, body and further headers. posts: the paths that take POST."""
        if path == "/metrics" and method == "GET":
            gate = self._app.gate
            watched = read_gauges(gate.home if gate else None)
            return 200, TEXT, f"{self._app.counters.board.text()}{watched}".encode(), []
        act = self._gets.get(path) or self._of_model(path)
        if act and method in ("GET", "HEAD"):
            status, value = act()
            return status, JSON, _encode(value), []
        allowed = "GET" if act or path == "/metrics" else "POST" if path in posts else ""
        if allowed:
            status, body = refusal(Refused(405, f"{path} takes {allowed}", field="method",
                                           hint=f"send {allowed} {path}"))
            return status, JSON, _told(path, body), [(b"allow", allowed.encode())]
        status, body = refusal(Refused(404, "there is nothing here", field=path[:200],
                                       hint=nearest(path, [*self._gets, *self.models, *posts]) or "POST /v1/predict"))
        return status, JSON, _told(path, body), []

    def _of_model(self, path: str) -> Callable[[], tuple[int, Any]] | None:
        ready = path.endswith("/ready")
        arm = self.model(path[: -len("/ready")] if ready else path)
        if arm is None:
            return None
        if ready:
            return lambda: (self._ready()[0], {"name": arm.name, "ready": not self._app.draining})
        return lambda: (200, oip.model_metadata(arm.answers, about_of(arm.answers, arm.name, arm.id)))

    def _ready(self) -> tuple[int, dict[str, Any]]:
        app = self._app
        ready = not app.draining
        champion, cause = app.arms.champion, app.cause
        cause = cause if ready else "the server was told to stop, and finishes what is under way"
        return (200 if ready else 503), {"live": True, "ready": ready, "release": champion.release.id,
                                         "model": champion.name, **({"cause": cause} if cause else {})}


def _told(path: str, body: bytes) -> bytes:
    """A refusal in the form of the path's protocol."""
    return plain(body) if path.startswith("/v2") else body
