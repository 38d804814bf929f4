"""HTTP in the few words that the control API needs: a request, an answer, a route; and refusals in one shape."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from shipworthy.deployment.integration.access.journal import OTHER
from shipworthy.deployment.integration.serving.refusals import Refused, advice
from shipworthy.deployment.integration.serving.refusals import refusal as worded
from shipworthy.errors import BadData, ShipworthyError, one_of
from shipworthy.server.gate import Caller

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
T = TypeVar("T")
JSON, TEXT, STREAM = "application/json", "text/plain; charset=utf-8", "text/event-stream"
BODY_SECONDS, TABLE_SECONDS = 10.0, 3_600.0
LEAST_A_SECOND = 16 * 1024
BODY_BYTES = 2**20
encode = msgspec.json.Encoder(enc_hook=str).encode


class Gone(Exception):
    """The client went away; nobody waits for an answer."""


@dataclass
class Request:
    """One request. args: the named parts of its path. caller: who asks, once the gate has let them in.

    route: the name of the route that it means, once that is known.
    """

    scope: Scope
    receive: Receive
    args: Mapping[str, str] = field(default_factory=dict)
    caller: Caller | None = None
    route: str = OTHER

    @property
    def size(self) -> int:
        """Of its head, in bytes."""
        named = sum(len(key) + len(value) for key, value in self.scope["headers"])
        return len(self.path) + len(self.scope["query_string"]) + named

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    @property
    def by(self) -> str:
        """The name under which the caller acts."""
        assert self.caller
        return self.caller.name

    def header(self, name: bytes) -> bytes | None:
        """A header by its lower-case name; the first if there are several."""
        return next((value for key, value in self.scope["headers"] if key == name), None)

    def query(self, kind: type[T]) -> T:
        """The query as a struct: words where numbers are meant are read as such. Raises BadData."""
        try:
            given = dict(parse_qsl(self.scope["query_string"].decode("ascii"), keep_blank_values=True))
            return msgspec.convert(given, kind, strict=False)
        except (msgspec.ValidationError, UnicodeDecodeError) as error:
            raise _unreadable("query", error, kind) from error

    async def json(self, kind: type[T]) -> T:
        """The body as a struct; an empty one is {}. Raises BadData, Refused."""
        body = b"".join([chunk async for chunk in self.chunks(BODY_BYTES)])
        try:
            return msgspec.json.decode(body or b"{}", type=kind)
        except msgspec.ValidationError as error:
            raise _unreadable("body", error, kind) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refused(400, f"the body is not JSON: {error}", field="body") from error

    async def chunks(self, limit: int, seconds: float = BODY_SECONDS) -> AsyncIterator[bytes]:
        """The body as it comes. limit: in bytes. seconds: in which it must have come whole.

        After ten seconds it must have brought 16 KiB for each of the others. Raises Refused (413, 408); Gone.
        """
        began, length = asyncio.get_running_loop().time(), self.header(b"content-length") or b"0"
        size, more = 0, True
        if length.isdigit() and int(length) > limit:
            raise _too_large(limit)
        while more:
            within = min(seconds, BODY_SECONDS + size / LEAST_A_SECOND)
            try:
                async with asyncio.timeout_at(began + within):
                    message = await self.receive()
            except TimeoutError as error:
                raise Refused(408, f"only {size:,} bytes of the body came within {within:.3g} seconds", field="body",
                              hint="send it in one go") from error
            if message["type"] == "http.disconnect":
                raise Gone
            chunk: bytes = message.get("body", b"")
            size, more = size + len(chunk), bool(message.get("more_body"))
            if size > limit:
                raise _too_large(limit)
            if chunk:
                yield chunk


@dataclass(frozen=True)
class Answer:
    """What is sent back. body: bytes, or pieces that are sent as they come; anything else as JSON."""

    body: Any
    status: int = 200
    kind: str = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


Act = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """A method and a path, the scopes of which a caller needs one, and what is done then.

    path: parts in braces are named. says, body, query, kinds: for the document: what it does, takes, and answers with.
    """

    method: str
    path: str
    scopes: tuple[str, ...]
    act: Act
    says: str
    body: Any = None
    query: Any = None
    kinds: tuple[str, ...] = (JSON,)

    @property
    def name(self) -> str:
        """As the journal calls it: never with what stands in the place of the braces."""
        return f"{self.method} {self.path}"

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path))


class Routes:
    """The routes of an API, and which of them a request means."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._patterns = [(route.pattern, route) for route in routes]

    def of(self, path: str) -> list[tuple[Route, dict[str, str]]]:
        """The routes of a path, whatever their method, each with the named parts."""
        matches = [(pattern.fullmatch(path), route) for pattern, route in self._patterns]
        return [(route, match.groupdict()) for match, route in matches if match]

    def chosen(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route of a request with its named parts. Raises Refused."""
        found = self.of(path)
        wanted = "GET" if method == "HEAD" else method
        for route, args in found:
            if route.method == wanted:
                return route, args
        if found:
            allow = ", ".join(route.method for route, _ in found)
            raise Refused(405, f"{path[:200]} takes {allow}", field="method", hint=f"send {allow}",
                          headers=[(b"allow", allow.encode())])
        raise Refused(404, "there is nothing here", field=path[:200],
                      hint=one_of(path, [route.path for route in self.routes]))


async def sent(send: Send, answer: Answer, *, head: bool = False, name: str = "") -> None:
    """Send an answer; of HEAD, without its body. name: the id of its request, if it is to be told."""
    pieces = answer.body if isinstance(answer.body, AsyncIterator) else None
    body = b"" if pieces else answer.body if isinstance(answer.body, bytes) else encode(answer.body)
    headers = [(b"content-type", answer.kind.encode()), (b"cache-control", b"no-store"),
               (b"x-content-type-options", b"nosniff"), *answer.headers]
    if name:
        headers.append((b"x-request-id", name.encode()))
    if pieces is None:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if pieces is not None and not head:
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if head else body, "more_body": False})


def refusal(error: ShipworthyError) -> Answer:
    """The answer that says why not, as the predict API does."""
    status, body = worded(error)
    return Answer(body, status, headers=tuple(advice(status, error)))


def _too_large(limit: int) -> Refused:
    return Refused(413, f"the body is larger than {limit / 2**20:g} MB", field="body",
                   hint="send fewer rows, or Parquet; or name a source of the project instead")


def _unreadable(where: str, error: Exception, kind: Any) -> BadData:
    text = str(error).replace("`", '"').replace("$.", "").replace("Object contains", "there is an")
    return BadData(f"the {where} cannot be read: {text}", where=where,
                   hint=f"it may hold: {', '.join(getattr(kind, '__struct_fields__', ()))}")
