"""One request on its way, and what whoever asks may do without a token."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

import msgspec

from shipworthy.deployment.integration.access.gate import Caller
from shipworthy.deployment.integration.serving.answerer import few
from shipworthy.deployment.integration.serving.arms import Arm
from shipworthy.errors import BadData

OPEN = frozenset({"/health", "/ready", "/ping", "/version", "/v2", "/v2/health/live", "/v2/health/ready"})
SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
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

    def wants(self, name: str) -> bool:
        """Whether the query turns something on. Raises BadData for a word that is neither yes nor no."""
        if not self.query:
            return False
        given = parse_qs(self.query.decode("latin-1"), keep_blank_values=True).get(name, ["0"])[-1].lower()
        if given not in SWITCH:
            raise BadData(f'"{given[:40]}" is neither yes nor no', where=name,
                          hint=f"ask with ?{name}=1, or leave it out")
        return SWITCH[given]

    def spend(self, rows: int, most: int) -> None:
        """Count rows against the budget of whoever asks. Raises BadData beyond the most allowed, Denied (429)."""
        few(rows, most)
        self.rows = rows
        self.caller.spend(rows)
