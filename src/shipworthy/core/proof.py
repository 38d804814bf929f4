"""What came of one declared property."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Proof(msgspec.Struct, frozen=True, omit_defaults=True):
    """A property and its verdict. A proof that a search made has a certificate; one by structure needs none.

    text: the property as declared. why: one sentence. value: the largest or worst that was met, in the property's own
    unit. records: of a refuted property, the row, and of a change the row after it, as a request would hold it. inputs:
    the same as the program reads them. seconds: what it took.
    """

    text: str
    status: Literal["proved", "refuted", "unknown"]
    why: str
    value: float | None = None
    records: tuple[dict[str, Any], ...] = ()
    inputs: tuple[tuple[float | None, ...], ...] = ()
    certificate: bytes = b""
    seconds: float = 0.0
