"""Every error that the code raises says what is wrong, where, and what to do; walked, not sampled."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import shipworthy.errors
from shipworthy.errors import BadData, ShipworthyError, nearest, one_of

SOURCE = Path(__file__).resolve().parents[1] / "src" / "shipworthy"
KINDS = {name for name, value in vars(shipworthy.errors).items()
         if isinstance(value, type) and issubclass(value, ShipworthyError)}
MAY_BE_EMPTY = {"nearest"}


def raised() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                yield f"{path.relative_to(SOURCE).as_posix()}:{node.lineno}", node


def lacking(call: ast.Call) -> list[str]:
    """Which of where and hint a call leaves out, writes empty, or leaves to a function that may find nothing."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    return [key for key in ("where", "hint") if key not in given or _may_be_empty(given[key])]


def _may_be_empty(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return not value.value
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in MAY_BE_EMPTY


def test_every_error_is_raised_with_where_and_hint() -> None:
    found = dict(raised())
    assert len(found) > 200
    assert {place: ", ".join(lacking(call)) for place, call in found.items() if lacking(call)} == {}


@pytest.mark.parametrize(("code", "missing"), [
    ('BadData("x")', ["where", "hint"]),
    ('BadData("x", where="here")', ["hint"]),
    ('BadData("x", where="", hint="do")', ["where"]),
    ('BadData("x", where="here", hint=nearest(a, b))', ["hint"]),
    ('BadData("x", where="here", hint=nearest(a, b) or "do")', []),
    ('BadData("x", where=path, hint=one_of(a, b))', []),
])
def test_an_error_without_where_or_hint_would_be_found(code: str, missing: list[str]) -> None:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert lacking(call) == missing


def test_an_error_prints_problem_where_and_hint() -> None:
    error = BadData('column "age" is missing', where="patients.csv", hint='did you mean "Age"?')
    assert str(error) == 'column "age" is missing\n  at: patients.csv\n  hint: did you mean "Age"?'


def test_a_hint_names_the_nearest_word_or_those_there_are() -> None:
    assert nearest("xyz", ["target", "time"]) == ""
    assert one_of("tme", ["target", "time"]) == 'did you mean "time"?'
    assert one_of("xyz", [f"c{n}" for n in range(9)]) == "choose one of: c0, c1, c2, c3, c4, c5, c6, c7, …"
    assert one_of("xyz", []) == "there is none yet"
