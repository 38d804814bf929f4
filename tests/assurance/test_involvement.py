"""Reviews are linked to a requirement; feedback becomes a ticket; the ledger verifies without any library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shipworthy.assurance.involvement import called, reviews, subject
from shipworthy.core import chain
from shipworthy.core.canon import canonical
from shipworthy.core.ledger import Line, line
from shipworthy.core.project import Requirement
from shipworthy.core.tickets import FOLDER, Said, keep, read_said, read_tickets
from shipworthy.errors import BadData, Misuse, StoreError
from shipworthy.sabotage.guidelines import among_ourselves, heard, loose_reviews


def test_reviews_that_moved_a_requirement_are_attested_and_never_a_pass(clean: dict[str, Any]) -> None:
    found = reviews(clean["project"], heard(clean, 1)["history"])
    assert (found.verdict, found.value) == ("attested", 6.0)


@pytest.mark.parametrize("fault", [loose_reviews, among_ourselves])
def test_a_review_of_nothing_or_among_ourselves_fails(fault: Any, clean: dict[str, Any]) -> None:
    assert reviews(clean["project"], fault(clean)["history"]).verdict == "fail"


def test_too_few_reviews_or_none_that_moved_anything_are_unknown(clean: dict[str, Any]) -> None:
    lines = heard(clean, 1)["history"]
    assert reviews(clean["project"], lines[:4]).verdict == "unknown"
    noted = [one for one in lines if one["subject"]["outcome"] == "noted"]
    assert reviews(clean["project"], noted).sentence == "None of 5 reviews confirmed or changed a requirement."


def test_a_requirement_is_called_by_its_metric_and_its_segment() -> None:
    assert called(Requirement("auc", at_least=0.7)) == "auc"
    assert called(Requirement("recall", at_least=0.7, segment={"sex": "female"})) == "recall:sex=female"


@pytest.mark.parametrize(("given", "problem"), [
    (("auk", "users", "noted"), 'there is no requirement "auk"'),
    (("auc", "users", "liked"), '"liked" is no outcome of a review'),
    (("auc", " ", "noted"), "a review is with somebody"),
])
def test_a_review_that_leads_nowhere_is_refused(
    given: tuple[str, str, str], problem: str, clean: dict[str, Any]
) -> None:
    with pytest.raises(Misuse, match=problem):
        subject(clean["project"], *given)


# ── feedback ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_feedback_is_kept_as_a_ticket_and_read_in_order(tmp_path: Path) -> None:
    first = keep(tmp_path, Said("It refuses everybody.", by="ann"), release="r1", caller="shop")
    second = keep(tmp_path, Said("Better now."), release="r2")
    assert read_tickets(tmp_path) == (first, second)
    assert (first.by, first.release, first.caller) == ("ann", "r1", "shop")


@pytest.mark.parametrize("body", [b"{}", b'{"words": ""}', b'{"words": 3}', b'{"words": "a", "more": 1}',
                                  b'{"words": "' + b"a" * 4_001 + b'"}'])
def test_what_is_no_feedback_is_refused(body: bytes) -> None:
    with pytest.raises(BadData, match="this is no feedback"):
        read_said(body)


def test_a_folder_full_of_feedback_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipworthy.core.tickets.MOST", 2)
    for words in ("one", "two"):
        keep(tmp_path, Said(words))
    with pytest.raises(StoreError, match="wait already"):
        keep(tmp_path, Said("three"))


def test_a_file_that_is_no_ticket_is_named(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "a.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BadData, match="this is no ticket"):
        read_tickets(tmp_path)


# ── the chain ────────────────────────────────────────────────────────────────────────────────────────────────────


def lines() -> list[Line]:
    made: list[Line] = []
    for n in range(5):
        made.append(line(made, actor="Zoë <zoe@example.org>", action="review", why=f'she said "{n}" / é \u2028 \x7f',
                         subject={"requirement": "auc", "b": "1", "a": "\\"}))
    return made


def text(made: list[Line]) -> str:
    return "".join(canonical(one).decode() + "\n" for one in made)


def test_the_chain_holds_by_the_standard_library_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(text(lines()), encoding="utf-8")
    alone = [sys.executable, "-I", "-S", str(chain.__file__), str(path)]
    told = subprocess.run(alone, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (0, "every line follows from the one before\n")
    path.write_text(text([*lines()[:2], *lines()[3:]]), encoding="utf-8")
    assert subprocess.run(alone, capture_output=True, text=True).returncode == 1


@pytest.mark.parametrize("change", [
    lambda made: made[1:], lambda made: [made[0], made[2], made[1], *made[3:]],
    lambda made: [*made[:2], {**made[2], "actor": "eve"}, *made[3:]],
    lambda made: [*made[:2], {**made[2], "hash": "0" * 64}, *made[3:]],
], ids=["removed", "swapped", "rewritten", "hash rewritten"])
def test_a_chain_that_was_changed_does_not_hold(change: Any) -> None:
    assert chain.faults(text(lines())) == []
    assert chain.faults(text(change(lines())))


def test_the_chain_shares_no_code_with_what_wrote_it() -> None:
    source = Path(str(chain.__file__)).read_text("utf-8")
    imported = [row.split()[1] for row in source.splitlines() if row.startswith(("import ", "from "))]
    assert set(imported) <= {"hashlib", "json", "sys"}
