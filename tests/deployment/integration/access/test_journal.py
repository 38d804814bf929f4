"""The journal of requests: one line each, and no place in it for a value."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipworthy.core.project import Serving
from shipworthy.deployment.integration.access.journal import Journal, journal, request_id


def test_a_request_is_one_line_of_json() -> None:
    read, write = os.pipe()
    told = Journal(["predict", "labels"], write)
    told.tell("predict", 200, 0.00123456, request="abcdefgh-1", rows=3, token="0123abcd", release="ff" * 8)
    told.tell("predict", 401, 0.0001, request="abcdefgh-2")
    os.close(write)
    with os.fdopen(read, "rb") as file:
        first, second = map(msgspec.json.decode, file.read().splitlines())
    at = datetime.fromisoformat(first.pop("time"))
    assert datetime.now(UTC) - timedelta(minutes=1) < at <= datetime.now(UTC)
    assert first == {"request": "abcdefgh-1", "route": "predict", "status": 200, "ms": 1.235, "rows": 3,
                     "token": "0123abcd", "release": "ff" * 8}
    assert (second["status"], second["rows"], second["token"], second["release"]) == (401, 0, "", "")


def test_a_path_is_never_written_down() -> None:
    read, write = os.pipe()
    Journal(["predict"], write).tell("/v1/patients/Ann Example?age=39", 404, 0.1, request="abcdefgh")
    os.close(write)
    with os.fdopen(read, "rb") as file:
        line = file.read()
    assert msgspec.json.decode(line)["route"] == "other"
    assert b"Ann" not in line
    assert b"39" not in line.partition(b'"request"')[2]


def test_a_server_answers_though_nobody_reads_its_journal() -> None:
    read, write = os.pipe()
    os.close(read)
    told = Journal(["predict"], write)
    told.tell("predict", 200, 0.1, request="abcdefgh")
    os.close(write)
    assert told.lost == 1


def test_there_is_a_journal_only_where_the_project_asks_for_one() -> None:
    assert journal(Serving(), ["predict"]) is None
    assert isinstance(journal(Serving(requests="json"), ["predict"]), Journal)


@pytest.mark.parametrize("sane", ["b2f1c0de-0001", "0af7651916cd43dd8448eb211c80319c", "a" * 64, "trace_00000001"])
def test_the_client_s_request_id_is_kept(sane: str) -> None:
    assert request_id(sane.encode()) == sane


@pytest.mark.parametrize("odd", [
    None, b"", b"short", b"a" * 65, b"ann@example.org", b"Ann Example", b"line\nbreak1", b'"}{"a":1', b"\xff" * 12,
    b"4915112345678", b"078-05-1120", b"abcdefgh\n",
])
def test_a_request_id_that_may_be_a_value_is_replaced(odd: bytes | None) -> None:
    made = request_id(odd)
    assert made != request_id(odd)
    assert len(made) == 16
    assert int(made, 16) >= 0


@given(st.binary(max_size=100))
def test_every_request_id_is_safe_to_write_down(given: bytes) -> None:
    made = request_id(given)
    assert made.replace("-", "").replace("_", "").isalnum()
    assert made.isascii()
    assert 8 <= len(made) <= 64
