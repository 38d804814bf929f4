"""What a client is told when it gets no answer: a status, and {"error": {"field", "problem", "hint"}}."""

from __future__ import annotations

import msgspec

from shipworthy.errors import BadData, Misuse, ShipworthyError, StoreError

Headers = list[tuple[bytes, bytes]]
_encode = msgspec.json.Encoder().encode


class Refused(ShipworthyError):
    """A request that is answered with a status other than 200."""

    def __init__(self, status: int, problem: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(problem, where=field, hint=hint)
        self.status = status


def refusal(error: ShipworthyError) -> tuple[int, bytes]:
    """The status and the body for an error; one that names its status has its own way."""
    status = 422 if isinstance(error, BadData | Misuse) else 503 if isinstance(error, StoreError) else 500
    status = getattr(error, "status", status)
    return status, _encode({"error": {"field": error.where, "problem": error.problem, "hint": error.hint}})


def advice(status: int, error: ShipworthyError) -> Headers:
    """Headers that say what to do about a refusal: when to come back, how to say who one is."""
    own: Headers = list(getattr(error, "headers", ()))
    return own or ([(b"retry-after", b"1")] if status in (429, 503) else [])


def plain(body: bytes) -> bytes:
    """A refusal in the form of Open Inference Protocol v2: one text."""
    error = msgspec.json.decode(body)["error"]
    return _encode({"error": "; ".join(part for part in (error["problem"], error["field"], error["hint"]) if part)})
