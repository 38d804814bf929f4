"""A release in use: it is not collected while a process answers with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from shipworthy.errors import BadRelease

MANIFEST = "release.json"


def in_use(folder: Path) -> IO[bytes]:
    """Keep a release from being collected while the file that this gives is open; any number of processes may.

    Raises BadRelease when it is gone. Where files cannot be locked nothing is kept.
    """
    try:
        file = (folder / MANIFEST).open("rb")
        _locked(file, exclusive=False)
        if os.path.samestat(os.fstat(file.fileno()), (folder / MANIFEST).stat()):
            return file
        file.close()
    except FileNotFoundError:
        pass
    raise BadRelease("the release is gone", where=str(folder), hint="restore it from a copy, or name another")


@contextmanager
def unused(folder: Path) -> Iterator[bool]:
    """Whether no process has a release in use; none takes it into use while the block runs. Raises OSError."""
    with (folder / MANIFEST).open("rb") as file:
        yield _locked(file, exclusive=True)


def _locked(file: IO[bytes], *, exclusive: bool) -> bool:
    """False where another process has an exclusive file in use; one that is shared is waited for."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
