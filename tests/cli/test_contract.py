"""`shipworthy contract`: the rules in words, and whether a batch keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Call = Callable[..., Any]


def test_the_rules_of_a_release_are_said_in_words(made: tuple[Path, Any], call: Call) -> None:
    told = call("contract", "-p", made[0])
    assert told.code == 0
    assert any(line.split() == ["colour", "type", "it", "holds", "text"] for line in told.out.splitlines())
    plain = json.loads(call("contract", "-p", made[0], "--json").out)
    assert {"column": "size", "kind": "present", "says": "the column is there"} in plain


def test_a_batch_that_keeps_the_rules_is_said_to_and_one_that_does_not_leaves_1(
    made: tuple[Path, Any], call: Call, tmp_path: Path, lines: list[list[str]], as_csv: Callable[..., str]
) -> None:
    told = call("contract", made[0] / "t.csv", "-p", made[0])
    assert (told.code, told.out[:6]) == (0, "✓ all ")
    bad = tmp_path / "bad.csv"
    bad.write_text(as_csv([[f"{1000 * float(a):.1f}", *more] for a, *more in lines]), encoding="utf-8")
    told = call("contract", bad, "-p", made[0])
    assert told.code == 1
    assert "✗ " in told.out
    assert "of size are outside" in told.out


def test_accepted_batches_are_enough_without_a_project(
    call: Call, tmp_path: Path, lines: list[list[str]], as_csv: Callable[..., str]
) -> None:
    after: list[Any] = []
    for place in range(5):
        path = tmp_path / f"{place}.csv"
        path.write_text(as_csv(lines[48 * place : 48 * place + 48]), encoding="utf-8")
        after += ["--after", path]
    bad = tmp_path / "bad.csv"
    bad.write_text(as_csv([[a, b, "purple", d] for a, b, _, d in lines[:40]]), encoding="utf-8")
    told = call("contract", bad, *after, "--json")
    assert told.code == 1
    assert {"column": "colour", "kind": "figure",
            "says": "100.0% of colour are values that no batch before had; before, 0.0% were"} in json.loads(told.out)
    few = call("contract", bad, *after[:6])
    assert (few.code, "3 batches are too few to learn from" in few.err) == (2, True)
