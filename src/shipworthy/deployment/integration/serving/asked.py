"""One request on its way, and what whoever asks may do without a token."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shipworthy.deployment.integration.access.gate import Caller
from shipworthy.deployment.integration.serving.answerer import few
from shipworthy.deployment.integration.serving.arms import Arm

OPEN = frozenset({"/health", "/ready", "/ping", "/version", "/v2", "/v2/health/live", "/v2/health/ready"})
ANYONE = Caller("anonymous", frozenset({"predict", "label"}))


class Asked(msgspec.Struct, gc=False):
    """One request on its way. began: by `time.perf_counter`. arm: the release that answers it. rows: asked about.

    wrote: the releases whose answers were logged.
    """

    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    began: float
    body: bytes = b""
    caller: Caller = ANYONE
    arm: Arm | None = None
    rows: int = 0
    wrote: list[Arm] = []

    def spend(self, rows: int, most: int) -> None:
        """Count rows against the budget of whoever asks. Raises BadData beyond the most allowed, Denied (429)."""
        few(rows, most)
        self.rows = rows
        self.caller.spend(rows)
