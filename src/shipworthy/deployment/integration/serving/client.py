"""One kept-alive connection to a server on this machine, without a library: what drills and replays measure with."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import msgspec

from shipworthy.errors import Misuse, StoreError

LOCAL = ("127.0.0.1", "localhost", "::1")
SECONDS = 30.0


class Connection:
    """Sends requests one after another over one connection. address: http://127.0.0.1:port; no other machine.

    token: sent with each of them, if there is one.
    """

    def __init__(self, address: str, *, token: str = "") -> None:
        parts = urlsplit(address)
        if parts.scheme != "http" or parts.hostname not in LOCAL or not parts.port:
            raise Misuse("only a server on this machine can be asked", where=address, hint="such as http://127.0.0.1:8000")
        self._host = f"{parts.hostname}:{parts.port}".encode()
        self._known = f"authorization: Bearer {token}\r\n".encode() if token else b""
        try:
            self._socket = socket.create_connection((parts.hostname, parts.port), SECONDS)
        except OSError as error:
            raise StoreError(f"nobody answers: {error}", where=address, hint="start it: shipworthy serve") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def post(self, path: str, body: bytes, kind: str = "application/json") -> tuple[int, bytes]:
        """Status and body of the answer to a POST. kind: of the body. Raises StoreError when the server went away."""
        head = b"POST %s HTTP/1.1\r\nhost: %s\r\n%scontent-type: %s\r\ncontent-length: %d\r\n\r\n"
        return self._ask(head % (path.encode(), self._host, self._known, kind.encode(), len(body)) + body)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of the answer to a GET. Raises StoreError when the server went away."""
        return self._ask(b"GET %s HTTP/1.1\r\nhost: %s\r\n%s\r\n" % (path.encode(), self._host, self._known))

    def json(self, path: str) -> Any:
        """The JSON of a GET."""
        return msgspec.json.decode(self.get(path)[1])

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, raw: bytes) -> tuple[int, bytes]:
        try:
            self._socket.sendall(raw)
            return self._answer()
        except OSError as error:
            raise StoreError(f"the server went away: {error}", where=self._host.decode(),
                             hint="start it again: shipworthy serve; what it acknowledged is in the log") from error

    def _answer(self) -> tuple[int, bytes]:
        raw = self._rest
        while (end := raw.find(b"\r\n\r\n")) < 0:
            raw += self._more()
        head = raw[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        size = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        body = raw[end + 4 :]
        if len(body) < size:
            parts, have = [body], len(body)
            while have < size:
                parts.append(self._more())
                have += len(parts[-1])
            body = b"".join(parts)
        self._rest = body[size:]
        return int(head[9:12]), body[:size]

    def _more(self) -> bytes:
        found = self._socket.recv(262_144)
        if not found:
            raise ConnectionResetError("the connection was closed")
        return found
