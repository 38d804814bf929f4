"""Making, rotating and revoking tokens: the file moved whole under a lock, and every change a line of the ledger."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from shipworthy.core.canon import canonical
from shipworthy.deployment.integration.access.tokens import (
    FILE,
    SCOPES,
    Access,
    Scope,
    Token,
    hashed,
    minted,
    now,
    read_access,
)
from shipworthy.deployment.integration.releases import history
from shipworthy.errors import Misuse, one_of

DAYS, GRACE_HOURS, LONGEST_DAYS = 90, 24, 366


def create(
    store: history.Home, holder: str, scopes: Sequence[str], *, by: str, why: str = "", days: int = DAYS,
    rows_a_minute: int | None = None, rows_a_day: int | None = None,
) -> tuple[str, Token]:
    """A new token, whose secret is nowhere else, and what is kept of it.

    The ledger comes first: there is no token without a line. Raises Misuse, StoreError.
    """
    _named(by)
    known = _scopes(scopes)
    if not (holder.strip() and holder.isprintable() and len(holder) <= 200):
        raise Misuse("a token needs the name of whoever holds it", where="--holder",
                     hint="a name or address on one line, of at most 200 characters")
    if min(rows_a_minute or 0, rows_a_day or 0) < 0:
        raise Misuse("a budget is a number of rows", where="--rows-a-minute", hint="0 is without limit")
    at, until = now(), _until(days)
    with _held(store.home) as access:
        made, secret = minted(frozenset(token.id for token in access.tokens))
        token = Token(made, holder.strip(), known, hashed(secret), len(access.tokens) + 1, at, until,
                      rows_a_minute=rows_a_minute, rows_a_day=rows_a_day)
        _record(store, "grant", token, by=by, why=why)
        _save(store.home, [*access.tokens, token])
    return secret, token


def rotate(
    store: history.Home, id: str, *, by: str, why: str = "", days: int = DAYS, grace_hours: float = GRACE_HOURS
) -> tuple[str, Token]:
    """The secret that takes the place of the present one, and what is kept; id, holder and budget stay.

    grace_hours: for so long the present one is taken too; with 0 it ends at once, as does one that was rotated before.
    Raises Misuse, StoreError.
    """
    _named(by)
    if not 0 <= grace_hours <= 24 * LONGEST_DAYS:
        raise Misuse("the time of grace is none, or some hours", where="--grace-hours", hint="24 is a day")
    at, until = now(), _until(days)
    with _held(store.home) as access:
        before = _found(access, store.home, id)
        if before.revoked:
            raise Misuse(f"token {id} was revoked and stays so", where=str(store.home / FILE),
                         hint="make a new one: shipworthy token create")
        secret = f"sw_{before.id}_{minted(frozenset())[1][-64:]}"
        grace = min(at + timedelta(hours=grace_hours), before.until) if grace_hours else None
        after = msgspec.structs.replace(before, hash=hashed(secret), until=until, earlier_until=grace,
                                        earlier=before.hash if grace else "")
        _record(store, "rotate", after, by=by, why=why)
        _save(store.home, [after if token is before else token for token in access.tokens])
    return secret, after


def revoke(store: history.Home, id: str, *, by: str, why: str) -> Token:
    """What is kept of a token that nobody takes any more, in any process, from the next request on.

    The file comes first: a full disk that refuses the ledger must not keep a leaked token alive. In a copy that has no
    key to sign the ledger it is all: see `history.can_sign`.
    Raises Misuse, StoreError.
    """
    _named(by)
    if not why.strip():
        raise Misuse("a token is revoked with a reason", where="revoke", hint="say --why")
    with _held(store.home) as access:
        before = _found(access, store.home, id)
        if before.revoked:
            raise Misuse(f"token {id} is revoked already", where=str(store.home / FILE),
                         hint="shipworthy token list shows the others")
        after = msgspec.structs.replace(before, revoked=now())
        _save(store.home, [after if token is before else token for token in access.tokens])
        if history.can_sign(store):
            _record(store, "revoke", after, by=by, why=why)
    return after


def _named(by: str) -> None:
    if not by.strip():
        raise Misuse("tokens change only with a name", where="token", hint="say --by")


def _scopes(asked: Sequence[str]) -> tuple[Scope, ...]:
    for scope in asked:
        if scope not in SCOPES:
            raise Misuse(f'there is no scope "{scope}"', where="--scope", hint=one_of(scope, SCOPES))
    if not asked:
        raise Misuse("a token without a scope may do nothing", where="--scope", hint=f"one of: {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in asked)


def _until(days: int) -> datetime:
    if not 1 <= days <= LONGEST_DAYS:
        raise Misuse("a token ends between tomorrow and a year from now", where=f"--days {days}",
                     hint="choose 1 to 366 days; rotating it gives it as many again")
    return now() + timedelta(days=days)


def _found(access: Access, home: Path, id: str) -> Token:
    known = {token.id: token for token in access.tokens}
    if id not in known:
        raise Misuse(f'there is no token "{id[:40]}"', where=str(home / FILE),
                     hint=one_of(id[:40], known) if known else "make one: shipworthy token create")
    return known[id]


@contextmanager
def _held(home: Path) -> Iterator[Access]:
    """The tokens as they are, while nobody else can change them."""
    from shipworthy.store.files import lock  # here: a server changes no token and needs none of its libraries

    with lock(home / "locks" / "access.lock"):
        yield read_access(home)[0]


def _save(home: Path, tokens: list[Token]) -> None:
    """Readable by its owner only, and never of the same age as the file before: servers look at age and inode."""
    from shipworthy.store.files import told, write_private  # here: as above

    path = home / FILE
    with told(path):
        before = path.stat().st_mtime_ns if path.exists() else 0
    write_private(path, canonical(Access(tuple(tokens))))
    with told(path):
        if path.stat().st_mtime_ns <= before:
            os.utime(path, ns=(time.time_ns(), before + 1))


def _record(store: history.Home, action: str, token: Token, *, by: str, why: str) -> None:
    history.record(store, actor=by, role="operator", action=action, why=why, subject={
        "token": token.id, "holder": token.holder, "scopes": " ".join(token.scopes),
        "until": token.until.isoformat(timespec="seconds")})
