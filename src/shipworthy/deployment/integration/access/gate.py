"""The gate of a server: who asks, what they may, and how much; a change of the tokens holds from the next request.

A look at the age and inode of the file costs two microseconds, so every turn of the server's loop takes one. A header
whose token was verified is known until the file changes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType

from shipworthy.core.project import Serving
from shipworthy.deployment.integration.access.budgets import UNLIMITED, Budgets, Limits
from shipworthy.deployment.integration.access.tokens import (
    FILE,
    NOWHERE,
    Token,
    now,
    read_access,
    well_formed,
)
from shipworthy.errors import ShipworthyError, StoreError

ANONYMOUS = "anonymous"
OPENED = frozenset({"predict", "label"})
HEADER_BYTES = 83  # "Bearer " and a token
ASK = "ask the operator for one: shipworthy token create"


class Denied(ShipworthyError):
    """A request that is not let in. status: 401 nobody known, 403 not theirs to do, 429 budget used up.

    headers: what the answer must carry. retry_after: seconds, with 429.
    """

    def __init__(
        self, status: int, problem: str, *, hint: str, challenge: str | None = None, retry_after: int = 0
    ) -> None:
        super().__init__(problem, where="authorization" if status < 429 else "budget", hint=hint)
        self.status, self.retry_after = status, retry_after
        self.headers: tuple[tuple[bytes, bytes], ...] = ()
        if challenge is not None:
            self.headers = ((b"www-authenticate", f'Bearer realm="shipworthy"{challenge}'.encode()),)
        if retry_after:
            self.headers = ((b"retry-after", str(retry_after).encode()),)


class Caller:
    """Who asks. name: under which acts are recorded. token: its id, empty for anonymous. until: seconds since 1970."""

    __slots__ = ("_budgets", "_limits", "_place", "name", "scopes", "token", "until")

    def __init__(
        self, name: str, scopes: frozenset[str], *, token: str = "", until: float = float("inf"), place: int = 0,
        limits: Limits = UNLIMITED, budgets: Budgets | None = None,
    ) -> None:
        self.name, self.scopes, self.token, self.until = name, scopes, token, until
        self._place, self._limits, self._budgets = place, limits, budgets

    def spend(self, rows: int) -> None:
        """Count rows that are about to be answered. Raises Denied (429) when a budget does not hold them."""
        if self._budgets is None:
            return
        short = self._budgets.spend(self._place, rows, self._limits)
        if short:
            hint = f"ask again in {short.seconds} seconds, or ask the operator for a larger budget"
            if rows > short.limit:
                hint = f"send at most {short.limit:,} rows at once"
            raise Denied(429, f"the budget of {short.limit:,} rows a {short.unit} is used up", hint=hint,
                         retry_after=short.seconds)

    def __repr__(self) -> str:
        return f"Caller({self.name!r}, {' '.join(sorted(self.scopes))})"


class Gate:
    """Lets in who may. One for a process, opened after a fork, closed at the end; safe for several threads.

    home: the `.shipworthy` folder of a project. serving: with its budgets, and whether the predict API is open; without
    it nothing is open and nothing is counted, as for the control API. host: where the server listens, if not where
    serving says. Raises StoreError.
    """

    def __init__(self, home: Path, serving: Serving | None = None, *, host: str = "") -> None:
        self.home, self.serving = home, serving
        self.host = host or (serving.host if serving else "")
        self._path = str(home / FILE)
        self._budgets = Budgets(home) if serving else None
        self._usual = Limits(serving.rows_a_minute, serving.rows_a_day) if serving else UNLIMITED
        self._anonymous = Caller(ANONYMOUS, OPENED, limits=self._usual, budgets=self._budgets)
        self._state = _State(0)
        try:
            self._read()
        except StoreError:
            self.close()
            raise

    @property
    def open(self) -> bool:
        """Whether one may ask without a token, by what was read last."""
        return self._state.open

    def allows(self, authorization: bytes | None, scope: str, *, look: bool = True) -> Caller:
        """Who asks, if they may do what a scope is for.

        authorization: the header of that name as it came. look: at the file; without, it is as at the last look. Raises
        Denied, 401 or 403; StoreError when the file of tokens cannot be read, so that nobody is let in by its loss.
        """
        caller = self.caller(authorization, look=look)
        if scope in caller.scopes:
            return caller
        if not caller.token:
            raise _unasked()
        raise Denied(403, f"token {caller.token} has no scope {scope}, only {', '.join(sorted(caller.scopes))}",
                     challenge=f', error="insufficient_scope", scope="{scope}"',
                     hint=f"ask the operator for one: shipworthy token create --scope {scope}")

    def caller(self, authorization: bytes | None, *, look: bool = True) -> Caller:
        """Who asks, whatever they may do. A token that is sent must be good, even where none is needed."""
        state = self._looked() if look or self._state.changed < 0 else self._state
        if authorization is None:
            if state.open:
                return self._anonymous
            raise _unasked()
        if len(authorization) != HEADER_BYTES:
            raise _unknown("the header holds no token", "send: Authorization: Bearer sw_…")
        caller = state.known.get(authorization)
        if caller is None or caller.until <= time.time():
            caller = self._verified(state, authorization)
        return caller

    def _looked(self) -> _State:
        """What the file says now."""
        try:
            found = os.stat(self._path)
        except OSError as error:
            return self._missing(error)
        state = self._state
        return state if found.st_mtime_ns == state.changed and found.st_ino == state.inode else self._read()

    def told(self) -> str:
        """One sentence for whoever starts the server: who may ask."""
        if self.open:
            far = "" if local(self.host) else "; [serve] open = true says so, and this address can be reached from afar"
            return f"open: whoever reaches this address may ask, without a token{far}"
        tokens, at = self._state.tokens.values(), now()
        able = sum(token.state(at) == "valid" and not OPENED.isdisjoint(token.scopes) for token in tokens)
        if not able:
            return "closed, and nobody has a token: shipworthy token create --holder NAME --scope predict --by NAME"
        return f"closed: {able} token{'s' if able > 1 else ''} may ask"

    def close(self) -> None:
        """Let go of the budgets."""
        if self._budgets:
            self._budgets.close()

    def _verified(self, state: _State, authorization: bytes) -> Caller:
        """The caller of a header that was not seen before, or whose token has ended."""
        told = authorization[7:]
        if authorization[:7].lower() != b"bearer " or not well_formed(told):
            raise _unknown("the header holds no token", "send: Authorization: Bearer sw_…")
        token = state.tokens.get(told[3:11])
        ends = token.ends(told) if token else None
        if token is None or ends is None:
            raise _unknown("there is no such token")
        if token.revoked:
            raise _unknown(f"token {token.id} was revoked on {token.revoked:%Y-%m-%d}")
        if ends <= now():
            raise _unknown(f"token {token.id} ended on {ends:%Y-%m-%d}")
        minute, day = token.rows_a_minute, token.rows_a_day
        limits = Limits(self._usual.minute if minute is None else minute, self._usual.day if day is None else day)
        caller = Caller(token.holder, frozenset(token.scopes), token=token.id, until=ends.timestamp(),
                        place=token.place, limits=limits, budgets=self._budgets)
        state.known[authorization] = caller
        return caller

    def _read(self) -> _State:
        """The file anew. Until it is read whole, nobody is known and nothing is open."""
        before, self._state = self._state, _State()
        access, seen = read_access(self.home)
        if seen == NOWHERE and before.changed:
            raise _lost(self._path)
        if self._budgets:
            self._budgets.reach(max((token.place for token in access.tokens), default=0))
        serving, closed = self.serving, any(not OPENED.isdisjoint(token.scopes) for token in access.tokens)
        open = serving is not None and (local(self.host) and not closed if serving.open is None else serving.open)
        self._state = _State(seen.changed, seen.inode, access.by_id(), open)
        return self._state

    def _missing(self, error: OSError) -> _State:
        """Before the first token there is no file; the loss of one that was there must not open the gate."""
        if not isinstance(error, FileNotFoundError):
            raise StoreError(f"the file of tokens cannot be looked at: {error.strerror}", where=self._path,
                             hint="mend the permissions of its folder") from error
        if self._state.changed:
            self._state = _State()
            raise _lost(self._path) from error
        return self._state


class _State:
    """What was read of the file, and who was verified by it: replaced whole, so that no thread mixes two.

    changed: 0 where there was no file, -1 while there is none that could be read.
    """

    __slots__ = ("changed", "inode", "known", "open", "tokens")

    def __init__(
        self, changed: int = -1, inode: int = 0, tokens: Mapping[bytes, Token] = MappingProxyType({}),
        open: bool = False,
    ) -> None:
        self.changed, self.inode, self.tokens, self.open = changed, inode, tokens, open
        self.known: dict[bytes, Caller] = {}  # by the header as it came


def local(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _unasked() -> Denied:
    return Denied(401, "this needs a token", challenge="", hint=ASK)


def _unknown(problem: str, hint: str = "") -> Denied:
    return Denied(401, problem, challenge=', error="invalid_token"', hint=hint or ASK)


def _lost(path: str) -> StoreError:
    return StoreError("the file of tokens is missing", where=path, hint="restore it from a backup")
