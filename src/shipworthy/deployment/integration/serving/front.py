"""The short way in: one record to /v1/predict is answered where its last byte is parsed, without a task of its own.

uvicorn starts a task, a queue and two messages for every request, which costs as much as the answer. Whatever is not
one plain record in one plain request is handed to uvicorn as if nothing had been held back, and goes through the ASGI
application; so does everything, by h11, where uvicorn is not as it is known here. A client says the same head again and
again: one that was parsed before, byte for byte, is not parsed once more. It also holds what uvicorn does not: limits
of a head, of open connections and of the time that a client takes to ask.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from uvicorn import Config
from uvicorn.server import ServerState

from shipworthy.deployment.integration.serving.counters import Counters
from shipworthy.deployment.integration.serving.dialects.table import plainly_json
from shipworthy.deployment.integration.serving.reading import too_slow
from shipworthy.deployment.integration.serving.refusals import Headers, Refused, advice, refusal

if TYPE_CHECKING:
    from shipworthy.deployment.integration.serving.app import App
    from shipworthy.deployment.integration.serving.tracing import Traced

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # no httptools on this platform
    HttpToolsProtocol = object  # type: ignore[assignment, misc]

PATH, METHOD = b"/v1/predict", b"POST"
HELD_BYTES = HEAD_BYTES = 64 * 1024
CONNECTIONS = 4096
HEADS, KNOWN_BYTES = 256, 4096
END = b"\r\n\r\n"
RECORD = ord("{")
JSON = (b"content-type", b"application/json")
_LINES = {status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
_OWN = ("connection_lost", "expect_100_continue", "on_body", "on_message_begin", "on_message_complete",
        "on_response_complete", "send_400_response", "shutdown", "timeout_keep_alive", "timeout_keep_alive_handler",
        "timeout_keep_alive_task", "transport")
_PARSER = ("get_method", "get_http_version", "should_keep_alive", "should_upgrade")


def protocol(app: App | Traced, counters: Counters, megabytes: float) -> type[asyncio.Protocol] | str:
    """What uvicorn's `http` is to be for an application: the short way in, or h11 where that cannot be.

    megabytes: of the largest body. h11 comes with uvicorn, keeps trailers apart and limits heads itself.
    """
    if not as_known():
        return "h11"
    about: dict[str, Any] = {"application": app, "counters": counters, "most": min(HELD_BYTES, int(megabytes * 2**20)),
                             "room": room(), "heads": {}, "later": []}
    return type("Front", (Front,), about)


def room() -> int:
    """How many connections one process may hold open: a quarter of the files that it may open are for the rest."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return CONNECTIONS
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return CONNECTIONS if files == resource.RLIM_INFINITY else min(CONNECTIONS, files * 3 // 4)


def as_known() -> bool:
    """Whether uvicorn's protocol has all that the short way in uses of it: one is made, and hears of one request."""
    try:
        settings = Config(_nobody, http=HttpToolsProtocol, ws="none", lifespan="off", log_config=None)
        probe: Any = HttpToolsProtocol(settings, ServerState(), {}, cast(asyncio.AbstractEventLoop, _Still()))
        fresh = probe.cycle is None and probe.timeout_keep_alive_task is None
        probe.connection_made(asyncio.Transport())
        probe.data_received(b"GET /asked HTTP/1.1\r\nHost: here\r\n\r\n")
        return (fresh and all(hasattr(probe, name) for name in _OWN) and probe.url == b"/asked"
                and all(hasattr(probe.parser, name) for name in _PARSER) and probe in probe.connections
                and probe.headers is probe.scope["headers"] and probe.headers == [(b"host", b"here")]
                and probe.cycle.response_complete is False and probe.flow.write_paused is False)
    except (AttributeError, KeyError, TypeError, NotImplementedError):  # the last by a transport that nobody is to use
        return False


class Known(NamedTuple):
    """What a head says that was parsed before: its headers, and how many bytes of a body follow it."""

    headers: Mapping[bytes, bytes]
    size: int


class Front(HttpToolsProtocol):
    """One connection. held: the parts of a body that may be answered at once; None for any other request.

    most: bytes of a body that are held. room: connections that may be open. given: the headers of the request.
    since: when it last began to wait, by the clock of its loop. url: of a request that nobody answers yet.
    piece: bytes that the network brought last. heard: bytes of whole pieces since the parser told of a head or a part
    of a body. before: bytes of the piece that it told of it in, some of which may be of the next head. heads: those of
    plain requests that stay, as they were parsed in this process. later: what this turn of the loop has yet to send, of
    all connections. between: whether the parser waits for a new request. plain: headers and body
    of one that was just answered, and after which the connection stays.
    """

    application: App | Traced
    counters: Counters
    most = room = 0
    held: list[bytes] | None = None
    given: Headers
    size = piece = heard = before = 0
    heads: dict[bytes, Known]
    later: list[tuple[asyncio.Transport, bytes]]
    closing = False
    between = True
    plain: tuple[Mapping[bytes, bytes], bytes] | None = None
    url = b""
    began = since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self.since = self.loop.time()
        if len(self.connections) > self.room:
            self._turn_away(Refused(503, "too many connections are open", hint="try again in a second"))

    def eof_received(self) -> None:
        self._write()  # before the transport closes, as it does when nothing more will be asked

    def connection_lost(self, exc: Exception | None) -> None:
        if self.held is not None:
            self.held = None
            self.counters.done("predict", 400)  # cut off
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.between and (known := self.heads.get(data[: data.find(END) + 4])) and self._knows(data, known):
            return
        if self.timeout_keep_alive_task is not None:
            self.since = self.loop.time()
        self.piece, self.plain, began = len(data), None, self.between
        super().data_received(data)
        if began and self.plain is not None:
            self._learn(data, *self.plain)
        self.heard += self.piece
        if self.heard > HEAD_BYTES:
            self._turn_away(_too_long())
        elif self.held is not None and self._announced() > self.most:
            self._hand_over()  # it will not be held, and may be refused before it comes

    def on_message_begin(self) -> None:
        self.between = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self.before + self.heard + self.piece > HEAD_BYTES and self._head() > HEAD_BYTES:
            self._turn_away(_too_long())
            raise _too_long()  # the parser shall not go on
        self.before, self.heard = self.piece, -self.piece
        self.given, self.headers = self.headers, []  # a trailer is no header: RFC 9110, section 6.5.1
        if self._plain():
            self.held, self.size, self.began = [], 0, time.perf_counter()
        else:
            self.held = None
            super().on_headers_complete()
            self.url = b""

    def on_body(self, body: bytes) -> None:
        self.before, self.heard = self.piece, -self.piece
        if self.held is None:
            super().on_body(body)
            return
        self.held.append(body)
        self.size += len(body)
        if self.size > self.most or (len(self.held) == 1 and body[:1] != b"{"):
            self._hand_over()

    def on_message_complete(self) -> None:
        self.between = True
        if self.held is not None:
            body = self.held[0] if len(self.held) == 1 else b"".join(self.held)
            headers = dict(self.given)
            answer = self.application.at_once(headers, body, self.began) if body and plainly_json(headers) else None
            if answer is not None:
                self.held, self.url = None, b""
                stays = self.parser.should_keep_alive() and not self.closing
                self._send(*answer, stays=stays)
                self.on_response_complete()
                self.plain = (headers, body) if stays else None
                return
            self._hand_over()
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close it if nothing was asked for so long; requests of known heads do not move the clock that calls this."""
        left = self.since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            self.counters.done("other", 400)
            self._write()
            super().send_400_response(msg)

    def shutdown(self) -> None:
        if self.held is None:
            self._write()
            super().shutdown()
        else:
            self.closing = True  # what has begun is answered first

    @property
    def waits(self) -> float:
        """Seconds for which it has waited for the rest of a request, or for the first."""
        waiting = self.timeout_keep_alive_task is None and (self.cycle is None or self.cycle.response_complete)
        return self.loop.time() - self.since if waiting else 0.0

    def give_up(self) -> None:
        """Close it; a client that had begun to ask is told why."""
        if self.url:
            self._turn_away(too_slow())
        else:
            self.transport.close()

    def _knows(self, data: bytes, known: Known) -> bool:
        """Answer a whole request with a known head; whether that could be done."""
        size, cycle = known.size, self.cycle
        if (len(data) != data.find(END) + 4 + size or data[-size] != RECORD
                or (cycle is not None and not cycle.response_complete)
                or self.flow.write_paused or self.timeout_keep_alive_task is None or self.transport.is_closing()):
            return False
        answer = self.application.at_once(known.headers, data[-size:], time.perf_counter(), look=not self.later)
        if answer is None:
            return False
        self.since, self.heard = self.loop.time(), 0
        self._send(*answer, stays=not self.closing)
        return True

    def _learn(self, data: bytes, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Know a head again: of a request that was all that came, so that these bytes alone mean these headers."""
        end = data.find(END) + 4
        if body and end <= KNOWN_BYTES and data[end:] == body:
            if len(self.heads) >= HEADS:
                self.heads.clear()
            self.heads[data[:end]] = Known(headers, len(body))

    def _plain(self) -> bool:
        parser, cycle = self.parser, self.cycle
        return bool(self.url == PATH and parser.get_method() == METHOD and not self.expect_100_continue
                    and parser.get_http_version() == "1.1" and not parser.should_upgrade()
                    and (cycle is None or cycle.response_complete) and not self.flow.write_paused)

    def _head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _announced(self) -> int:
        return next((int(value) for name, value in self.given if name == b"content-length"), 0)

    def _hand_over(self) -> None:
        """The request to uvicorn, with what was held back of it."""
        parts, self.held = self.held or [], None
        self.expect_100_continue = False  # a trailer may have said it
        super().on_headers_complete()
        self.url = b""
        if self.closing:
            super().shutdown()  # this answer is the last
        for part in parts:
            super().on_body(part)

    def _turn_away(self, refused: Refused) -> None:
        """Close the connection; say why, unless what is said would be taken for another request's answer."""
        if self.transport.is_closing():
            return
        self.counters.done("predict" if self.held is not None else "other", refused.status)
        self.held = None
        if self.cycle is None or self.cycle.response_complete:
            status, body = refusal(refused)
            self._send(status, body, [JSON, *advice(status, refused)], stays=False)
        else:
            self._write()
            self.transport.close()

    def _send(self, status: int, body: bytes, headers: Headers, *, stays: bool) -> None:
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        last = b"" if stays else b"connection: close\r\n"
        text = b"%b%bcontent-length: %d\r\n%b\r\n%b" % (_LINES[status], lines, len(body), last, body)
        if not self.later:
            self.loop.call_soon(self._write)
        self.later.append((self.transport, text))
        if not stays:
            self._write()
            self.transport.close()

    def _write(self) -> None:
        """Send what waits, of every connection: together, at the end of a turn, for each alone wakes its client."""
        waiting = self.later.copy()
        self.later.clear()
        for transport, text in waiting:
            if not transport.is_closing():
                transport.write(text)


class _Still:
    """A loop on which nothing runs, for a protocol that is only looked at."""

    def create_task(self, running: Coroutine[Any, Any, None], **_: Any) -> _Still:
        running.close()
        return self

    def add_done_callback(self, act: Any) -> None:
        """Nothing is ever done."""


async def _nobody(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers nothing."""


def _too_long() -> Refused:
    return Refused(431, f"the head of the request is longer than {HEAD_BYTES} bytes", field="headers",
                   hint="send fewer and shorter headers")


def config(app: App, **settings: Any) -> Config:
    """uvicorn's configuration of an application, by the short way in; with traces by none, for each is to be a span."""
    asked: App | Traced = app
    if app.serving.traces:
        from shipworthy.deployment.integration.serving.tracing import traced  # here: it needs an extra

        asked = traced(app, app.serving.traces)
    http = protocol(asked, app.counters, app.serving.max_megabytes)
    limit = room() if isinstance(http, str) else None
    return Config(asked, http=http, limit_concurrency=limit, **settings)
