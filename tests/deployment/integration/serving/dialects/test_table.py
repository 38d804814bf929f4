from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable

import pytest

from shipworthy.deployment.integration.serving.app import App
from shipworthy.deployment.integration.serving.dialects import arrow, records
from shipworthy.deployment.integration.serving.dialects import csv as dialect_csv
from shipworthy.deployment.integration.serving.dialects.asked import Unreadable, inflated
from shipworthy.deployment.integration.serving.dialects.table import dialect, plainly_json
from shipworthy.errors import BadData

from ...conftest import ask, record

LINE = b"age,dose,ward,smoker,seen,grade\n39,0.5,east,true,2024-03-01T06:00:00Z,2\n"


@pytest.mark.parametrize(("kind", "accept", "read", "write"), [
    ("", "", records, records), ("application/json; charset=utf-8", "*/*", records, records),
    ("application/x-www-form-urlencoded", "", records, records), ("Text/CSV", "", dialect_csv, records),
    ("text/csv", "text/csv", dialect_csv, dialect_csv), (arrow.KIND, "", arrow, arrow),
    (arrow.KIND, "text/html, application/json;q=0.9", arrow, records), ("application/json", arrow.KIND, records, arrow),
])
def test_content_type_and_accept_choose_the_dialect(kind: str, accept: str, read: object, write: object) -> None:
    found = dialect("predict", {"content-type": kind, "accept": accept})
    assert (found.read, found.write) == (read.read, write.write)  # type: ignore[attr-defined]


def test_a_type_that_a_path_does_not_read_is_415_and_told_what_is(served: App) -> None:
    status, body = ask(served, "POST", "/v1/predict", b"<a/>", ((b"content-type", b"text/xml"),))
    assert (status, body["error"]["hint"]) == (
        415, "send application/json or application/vnd.apache.arrow.stream or text/csv")
    with pytest.raises(BadData, match="not read here"):
        dialect("infer", {"content-type": "text/csv"})


def test_csv_is_answered_as_csv_when_accept_asks(served: App) -> None:
    headers = ((b"content-type", b"text/csv"), (b"accept", b"text/csv"))
    status, body = ask(served, "POST", "/v1/predict?contributions=0", LINE, headers)
    (line,) = csv.DictReader(io.StringIO(body.decode(), newline=""))
    status_json, answers = ask(served, "POST", "/v1/predict", LINE, headers[:1])
    _, expected = ask(served, "POST", "/v1/predict", [record()])
    assert (status, status_json) == (200, 200)
    assert line["prediction"] == answers[0]["prediction"] == expected[0]["prediction"]
    assert float(line["probabilities.yes"]) == expected[0]["probabilities"]["yes"]


@pytest.mark.parametrize(("encoding", "pack"), [
    ("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes), ("", None)])
def test_a_packed_body_is_unpacked_up_to_its_limit(encoding: str, pack: Callable[[bytes], bytes] | None) -> None:
    headers = {"content-encoding": encoding} if encoding else {}
    assert inflated(pack(b"x" * 100) if pack else b"x" * 100, headers, 100) == b"x" * 100
    if encoding in ("gzip", "deflate") and pack:
        for body in (pack(b"x" * 101), pack(b"x" * 10**7), pack(b"x" * 100)[:-1]):
            with pytest.raises(Unreadable, match="the body is cut, or larger than allowed"):
                inflated(body, headers, 100)
        with pytest.raises(Unreadable, match=f"the body is not {encoding}"):
            inflated(b"plain", headers, 100)


@pytest.mark.parametrize(("headers", "plain"), [
    ({}, True), ({b"content-type": b"application/json", b"accept": b"*/*"}, True),
    ({b"content-type": b"application/x-www-form-urlencoded"}, True), ({b"content-type": b"text/csv"}, False),
    ({b"accept": b"text/csv"}, False), ({b"content-encoding": b"gzip"}, False)])
def test_only_plain_json_takes_the_hot_route(headers: dict[bytes, bytes], plain: bool) -> None:
    assert plainly_json(headers) == plain


def test_another_encoding_is_415(served: App) -> None:
    status, body = ask(served, "POST", "/v1/predict", record(), ((b"content-encoding", b"br"),))
    assert (status, body["error"]["hint"]) == (415, "send gzip or deflate, or no encoding")


def test_a_body_of_another_form_than_its_type_is_400(served: App) -> None:
    for kind in (b"text/csv", arrow.KIND.encode()):
        status, body = ask(served, "POST", "/v1/predict", b'\xff"', ((b"content-type", kind),))
        assert (status, body["error"]["field"]) == (400, "body")
