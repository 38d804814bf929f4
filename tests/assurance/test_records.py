"""Attestations and the signed ledger: what people sign and what it shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.assurance.attest import attest, read_attestations
from shipworthy.assurance.nontechnical import TOPICS, attested
from shipworthy.assurance.teams import approver, ledger_holds
from shipworthy.core.attested import genuine
from shipworthy.core.ledger import Line, line, seal
from shipworthy.core.signed import new_key, public_of
from shipworthy.errors import BadData, Misuse

SOON = (datetime.now(UTC) + timedelta(days=100)).date().isoformat()
KEY = bytes(range(32))
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


def written(*acts: tuple[str, str, str]) -> list[Line]:
    lines: list[Line] = []
    for actor, action, release in acts:
        lines.append(line(lines, actor=actor, action=action, subject={"release": release}))
    return lines


def test_a_ledger_that_is_whole_and_signed_passes() -> None:
    lines = written(("tom", "train", "r1"), ("ann", "approve", "r1"))
    head = seal(lines, key=KEY)
    finding = ledger_holds(lines, (head,))
    assert finding.verdict == "pass"
    assert finding.sentence == ("All 2 lines of the ledger are in their place and as they were written; the head of 2 "
                                f"is signed by the key {public_of(KEY)[:16]}.")
    assert ledger_holds([*lines, line(lines, actor="ann", action="waive")], (head,)).verdict == "pass"


def test_a_tail_that_was_cut_off_fails_by_the_signed_head() -> None:
    lines = written(("tom", "train", "r1"), ("ann", "approve", "r1"), ("ann", "promote", "r1"))
    finding = ledger_holds(lines[:1], (seal(lines, key=KEY),))
    assert finding.verdict == "fail"
    assert finding.sentence == "The ledger of 1 lines does not verify: 2 of 3 signed lines are gone from the end."
    assert ledger_holds([], (seal(lines, key=KEY),)).verdict == "fail"


def test_without_a_signed_head_a_cut_tail_is_unknown_and_an_empty_ledger_does_not_apply() -> None:
    assert ledger_holds(written(("tom", "train", "r1")), ()).verdict == "unknown"
    assert ledger_holds((), ()).verdict == "not-applicable"


def test_names_alone_are_attested_and_the_ledger_proves(clean: dict[str, Any]) -> None:
    assert approver(clean["project"], ()).verdict == "attested"
    lines = written(("trainer@example.org", "trained", "r1"), ("approver@example.org", "promote", "r1"))
    assert approver(clean["project"], lines).verdict == "pass"


def test_an_unnamed_role_fails(clean: dict[str, Any]) -> None:
    nobody = msgspec.structs.replace(clean["project"].project, approver="")
    finding = approver(msgspec.structs.replace(clean["project"], project=nobody), ())
    assert finding.sentence == "No approver is named."
    assert finding.verdict == "fail"
