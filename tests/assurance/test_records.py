"""Attestations, the ledger and its seal: what people sign and what it shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.assurance.attest import attest, read_attestations
from shipworthy.assurance.ledger import append, read, read_seal, seal, verify, write_seal
from shipworthy.assurance.nontechnical import TOPICS, attested
from shipworthy.assurance.teams import approver, ledger_holds
from shipworthy.core.attested import genuine
from shipworthy.core.ledger import broken
from shipworthy.core.signed import new_key, public_of
from shipworthy.errors import BadData, Misuse, StoreError

SOON = (datetime.now(UTC) + timedelta(days=100)).date().isoformat()
ROW = "law.non-technical"


def test_an_attestation_comes_back_as_it_was_signed(tmp_path: Path) -> None:
    key = new_key()
    attest(tmp_path, ROW, "ann", "officer", "done", expires=SOON, key=key, topic="legal-basis")
    (one,) = read_attestations(tmp_path)
    assert genuine(one)
    assert one.public == public_of(key)
    assert not genuine(msgspec.structs.replace(one, sentence="never done"))


@pytest.mark.parametrize(("row", "expires", "told"), [
    ("law.nontechnical", SOON, "there is no row"), (ROW, "2001-01-01", "has passed"), (ROW, "soon", "is not a date")])
def test_what_cannot_be_attested_is_refused(row: str, expires: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=told):
        attest(tmp_path, row, "ann", "officer", "done", expires=expires, key=new_key())
    assert not list(tmp_path.rglob("*.json"))


def test_a_file_that_is_no_attestation_is_named(tmp_path: Path) -> None:
    (tmp_path / "attestations").mkdir()
    (tmp_path / "attestations" / "x.json").write_text("{}")
    with pytest.raises(BadData, match=r"x\.json"):
        read_attestations(tmp_path)


def test_duties_are_missing_until_each_is_signed(tmp_path: Path, clean: dict[str, Any]) -> None:
    assert attested(clean["project"], ()).verdict == "unknown"
    for topic in TOPICS:
        attest(tmp_path, ROW, "ann", "officer", "done", expires=SOON, key=new_key(), topic=topic)
    finding = attested(clean["project"], read_attestations(tmp_path))
    assert finding.verdict == "attested"
    assert finding.sentence == f"All 4 duties are signed by ann and fresh until {SOON}."


def test_a_ledger_grows_and_holds(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    append(path, actor="tom", role="trainer", action="trained", subject="r1")
    append(path, actor="ann", role="approver", action="promote", subject="r1", why="fit")
    append(path, actor="ann", role="approver", action="promote", subject="r2", why="better")
    lines = read(path)
    assert [line["action"] for line in lines] == ["trained", "promote", "promote"]
    assert lines[2]["subject"] == {"alias": "champion", "release": "r2", "before": "r1"}
    assert not broken(lines)
    assert ledger_holds(lines).verdict == "pass"


def test_a_torn_last_line_is_cut_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    append(path, actor="tom", role="trainer", action="trained")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"n":1,"prev":"')
    append(path, actor="ann", role="approver", action="approved")
    assert path.read_bytes().startswith(whole)
    assert [line["n"] for line in read(path)] == [0, 1]


def test_nothing_is_added_to_a_ledger_that_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    append(path, actor="tom", role="trainer", action="trained")
    path.write_bytes(path.read_bytes().replace(b"tom", b"tim"))
    before = path.read_bytes()
    with pytest.raises(StoreError, match="does not hold"):
        append(path, actor="ann", role="approver", action="approved")
    assert path.read_bytes() == before


def test_a_seal_shows_a_tail_that_was_cut_off(tmp_path: Path) -> None:
    path, key = tmp_path / "people.jsonl", new_key()
    for n in range(3):
        append(path, actor="tom", role="trainer", action="trained", subject=f"r{n}")
    lines = read(path)
    write_seal(seal(lines, by="ann", key=key), tmp_path / "head.json")
    sealed = read_seal(tmp_path / "head.json")
    assert verify(lines, sealed, public=public_of(key)) == []
    assert verify(lines[:2]) == []
    assert verify(lines[:2], sealed) == ["1 of the 3 sealed lines are gone from the end"]
    assert verify(lines, sealed, public=public_of(new_key())) == ["the seal was made with another key"]
    forged = msgspec.structs.replace(sealed, lines=2)
    assert verify(lines[:2], forged) == ["the seal's signature does not fit"]


def test_names_alone_are_attested_and_the_ledger_proves(tmp_path: Path, clean: dict[str, Any]) -> None:
    assert approver(clean["project"], ()).verdict == "attested"
    path = tmp_path / "people.jsonl"
    append(path, actor="trainer@example.org", role="trainer", action="trained", subject="r1")
    append(path, actor="approver@example.org", role="approver", action="promote", subject="r1")
    assert approver(clean["project"], read(path)).verdict == "pass"


def test_an_unnamed_role_fails(clean: dict[str, Any]) -> None:
    nobody = msgspec.structs.replace(clean["project"].project, approver="")
    finding = approver(msgspec.structs.replace(clean["project"], project=nobody), ())
    assert finding.sentence == "No approver is named."
    assert finding.verdict == "fail"


def test_a_ledger_line_is_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    append(path, actor="tom", role="trainer", action="trained")
    assert json.loads(path.read_text())["actor"] == "tom"
