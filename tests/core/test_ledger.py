from __future__ import annotations

import msgspec

from shipworthy.core.ledger import Line, broken, line, moves, seal, unsealed
from shipworthy.core.signed import new_key

KEY = bytes(range(32))


def ledger(*releases: str) -> list[Line]:
    lines: list[Line] = []
    for place, release in enumerate(releases):
        subject = {"alias": "champion", "release": release, "before": releases[place - 1] if place else ""}
        lines.append(line(lines, actor="ann", action="promote", subject=subject, at="2024-01-01T00:00:00+00:00"))
    return lines


def test_a_whole_ledger_has_nothing_wrong() -> None:
    assert broken([]) == []
    assert broken(ledger("a", "b", "c")) == []
    assert [entry["subject"]["release"] for entry in moves(ledger("a", "b"))] == ["a", "b"]


def test_a_removed_line_is_noticed() -> None:
    lines = ledger("aa", "bb", "cc")
    assert broken([lines[0], lines[2]]) == [
        "line 1 has the number 2", "line 1 does not follow from the line before it",
        "line 2 moves champion from bb, but it stood at aa"]


def test_swapped_lines_are_noticed() -> None:
    lines = ledger("a", "b", "c")
    assert broken([lines[1], lines[0], lines[2]])


def test_a_changed_line_is_noticed_and_named() -> None:
    lines = ledger("a", "b")
    assert broken([{**lines[0], "actor": "eve"}, lines[1]]) == ["line 0 was changed after it was written"]


def test_a_line_hashed_anew_breaks_the_next() -> None:
    lines = ledger("a", "b")
    forged = line([], actor="eve", action="promote", subject=lines[0]["subject"], at=lines[0]["at"])
    assert broken([forged, lines[1]]) == ["line 1 does not follow from the line before it"]


def test_a_line_that_is_no_line_is_noticed() -> None:
    assert broken([{}]) == ["line 0 has the number None", "line 0 does not follow from the line before it",
                            "line 0 was changed after it was written"]


def test_signed_heads_speak_for_every_line_they_cover() -> None:
    lines = ledger("a", "b", "c")
    heads = (seal(lines, key=KEY), seal(lines[:1], key=KEY))
    assert unsealed(lines, heads) == []
    assert unsealed(lines[:2], heads) == ["1 of 3 signed lines are gone from the end"]
    assert unsealed(ledger("a", "x", "y"), heads) == ["line 2 is not the one that was signed"]


def test_a_head_that_was_changed_or_signed_by_another_is_noticed() -> None:
    lines = ledger("a", "b", "c")
    forged = msgspec.structs.replace(seal(lines, key=KEY), lines=2)
    assert unsealed(lines[:2], (forged,)) == ["the signature of the head of 2 lines does not fit"]
    assert unsealed(lines, (seal(lines, key=new_key()), seal(lines[:1], key=KEY))) == [
        "the head of 1 lines was signed with another key"]
