"""Tokens on disk: hashed, private, on record; rotated with grace or at once; revoked for good."""

from __future__ import annotations

import os
import re
import stat
from datetime import timedelta
from hashlib import sha256

import msgspec
import pytest

from shipworthy.core.ledger import broken
from shipworthy.deployment.integration.access.issue import create, revoke, rotate
from shipworthy.deployment.integration.access.tokens import FILE, PATTERN, now, read_access
from shipworthy.deployment.integration.releases.history import ledger
from shipworthy.errors import Misuse, StoreError
from shipworthy.store import Store


def test_a_token_is_kept_by_its_hash_only_and_readable_by_its_owner_only(store: Store) -> None:
    secret, token = create(store, "ann", ["label", "predict"], by="olga", days=30)
    assert re.fullmatch(PATTERN, secret)
    assert secret[3:11] == token.id
    assert token.hash == sha256(secret.encode()).hexdigest()
    assert token.scopes == ("predict", "label")
    assert timedelta(days=30) - timedelta(minutes=1) < token.until - now() <= timedelta(days=30)
    path = store.home / FILE
    assert secret[12:] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_access(store.home)[0].tokens == (token,)


def test_every_change_is_a_line_of_the_ledger_that_holds_no_secret(store: Store) -> None:
    secret, token = create(store, "ann", ["predict"], by="olga", why="the web shop asks")
    again, _ = rotate(store, token.id, by="olga")
    revoke(store, token.id, by="otto", why="found in a log")
    lines = ledger(store)
    assert broken(lines) == []
    assert [(one["actor"], one["action"], one["why"]) for one in lines] == [
        ("olga", "grant", "the web shop asks"), ("olga", "rotate", ""), ("otto", "revoke", "found in a log")]
    assert {one["subject"]["token"] for one in lines} == {token.id}
    assert lines[0]["subject"] | {"until": ""} == {
        "token": token.id, "holder": "ann", "scopes": "predict", "until": ""}
    text = str(lines)
    assert not [word for word in (secret[12:], again[12:], token.hash) if word in text]


def test_no_two_secrets_are_alike_and_no_two_tokens_share_an_id_or_a_place(store: Store) -> None:
    made = [create(store, "ann", ["predict"], by="olga") for _ in range(5)]
    assert len({secret[12:] for secret, _ in made}) == 5
    assert len({token.id for _, token in made}) == 5
    assert [token.place for _, token in made] == [1, 2, 3, 4, 5]


def test_a_rotated_token_keeps_id_holder_and_place_and_is_taken_until_its_grace_ends(store: Store) -> None:
    old, before = create(store, "ann", ["predict"], by="olga", rows_a_day=7)
    new, after = rotate(store, before.id, by="olga", grace_hours=2, days=10)
    changed = {name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name)}
    assert changed == {"hash", "until", "earlier", "earlier_until"}
    assert after.ends(new.encode()) == after.until
    assert after.ends(old.encode()) == after.earlier_until
    assert after.earlier_until
    assert timedelta(hours=1.9) < after.earlier_until - now() <= timedelta(hours=2)
    _, third = rotate(store, before.id, by="olga")
    assert third.ends(old.encode()) is None
    assert third.ends(new.encode()) == third.earlier_until


def test_a_token_rotated_without_grace_ends_at_once(store: Store) -> None:
    old, before = create(store, "ann", ["predict"], by="olga")
    _, after = rotate(store, before.id, by="olga", grace_hours=0)
    assert after.ends(old.encode()) is None


def test_grace_does_not_outlast_the_token_it_is_given_to(store: Store) -> None:
    _, before = create(store, "ann", ["predict"], by="olga", days=1)
    _, after = rotate(store, before.id, by="olga", grace_hours=100)
    assert after.earlier_until == before.until


