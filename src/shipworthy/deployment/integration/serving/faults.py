"""What goes wrong at a request: as the client is told it, as the operator is, and what stands in the way just now."""

from __future__ import annotations

import sys
import time
import traceback

import msgspec

from shipworthy.deployment.integration.serving.arms import Arm
from shipworthy.deployment.integration.serving.counters import FAILED
from shipworthy.deployment.integration.serving.refusals import Headers, Refused, advice, plain, refusal
from shipworthy.errors import ShipworthyError

RECENT_SECONDS = 300.0
JSON = (b"content-type", b"application/json")
OR_CSV = {"/v1/labels": ", a list of them, or CSV with a header", **dict.fromkeys(
    ("/v1/predict", "/invocations"), ", or a list of them, or CSV with content-type: text/csv")}


class Faults:
    """The faults of one server process that nobody foresaw."""

    def __init__(self) -> None:
        self._last, self._at = "", 0.0

    @property
    def recent(self) -> str:
        """The last one, if it is not long ago; else empty."""
        return self._last if self._last and time.monotonic() - self._at < RECENT_SECONDS else ""

    def meant(self, error: Exception, arm: Arm | None, path: str = "") -> ShipworthyError:
        """An error as the client is told it; one that nobody foresaw is a failure of the server, and of the release.

        path: that was asked; it says what else than JSON could have been sent.
        """
        if isinstance(error, ShipworthyError):
            return error
        if isinstance(error, msgspec.DecodeError | UnicodeDecodeError):
            return Refused(400, f"the body is not JSON: {error}", field="body",
                           hint=f"send one JSON object{OR_CSV.get(path, '')}")
        if isinstance(error, RecursionError):
            return Refused(400, "the body is nested too deeply", field="body",
                           hint="send flat records: field and value")
        self.tell(error, "a request")
        if arm is not None:
            arm.cells[FAILED] += 1
        return Refused(500, "the server failed at this request", hint=type(error).__name__)

    def tell(self, error: Exception, what: str) -> None:
        """Keep its kind for whoever asks for the cause, and say its place on stderr.

        Never its message, in which a value of somebody may stand.
        """
        self._last, self._at = f"{what} failed: {type(error).__name__}", time.monotonic()
        place = "".join(traceback.format_tb(error.__traceback__))
        print(f"{self._last}\n{place}", file=sys.stderr, flush=True)


def refused(error: ShipworthyError, route: str) -> tuple[int, bytes, Headers]:
    """Status, body and headers of a refusal, in the form of the route's protocol."""
    status, body = refusal(error)
    return status, plain(body) if route == "infer" else body, [JSON, *advice(status, error)]
