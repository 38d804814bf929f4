"""`shipworthy token`: the token alone on stdout, once; everything else is talk, and every mistake has a hint."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from shipworthy.core.project import Serving
from shipworthy.deployment.integration.access.gate import Denied, Gate
from shipworthy.deployment.integration.access.tokens import PATTERN

from .conftest import Call


@pytest.fixture
def folder(project: Callable[..., Path]) -> Path:
    return project()


def create(call: Call, folder: Path, *more: str, holder: str = "ann@example.org") -> str:
    told = call("token", "create", "-p", folder, "--holder", holder, "--scope", "predict", "--by", "olga", *more)
    assert told.code == 0, told.err
    assert re.fullmatch(PATTERN + "\n", told.out)
    return told.out.strip()


def test_a_token_is_printed_alone_and_opens_the_gate(call: Call, folder: Path) -> None:
    told = call("token", "create", "-p", folder, "--holder", "ann@example.org", "--scope", "predict",
                "--scope", "label", "--by", "olga", "--why", "the web shop", "--days", "30")
    assert (told.code, told.out.count("\n")) == (0, 1)
    secret = told.out.strip()
    assert secret not in told.err
    assert re.search(r"token [0-9a-f]{8} of ann@example.org may predict, label until \d{4}-\d\d-\d\d\n", told.err)
    with closing(Gate(folder / ".shipworthy", Serving())) as gate:
        assert gate.allows(f"Bearer {secret}".encode(), "label").name == "ann@example.org"


def test_json_holds_the_token_and_what_is_kept_but_no_hash(call: Call, folder: Path) -> None:
    told = call("token", "create", "-p", folder, "--holder", "ann", "--scope", "admin", "--by", "olga", "--json",
                "--rows-a-day", "500")
    made = json.loads(told.out)
    assert re.fullmatch(PATTERN, made.pop("token"))
    assert (made["holder"], made["scopes"], made["state"], made["rows_a_day"]) == ("ann", ["admin"], "valid", 500)
    assert not [value for value in made.values() if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)]


def test_the_list_shows_who_may_what_and_how_much_was_asked_and_no_secret(call: Call, folder: Path) -> None:
    told = call("token", "list", "-p", folder)
    assert (told.out, told.err.startswith("there is no token; make one:")) == ("", True)
    secret = create(call, folder, "--rows-a-day", "1000")
    gone = create(call, folder, holder="bob")
    assert call("token", "revoke", gone[3:11], "-p", folder, "--by", "olga", "--why", "left").code == 0
    with closing(Gate(folder / ".shipworthy", Serving())) as gate:
        gate.allows(f"Bearer {secret}".encode(), "predict").spend(70)
    out = call("token", "list", "-p", folder).out
    first, second = out.splitlines()
    assert re.fullmatch(secret[3:11] + r"  valid    until \S+  predict  70 rows today of at most 1,000 a day  "
                        "ann@example.org", first)
    assert re.fullmatch(gone[3:11] + r"  revoked  until \S+  predict  0 rows today  bob", second)
    listed = json.loads(call("token", "list", "-p", folder, "--json").out)
    assert [(one["id"], one["state"], one["rows_today"]) for one in listed] == [
        (secret[3:11], "valid", 70), (gone[3:11], "revoked", 0)]
    assert secret[12:] not in out + str(listed)


def test_a_rotated_token_is_printed_and_the_old_one_ends_at_once_without_grace(call: Call, folder: Path) -> None:
    old = create(call, folder)
    told = call("token", "rotate", old[3:11], "-p", folder, "--by", "olga", "--grace-hours", "0")
    new = told.out.strip()
    assert new[:12] == old[:12]
    with closing(Gate(folder / ".shipworthy", Serving())) as gate:
        assert gate.allows(f"Bearer {new}".encode(), "predict")
        with pytest.raises(Denied):
            gate.allows(f"Bearer {old}".encode(), "predict")
    told = call("token", "rotate", old[3:11], "-p", folder, "--by", "olga")
    assert re.search(r"; the one before is taken until \d{4}-\d\d-\d\d \d\d:\d\d UTC\n", told.err)


def test_a_revoked_token_is_said_to_be_revoked(call: Call, folder: Path) -> None:
    made = create(call, folder)[3:11]
    told = call("token", "revoke", made, "-p", folder, "--by", "olga", "--why", "found in a log")
    assert (told.code, told.out, told.err) == (
        0, "", f"token {made} of ann@example.org is revoked; no server takes it any more\n")
    told = call("token", "revoke", made, "-p", folder, "--by", "olga", "--why", "again")
    assert (told.code, told.problem.splitlines()[0]) == (2, f"error: token {made} is revoked already")


@pytest.mark.parametrize(("words", "problem", "hint"), [
    (("create", "--holder", "a", "--scope", "predcit", "--by", "o"), 'there is no scope "predcit"',
     'did you mean "predict"?'),
    (("create", "--scope", "predict", "--by", "o"), "Missing option '--holder'", "see: shipworthy token create --help"),
    (("create", "--holder", "a", "--scope", "predict", "--by", "o", "--days", "9999"),
     "a token ends between tomorrow and a year from now", "choose 1 to 366 days; rotating it gives it as many again"),
    (("revoke", "00000000", "--by", "o", "--why", "x"), 'there is no token "00000000"',
     "make one: shipworthy token create"),
    (("revoke", "00000000", "--by", "o"), "Missing option '--why'", "see: shipworthy token revoke --help"),
    (("shred",), "No such command 'shred'", "see: shipworthy token --help"),
])
def test_a_mistake_is_told_with_a_hint(
    call: Call, folder: Path, words: tuple[str, ...], problem: str, hint: str
) -> None:
    told = call("token", *words, "-p", folder)
    assert (told.code, told.out) == (2, "")
    assert told.problem.startswith(f"error: {problem}")
    assert told.problem.endswith(f"hint: {hint}")
