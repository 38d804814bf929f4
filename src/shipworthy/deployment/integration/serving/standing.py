"""Who answers: the champion, and beside it a challenger with its share of the traffic; one small file, moved whole.

Every server process reads it and looks again several times a second. Whoever moves it (promote, rollback, rollout)
writes it after the ledger: the ledger is what happened, this file is what the servers were told of it.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import msgspec

from shipworthy.core.canon import canonical
from shipworthy.errors import StoreError

FILE = "serving.json"
Mode = Literal["alone", "shadow", "canary"]


class Stand(msgspec.Struct, frozen=True):
    """A release by its id, and its folder relative to the project (absolute if it lies elsewhere)."""

    release: str
    folder: str


class Standing(msgspec.Struct, frozen=True):
    """Who answers whom.

    turn: grows with every move. shadow: the challenger is asked too and its answers kept, never sent. canary: it
    answers a share (0–1) of the entities. unit: the columns whose values name an entity; none means every request is
    its own. salt: of the assignment, new with every rollout. previous: the champion before, to which a rollback goes.
    """

    turn: int
    champion: Stand
    challenger: Stand | None = None
    mode: Mode = "alone"
    share: float = 0.0
    salt: str = ""
    unit: tuple[str, ...] = ()
    previous: Stand | None = None


def read_standing(home: Path) -> Standing | None:
    """What the servers were told last; None before the first time. home: the `.shipworthy` folder of a project.

    Raises StoreError when it cannot be read.
    """
    path = home / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Standing)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreError(f"who answers cannot be read: {error}", where=str(path),
                         hint="promote the champion again, which writes it anew") from error


def stamp(home: Path) -> tuple[int, int] | None:
    """What changes whenever the servers are told anew; None before the first time."""
    try:
        seen = os.stat(home / FILE)
    except FileNotFoundError:
        return None
    return seen.st_ino, seen.st_mtime_ns


def write_standing(home: Path, standing: Standing) -> None:
    """Tell the servers, all or nothing. Raises StoreError."""
    from shipworthy.store.files import write_bytes  # here: a server writes nothing and needs none of its libraries

    write_bytes(home / FILE, canonical(standing))


def place(entity: str, salt: str) -> float:
    """Where an entity lies in [0, 1): the challenger answers it while its share is above.

    Growing the share moves entities one way only. Source: Kohavi, Tang, Xu (2020), Trustworthy Online Controlled
    Experiments, chapter 14, on hashed assignment.
    """
    drawn = blake2b(entity.encode(), key=salt.encode()[:64], digest_size=8).digest()
    return int.from_bytes(drawn, "big") / 2**64
