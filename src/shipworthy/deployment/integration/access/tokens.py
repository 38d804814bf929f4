"""API tokens: what one looks like, and the one file that says which are good; secrets lie in it hashed only.

A token is `sw_`, an id of 8 hexadecimal digits, `_` and 256 random bits as 64 more: scanners for leaked secrets find it
by `PATTERN`. What is kept is the SHA-256 of the whole: a slow hash is for secrets that can be guessed.
Source: RFC 6750 (bearer tokens); NIST SP 800-63B, 5.1.1 (look-up secrets of 112 bits or more need no slow hash).
"""

from __future__ import annotations

import os
import re
import secrets
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from shipworthy.core.project import Serving
from shipworthy.errors import StoreError

FILE = "access.json"
MINUTES = 24 * 60  # of a day
PATTERN = r"sw_[0-9a-f]{8}_[0-9a-f]{64}"
Scope = Literal["predict", "label", "train", "approve", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
State = Literal["valid", "expired", "revoked"]
_SECRET = re.compile(PATTERN.encode())


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One token as it is kept: never the secret.

    holder: the name under which its acts are recorded. hash: SHA-256 of the token, in hex. place: its own in the
    budgets, never given twice. until: when it ends (UTC). earlier, earlier_until: what it was before it was rotated,
    and until when that is taken too. rows_a_minute, rows_a_day: 0 is without limit; none takes those of [serve].
    """

    id: str
    holder: str
    scopes: tuple[Scope, ...]
    hash: str
    place: int
    made: datetime
    until: datetime
    earlier: str = ""
    earlier_until: datetime | None = None
    revoked: datetime | None = None
    rows_a_minute: int | None = None
    rows_a_day: int | None = None

    def state(self, at: datetime) -> State:
        """Whether it is taken at a time (UTC)."""
        return "revoked" if self.revoked else "expired" if self.until <= at else "valid"

    def ends(self, told: bytes) -> datetime | None:
        """Until when a token as it was sent is taken, if it is this one; None if it is not. Takes the same time."""
        found = sha256(told).hexdigest()
        now, before = compare_digest(found, self.hash), compare_digest(found, self.earlier or "-" * 64)
        if before and self.earlier_until:
            return min(self.until, self.earlier_until)
        return self.until if now else None


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every token that was ever made, oldest first; those that ended stay, so that the list tells what was."""

    tokens: tuple[Token, ...] = ()

    def by_id(self) -> dict[bytes, Token]:
        """The tokens by their id, as it stands in what is sent."""
        return {token.id.encode(): token for token in self.tokens}


class Seen(msgspec.Struct, frozen=True):
    """What tells one state of the file from the next: a whole new file is moved there at every change."""

    changed: int
    inode: int


NOWHERE = Seen(0, 0)


def read_access(home: Path) -> tuple[Access, Seen]:
    """All tokens, and the state of the file that they were read from; none and NOWHERE before the first is made.

    home: the `.shipworthy` folder of a project. Raises StoreError when the file cannot be read: then nobody may ask.
    """
    path = home / FILE
    try:
        with open(path, "rb") as file:
            seen = os.fstat(file.fileno())
            found = msgspec.json.decode(file.read(), type=Access)
    except FileNotFoundError:
        return Access(), NOWHERE
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreError(f"the file of tokens cannot be read: {error}", where=str(path),
                         hint="restore it from a backup, or delete it and make new tokens") from error
    return found, Seen(seen.st_mtime_ns, seen.st_ino)


def askers(home: Path, serving: Serving) -> dict[str, Any]:
    """The subjects `quota` and `holders` of a case. home: the `.shipworthy` folder of a project. Raises StoreError."""
    able = _able(home)
    open_to_all = serving.open if serving.open is not None else not able
    holders = tuple(dict.fromkeys(token.holder for token in able))
    return {"quota": most_rows_a_day(home, serving), "holders": (*holders, "anonymous") if open_to_all else holders}


def most_rows_a_day(home: Path, serving: Serving) -> int:
    """How many rows a day whoever may ask most may ask for, by the tokens and the settings of today; 0 is no limit.

    home: the `.shipworthy` folder of a project. Raises StoreError.
    """
    able = _able(home)
    limits = [(_or(token.rows_a_minute, serving.rows_a_minute), _or(token.rows_a_day, serving.rows_a_day))
              for token in able] + ([(serving.rows_a_minute, serving.rows_a_day)] if serving.open or not able else [])
    days = [min(filter(None, (day, minute * MINUTES)), default=0) for minute, day in limits]
    return max(days) if all(days) else 0


def _able(home: Path) -> list[Token]:
    return [token for token in read_access(home)[0].tokens
            if token.state(now()) == "valid" and "predict" in token.scopes]


def _or(own: int | None, usual: int) -> int:
    return usual if own is None else own


def minted(taken: frozenset[str]) -> tuple[str, str]:
    """A new id that is not taken, and the token: 256 bits from the operating system."""
    while True:
        made = secrets.token_hex(4)
        if made not in taken:
            return made, f"sw_{made}_{secrets.token_hex(32)}"


def hashed(token: str) -> str:
    """What is kept of a token: its SHA-256 in hex."""
    return sha256(token.encode()).hexdigest()


def well_formed(told: bytes) -> bool:
    """Whether bytes look like a token; nothing else is worth a hash."""
    return len(told) == 76 and _SECRET.fullmatch(told) is not None


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)
