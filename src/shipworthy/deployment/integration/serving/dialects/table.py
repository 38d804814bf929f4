"""Which dialect a request is in: by the kind of path it was sent to, and by its content type."""

from __future__ import annotations

from collections.abc import Mapping

from shipworthy.deployment.integration.serving.dialects import arrow, csv, mlflow, oip, records
from shipworthy.deployment.integration.serving.dialects.asked import Dialect, Headers, Unsupported

JSON = "application/json"
DIALECTS: dict[str, dict[str, Dialect]] = {
    "predict": {JSON: Dialect(records.read, records.write), arrow.KIND: Dialect(arrow.read, arrow.write),
                csv.KIND: Dialect(csv.read, csv.write)},
    "infer": {JSON: Dialect(oip.read, oip.write), "application/octet-stream": Dialect(oip.read, oip.write)},
    "invocations": {JSON: Dialect(mlflow.read, mlflow.write), csv.KIND: Dialect(mlflow.read_table, mlflow.write)},
}
UNSAID = ("", "application/x-www-form-urlencoded", "*/*")
PLAIN = frozenset(kind.encode() for kind in (JSON, *UNSAID))


def dialect(path: str, headers: Headers) -> Dialect:
    """How to read a request and how to write its answer. path: "predict", "infer" or "invocations".

    A body without a type, or with the one that curl gives it, is JSON. An answer is in the form that Accept names if
    there is one, otherwise in that of the question, and CSV, which has no types, is answered as JSON.
    Raises Unsupported for a content type that the path does not read.
    """
    known = DIALECTS[path]
    kind = _media(headers.get("content-type", ""))
    kind = JSON if kind in UNSAID else kind
    if kind not in known:
        raise Unsupported(f"the content type {kind[:60]!r} is not read here", where="Content-Type",
                          hint=f"send {' or '.join(known)}")
    asked = [_media(part) for part in headers.get("accept", "").split(",")]
    wanted = next((name for name in asked if name in known), JSON if kind == csv.KIND else kind)
    return Dialect(known[kind].read, known[wanted].write)


def plainly_json(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a body is JSON as it stands, and its answer wanted as JSON: what the hot route asks, at no cost.

    It may say no where `dialect` would say JSON after a closer look. headers: as they came, names in lower case.
    """
    return (headers.get(b"content-type", b"") in PLAIN and headers.get(b"accept", b"") in PLAIN
            and b"content-encoding" not in headers)


def _media(header: str) -> str:
    return header.partition(";")[0].strip().lower()
