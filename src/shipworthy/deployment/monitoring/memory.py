"""What watching remembers of a release between looks: one file each, read, used and written under one lock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from shipworthy.core.canon import digest
from shipworthy.deployment.integration.history import Home, record
from shipworthy.deployment.monitoring.watch import State, Watched
from shipworthy.errors import StoreError
from shipworthy.store.files import lock, read_bytes, write_bytes

WAIT_SECONDS = 600.0


def remembered(store: Home, release: str, look: Callable[[State], Watched]) -> Watched:
    """What a look finds that goes on from the last look at this release; its state is on the disk when this returns.

    Two at once take turns, so that nothing is counted twice; a killed look is as if it never was. Every page is put on
    record. Raises StoreError when the memory cannot be read or written, or another look does not end.
    """
    name = release[:16]
    path = store.home / "watch" / f"{name}.json"
    with lock(store.home / "locks" / f"watch-{name}.lock", WAIT_SECONDS):
        watched = look(recalled(path))
        for page in watched.incidents:
            record(store, actor="watch", role="monitor", action="page", why=page.sentence,
                   subject={"release": release, "incident": page.id}, evidence=digest(watched.findings))
        write_bytes(path, msgspec.json.format(msgspec.json.encode(watched.state), indent=1))
    return watched


def recalled(path: Path) -> State:
    """The state in a file; the first state where there is none. Raises StoreError when it is no state."""
    if not path.exists():
        return State()
    try:
        return msgspec.json.decode(read_bytes(path), type=State)
    except msgspec.MsgspecError as error:
        raise StoreError(f"what watching remembers cannot be read: {error}", where=str(path),
                         hint="delete the file: the next look begins at the release's first row") from error
