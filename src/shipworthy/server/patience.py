"""Connections of the control API: whoever says nothing, or does not finish the head of a request, does not stay.

uvicorn itself waits for ever for the first request, and for the rest of a head. Source: RFC 9110, 15.5.9 (408);
RFC 6585, 5 (431).
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from shipworthy.deployment.integration.serving.refusals import Refused, refusal

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Protocol
except ImportError:  # no httptools on this platform
    from uvicorn.protocols.http.h11_impl import H11Protocol as Protocol  # type: ignore[assignment]

HEAD_SECONDS = 10.0
HEAD_BYTES = 64 * 1024
MOST_CONNECTIONS = 512


class Patient(Protocol):
    """One connection. since: when it began to wait for a head, by the loop's clock; 0 while it does not.

    head: bytes that came since. Beyond 512 connections the one that has waited longest makes room.
    """

    since = 0.0
    head = 0
    unread = False  # the rest of a body that nobody waits for any more

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.since = self.loop.time()
        if len(self.connections) > MOST_CONNECTIONS:
            idle = [one for one in self.connections if isinstance(one, Patient) and one.idle and one is not self]
            if idle:
                min(idle, key=lambda one: one.since).transport.close()

    def data_received(self, data: bytes) -> None:
        if self.idle:
            self.since = self.since or self.loop.time()
            self.head += 0 if self.unread else len(data)
        super().data_received(data)
        if not self.idle:
            self.since, self.head = 0.0, 0
        elif self.head > HEAD_BYTES:
            self._refuse(Refused(431, f"the head of the request is larger than {HEAD_BYTES // 1024} KB", field="head"))

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.unread = True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.unread, self.since, self.head = False, self.loop.time(), 0

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def look(self) -> None:
        """Close it if it has kept waiting for too long."""
        if not self.idle or not self.since or self.loop.time() - self.since < HEAD_SECONDS:
            return
        if self.head:
            self._refuse(Refused(408, f"the head of the request did not come within {HEAD_SECONDS:g} seconds",
                                 field="head", hint="send it in one go"))
        else:
            self.transport.close()

    def _refuse(self, error: Refused) -> None:
        if self.transport.is_closing():
            return
        status, body = refusal(error)
        begin = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        self.transport.write(f"{begin}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        self.transport.close()
