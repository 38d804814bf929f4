"""Drills, signatures and reviews by the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from shipworthy.core.tickets import Said, keep


@pytest.fixture
def own(made: Any, tmp_path: Path) -> Path:
    """A copy of a project that was run once."""
    return Path(shutil.copytree(made[0], tmp_path / "project"))


def newest(folder: Path) -> Path:
    return max((folder / "releases").iterdir(), key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.parametrize("drill", ["flips", "triggers", "influence"])
def test_a_drill_on_too_few_rows_is_unknown_and_exits_1(call: Any, own: Path, drill: str) -> None:
    told = call("drill", drill, "-p", own, "--release", newest(own))
    assert told.code == 1
    assert "? unknown" in told.out


@pytest.mark.parametrize("drill", ["membership", "attributes"])
def test_things_are_not_attacked_for_who_they_are(call: Any, own: Path, drill: str) -> None:
    told = call("drill", drill, "-p", own, "--release", newest(own))
    assert (told.code, "· n/a" in told.out) == (0, True)


def test_the_remedy_is_attacked_too_and_its_price_is_told(call: Any, own: Path) -> None:
    file = own / "shipworthy.toml"
    file.write_text(file.read_text("utf-8").replace('subject = "thing"', 'subject = "person"'), encoding="utf-8")
    told = call("drill", "membership", "-p", own, "--release", newest(own), "--remedy")
    assert told.out.count("membership: ") == 2
    assert "the remedied model's loss on" in told.err
    assert "[learning] cautious = true" in told.err


def test_extraction_tells_the_copy_the_owner_and_what_no_budget_means(call: Any, own: Path) -> None:
    told = call("drill", "extraction", "-p", own, "--release", newest(own), "--json")
    found = {one["check"]: one for one in json.loads(told.out)}
    assert set(found) == {"extraction", "ownership", "quota-live"}
    assert found["quota-live"]["verdict"] == "not-applicable"
    assert told.code == 1


def test_a_budget_is_held_by_a_real_server(call: Any, own: Path) -> None:
    file = own / "shipworthy.toml"
    file.write_text(file.read_text("utf-8") + "\n[serve]\nrows_a_day = 25\n", encoding="utf-8")
    told = call("drill", "extraction", "-p", own, "--release", newest(own), "--json")
    live = next(one for one in json.loads(told.out) if one["check"] == "quota-live")
    assert (live["verdict"], live["sentence"]) == (
        "pass", "A server answered 25 rows of one day, and row 26 was sent away with 429.")


def test_nothing_in_production_is_said(call: Any, own: Path) -> None:
    assert "nothing is in production" in call("drill", "flips", "-p", own).problem


def test_a_table_is_signed_and_the_key_is_made_for_its_owner_only(call: Any, tmp_path: Path) -> None:
    table, key = tmp_path / "a.csv", tmp_path / "sender.key"
    table.write_text("x\n1\n", encoding="utf-8")
    told = call("sign", table, "--key", key, "--by", "ann@example.org")
    assert told.code == 0
    assert len(told.out.strip()) == 64
    assert key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a.csv.signature").is_file()
    assert call("sign", table, "--key", key, "--by", "ann@example.org").out == told.out


def test_an_unsigned_source_is_refused_where_a_signer_is_declared(call: Any, own: Path) -> None:
    file = own / "shipworthy.toml"
    text = file.read_text("utf-8")
    file.write_text(text.replace('address = "t.csv"', 'address = "t.csv"\nsigner = "00"'), encoding="utf-8")
    assert "the table is not signed, and its source must be" in call("run", "-p", own).problem


def test_a_review_is_put_on_record_and_answers_a_ticket(call: Any, own: Path) -> None:
    file = own / "shipworthy.toml"
    file.write_text(file.read_text("utf-8") + '\n[[requirement]]\nmetric = "auc"\nat_least = 0.5\n', encoding="utf-8")
    ticket = keep(own / ".shipworthy" / "log", Said("It refuses everybody."), caller="shop")
    words = ("--with", "clerks", "--outcome", "changed", "--by", "ben@example.org", "--words", "They asked for 0.5.")
    told = call("review", "record", "-p", own, "--requirement", "auc", "--ticket", ticket.id, *words)
    assert "auc changed with clerks" in told.err
    listed = call("review", "tickets", "-p", own)
    assert "answered in line" in listed.out
    assert "It refuses everybody." in listed.out
    assert '"action":"review"' in call("review", "ledger", "-p", own).out
    assert 'there is no ticket "zz"' in call("review", "record", "-p", own, "--requirement", "auc", "--ticket", "zz",
                                             *words).problem


def test_a_loop_is_rehearsed_without_a_single_answer_served(call: Any, own: Path) -> None:
    told = call("drill", "feedback", "-p", own, "--release", newest(own), "--rows", 20_000, "--noise", 0.1, "--json")
    (found,) = json.loads(told.out)
    assert found["check"] == "feedback-drill"
    assert found["sentence"].startswith("With noise of 0.1 on 20,000 labelled rows a week, a gain of one half is shown")
    assert told.code == (0 if found["verdict"] == "pass" else 1)