def test_a_revoked_token_stays_revoked_and_stays_listed(store: Store) -> None:
    _, token = create(store, "ann", ["predict"], by="olga")
    gone = revoke(store, token.id, by="olga", why="left the house")
    assert gone.state(now()) == "revoked"
    assert read_access(store.home)[0].tokens == (gone,)
    with pytest.raises(Misuse, match="was revoked and stays so"):
        rotate(store, token.id, by="olga")
    with pytest.raises(Misuse, match="is revoked already"):
        revoke(store, token.id, by="olga", why="again")


@pytest.mark.parametrize(("options", "problem", "hint"), [
    ({"scopes": ["predcit"]}, 'there is no scope "predcit"', 'did you mean "predict"?'),
    ({"scopes": []}, "a token without a scope may do nothing", "one of: predict, label, train, approve, admin"),
    ({"holder": " "}, "a token needs the name of whoever holds it",
     "a name or address on one line, of at most 200 characters"),
    ({"holder": "ann\nbob"}, "a token needs the name of whoever holds it",
     "a name or address on one line, of at most 200 characters"),
    ({"by": " "}, "tokens change only with a name", "say --by"),
    ({"days": 0}, "a token ends between tomorrow and a year from now",
     "choose 1 to 366 days; rotating it gives it as many again"),
    ({"days": 367}, "a token ends between tomorrow and a year from now",
     "choose 1 to 366 days; rotating it gives it as many again"),
    ({"rows_a_day": -1}, "a budget is a number of rows", "0 is without limit"),
])
def test_a_token_that_makes_no_sense_is_refused_and_nothing_is_written(
    store: Store, options: dict[str, object], problem: str, hint: str
) -> None:
    usual = {"holder": "ann", "scopes": ["predict"], "by": "olga"}
    with pytest.raises(Misuse) as told:
        create(store, **{**usual, **options})  # type: ignore[arg-type]
    assert (told.value.problem, told.value.hint) == (problem, hint)
    assert not (store.home / FILE).exists()
    assert ledger(store) == []


def test_a_wrong_id_and_a_missing_reason_are_told(store: Store) -> None:
    with pytest.raises(Misuse) as told:
        revoke(store, "0badcafe", by="olga", why="x")
    assert (told.value.problem, told.value.hint) == (
        'there is no token "0badcafe"', "make one: shipworthy token create")
    _, token = create(store, "ann", ["predict"], by="olga")
    with pytest.raises(Misuse) as told:
        rotate(store, token.id[:-1], by="olga")
    assert told.value.hint == f'did you mean "{token.id}"?'
    with pytest.raises(Misuse, match="a token is revoked with a reason"):
        revoke(store, token.id, by="olga", why=" ")
    with pytest.raises(Misuse, match="the time of grace is none, or some hours"):
        rotate(store, token.id, by="olga", grace_hours=-1)


def test_every_change_makes_the_file_newer_even_within_a_tick_or_under_a_clock_that_went_back(store: Store) -> None:
    path = store.home / FILE
    _, token = create(store, "ann", ["predict"], by="olga")
    late = path.stat().st_mtime_ns + 10**15
    os.utime(path, ns=(late, late))
    rotate(store, token.id, by="olga")
    assert path.stat().st_mtime_ns == late + 1


def test_a_file_that_is_not_one_of_tokens_is_an_error_and_never_an_empty_list(store: Store) -> None:
    path = store.home / FILE
    for text in (b"", b"{", b"[]", b'{"tokens":[{}]}', b'{"tokens":[],"more":1}', b"\xff"):
        path.write_bytes(text)
        with pytest.raises(StoreError, match="the file of tokens cannot be read"):
            read_access(store.home)
        with pytest.raises(StoreError):
            create(store, "ann", ["predict"], by="olga")
        assert path.read_bytes() == text


def test_what_is_kept_comes_back_as_it_was(store: Store) -> None:
    _, token = create(store, "Žofie <z@example.org>", ["admin"], by="olga", rows_a_minute=0)
    raw = (store.home / FILE).read_bytes()
    assert msgspec.json.decode(raw)["tokens"][0]["rows_a_minute"] == 0
    assert read_access(store.home)[0].tokens[0] == token
