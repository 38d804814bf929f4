"""Reading a request's body: no larger than allowed, no slower than allowed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from shipworthy.deployment.integration.serving.refusals import Refused

READ_SECONDS = 10.0
Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class Reading:
    """The bodies that are being read. megabytes: of the largest.

    A timer for every request would cost more than the answer; one look a second at those under way costs nothing.
    """

    def __init__(self, megabytes: float) -> None:
        self.megabytes, self.limit = megabytes, int(megabytes * 2**20)
        self._under_way: dict[int, tuple[float, asyncio.Task[Any] | None]] = {}
        self._late: set[int] = set()

    async def body(self, headers: Mapping[bytes, bytes], receive: Receive, began: float) -> bytes:
        """The whole body; began: by `time.perf_counter`.

        Raises Refused: 413 for one too large, announced or not, 408 for one that does not come, 400 for one that was
        cut off, which is counted and reaches nobody. Source: RFC 9112, section 8.
        """
        announced = headers.get(b"content-length")
        if announced is not None and int(announced) > self.limit:
            raise self._too_large()
        key = id(headers)
        self._under_way[key] = (began, asyncio.current_task())
        try:
            body = await self._whole(receive)
        except asyncio.CancelledError:
            if key not in self._late:
                raise
            raise too_slow() from None
        finally:
            self._under_way.pop(key, None)
            self._late.discard(key)
        if announced is not None and len(body) != int(announced):
            raise _cut(f"{len(body)} of {int(announced)} bytes")
        return body

    def overdue(self) -> None:
        """End those that take too long."""
        limit = time.perf_counter() - READ_SECONDS
        for key, (began, task) in list(self._under_way.items()):
            if began < limit and task is not None and key not in self._late:
                self._late.add(key)
                task.cancel()

    async def _whole(self, receive: Receive) -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        parts, size = [body], len(body)
        while message.get("more_body") and size <= self.limit:
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
        if message.get("type") == "http.disconnect":
            raise _cut("the connection ended")
        if size > self.limit:
            raise self._too_large()
        return body if len(parts) == 1 else b"".join(parts)

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is larger than {self.megabytes:g} MB", field="body",
                       hint="send the records in several requests")


def too_slow() -> Refused:
    """What a client is told that takes too long to ask."""
    return Refused(408, f"the request did not arrive within {READ_SECONDS:g} seconds", field="body",
                   hint="send it in one go")


def _cut(problem: str) -> Refused:
    return Refused(400, f"the body is not whole: {problem}", field="body", hint="send the request again")
