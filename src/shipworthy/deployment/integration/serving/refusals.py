"""What a client is told when it gets no answer: a status, and {"error": {"field", "problem", "hint"}}."""

from __future__ import annotations

import msgspec

from shipworthy.errors import BadData, BadRelease, Misuse, NotFit, ShipworthyError, StoreError

Headers = list[tuple[bytes, bytes]]
STATUS: tuple[tuple[type[ShipworthyError], int], ...] = (
    (NotFit, 409), (BadRelease, 409), (BadData, 422), (Misuse, 422), (StoreError, 503))
_encode = msgspec.json.Encoder().encode


class Refused(ShipworthyError):
    """A request that is answered with a status other than 200. headers: that the answer must carry."""

    def __init__(
        self, status: int, problem: str, *, field: str = "", hint: str = "", headers: Headers | None = None
    ) -> None:
        super().__init__(problem, where=field, hint=hint)
        self.status, self.headers = status, headers or []


def refusal(error: ShipworthyError) -> tuple[int, bytes]:
    """The status and the body for an error; one that names its status has its own way."""
    status = getattr(error, "status", 0) or next((code for kind, code in STATUS if isinstance(error, kind)), 500)
    return status, _encode({"error": {"field": error.where, "problem": error.problem, "hint": error.hint}})


def advice(status: int, error: ShipworthyError) -> Headers:
    """Headers that say what to do about a refusal: when to come back, how to say who one is."""
    own: Headers = list(getattr(error, "headers", ()))
    if own or status == 401:
        return own or [(b"www-authenticate", b"Bearer")]
    return [(b"retry-after", b"1")] if status in (429, 503) else []


def plain(body: bytes) -> bytes:
    """A refusal in the form of Open Inference Protocol v2: one text."""
    error = msgspec.json.decode(body)["error"]
    return _encode({"error": "; ".join(part for part in (error["problem"], error["field"], error["hint"]) if part)})
