"""One JSON line a request: who asked for what and how it went, and no value of anybody.

There is no field in which a value could stand: routes are the server's own names, and a request id that a client sent
is taken only where it looks like one.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from shipworthy.core.project import Serving

STDERR = 2
OTHER = "other"
_SANE = re.compile(rb"[A-Za-z0-9_-]{8,64}")
_encode = msgspec.json.Encoder().encode


class Entry(msgspec.Struct, frozen=True):
    """One request. time: its end (UTC). ms: how long it took. token, release: ids; an anonymous caller has none."""

    time: datetime
    request: str
    route: str
    status: int
    ms: float
    rows: int
    token: str
    release: str


class Journal:
    """Writes entries to an open file, each with one write, so that lines of several processes do not mix.

    routes: the names there are; any other is written as "other". lost: lines that the file did not take, for a server
    answers whether or not anybody reads.
    """

    def __init__(self, routes: Iterable[str], handle: int = STDERR) -> None:
        self.lost = 0
        self._routes, self._handle = frozenset(routes), handle

    def tell(
        self, route: str, status: int, seconds: float, *, request: str, rows: int = 0, token: str = "",
        release: str = "",
    ) -> None:
        """Write one request down."""
        known = route if route in self._routes else OTHER
        line = _encode(Entry(datetime.fromtimestamp(time.time(), UTC), request, known, status,
                             round(seconds * 1000, 3), rows, token, release)) + b"\n"
        try:
            os.write(self._handle, line)
        except OSError:
            self.lost += 1


def journal(serving: Serving, routes: Iterable[str]) -> Journal | None:
    """The journal that [serve] asks for; None where it asks for none, so that it costs one comparison."""
    return Journal(routes) if serving.requests == "json" else None


def request_id(given: bytes | None) -> str:
    """The id of a request: the client's, from its header x-request-id, if it is a sane one; else a new one.

    Sane: 8 to 64 letters, digits, _ and -, and not digits alone: a telephone number is a value of somebody.

    >>> request_id(b"b2f1c0de-0001")
    'b2f1c0de-0001'
    """
    if given is not None and _SANE.fullmatch(given) and not given.replace(b"-", b"").isdigit():
        return given.decode()
    return secrets.token_hex(8)
