"""The short way in: one record to /v1/predict is answered where its last byte is parsed, without a task of its own.

uvicorn starts a task, a queue and two messages for every request, which costs as much as the answer. Whatever is not
one plain record in one plain request is handed to uvicorn as if nothing had been held back, and goes through the ASGI
application; so does everything where uvicorn is not as it is known here.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn import Config

from shipworthy.deployment.integration.serving.refusals import Headers

if TYPE_CHECKING:
    from shipworthy.deployment.integration.serving.app import App
    from shipworthy.deployment.integration.serving.tracing import Traced

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # no httptools on this platform
    HttpToolsProtocol = object  # type: ignore[assignment, misc]

PATH, METHOD = b"/v1/predict", b"POST"
HELD_BYTES = 64 * 1024
NEEDED = ("on_headers_complete", "on_body", "on_message_complete", "on_response_complete", "shutdown")
_LINES = {status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}


def protocol(app: App | Traced) -> type[asyncio.Protocol] | str:
    """What uvicorn's `http` is to be for an application: the short way in, or its own choice where that cannot be."""
    if not all(hasattr(HttpToolsProtocol, name) for name in NEEDED):
        return "auto"
    return type("Front", (_Front,), {"application": app})


class _Front(HttpToolsProtocol):
    """One connection. held: the parts of a body that may be answered at once; None for any other request."""

    application: App | Traced
    held: list[bytes] | None = None
    size = 0
    closing = False
    began = 0.0

    def on_headers_complete(self) -> None:
        if self._plain():
            self.held, self.size, self.began = [], 0, time.perf_counter()
        else:
            self.held = None
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.held is None:
            super().on_body(body)
            return
        self.held.append(body)
        self.size += len(body)
        if self.size > HELD_BYTES or (len(self.held) == 1 and body[:1] != b"{"):
            self._hand_over()

    def on_message_complete(self) -> None:
        if self.held is not None:
            body = self.held[0] if len(self.held) == 1 else b"".join(self.held)
            answer = self.application.at_once(self.headers, body, self.began) if body else None
            if answer is not None:
                self.held = None
                self._send(*answer)
                return
            self._hand_over()
        super().on_message_complete()

    def shutdown(self) -> None:
        if self.held is None:
            super().shutdown()
        else:
            self.closing = True  # what has begun is answered first

    @property
    def silent(self) -> bool:
        """Whether it is waiting for the rest of a request, or for the first."""
        return self.timeout_keep_alive_task is None and (self.cycle is None or self.cycle.response_complete)

    def _plain(self) -> bool:
        parser, cycle = self.parser, self.cycle
        return bool(self.url == PATH and parser.get_method() == METHOD and not self.expect_100_continue
                    and parser.get_http_version() == "1.1" and not parser.should_upgrade()
                    and (cycle is None or cycle.response_complete) and not self.flow.write_paused)

    def _hand_over(self) -> None:
        """The request to uvicorn, with what was held back of it."""
        parts, self.held = self.held or [], None
        super().on_headers_complete()
        if self.closing:
            super().shutdown()  # this answer is the last
        for part in parts:
            super().on_body(part)

    def _send(self, status: int, body: bytes, headers: Headers) -> None:
        stays = self.parser.should_keep_alive() and not self.closing
        lines = [_LINES[status]]
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"content-length: %d\r\n\r\n" % len(body) if stays
                     else b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body))
        lines.append(body)
        self.transport.write(b"".join(lines))
        if not stays:
            self.transport.close()
        self.on_response_complete()


def config(app: App, **settings: Any) -> Config:
    """uvicorn's configuration of an application, by the short way in; with traces by none, for each is to be a span."""
    asked: App | Traced = app
    if app.serving.traces:
        from shipworthy.deployment.integration.serving.tracing import traced  # here: it needs an extra

        asked = traced(app, app.serving.traces)
    return Config(asked, http=protocol(asked), **settings)
