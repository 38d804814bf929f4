"""What watching remembers of a release between looks: one file each, read, used and written under one lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from shipworthy.core.canon import digest
from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.deployment.alerts.heed import heeded
from shipworthy.deployment.integration.releases.history import Home, can_sign, record
from shipworthy.deployment.monitoring.incident import Incident, Replay
from shipworthy.deployment.monitoring.watch import State, Watched
from shipworthy.errors import Misuse, StoreError
from shipworthy.store.files import lock, read_bytes, write_bytes

WAIT_SECONDS = 600.0
MILD = ("not-applicable", "pass", "attested", "unknown", "fail")  # of the findings of a row the last one is told


def remembered(
    store: Home, release: str, look: Callable[[State], Watched], *, project: Project | None = None,
    why: Callable[[Watched], Replay] | None = None,
) -> Watched:
    """What a look finds that goes on from the last look at this release; its state is on the disk when this returns.

    project: whose sinks are told; without one nobody is. why: replays whose change a harm is, when one opens.

    Two at once take turns, so that nothing is counted twice; a killed look is as if it never was. Every page is put on
    record, but not in a copy that has no key to sign the ledger. Raises StoreError when the memory cannot be read or
    written, or another look does not end.
    """
    with _held(store, release) as path:
        before = recalled(path)
        watched = look(before)
        if project is not None:
            watched = heeded(store, project, before.incident, watched, release=release, why=why)
        for page in watched.incidents if can_sign(store) else ():
            record(store, actor="watch", role="monitor", action="page", why=page.sentence,
                   subject={"release": release, "incident": page.id}, evidence=digest(watched.findings))
        for name, replay in _replayed(before.incident, watched).items() if can_sign(store) else ():
            record(store, actor="watch", role="monitor", action="replay", why=replay.sentence,
                   subject={"release": release, "incident": name}, evidence=digest(replay))
        order = sorted(watched.findings, key=lambda finding: MILD.index(finding.verdict))
        said = {finding.row: f"the last watch: {finding.verdict}: {finding.sentence}" for finding in order}
        watched = replace(watched, state=msgspec.structs.replace(watched.state, told=said))
        _keep(path, watched.state)
    return watched


def _replayed(before: Incident | None, watched: Watched) -> dict[str, Replay]:
    """What was replayed in this look, by incident."""
    known = {before.id: before.replay} if before is not None else {}
    found = {one.id: one.replay for one in (*watched.incidents, watched.incident) if one is not None and one.replay}
    return {name: replay for name, replay in found.items() if replay != known.get(name)}


def last_said(store: Home, release: Release) -> dict[str, str]:
    """Row of the survey that only traffic can prove → what the last look at the release said of it, or what it waits
    for. Raises StoreError.
    """
    told = recalled(_place(store, release.id)).told
    return {row: told.get(row, why) for row, why in release.evidence.missing.items()}


def closed(store: Home, release: str, *, by: str, why: str) -> Incident:
    """The open incident of a release, closed by somebody for a reason, on record; what goes on pages anew.

    Raises Misuse when none is open.
    """
    if not by.strip() or not why.strip():
        raise Misuse("an incident is closed only with a name and a reason", where="shipworthy watch --close",
                     hint="say --by and --close")
    with _held(store, release) as path:
        state = recalled(path)
        if state.incident is None:
            raise Misuse("no incident is open", where=release[:16], hint="see what is open: shipworthy watch")
        record(store, actor=by, role="operator", action="close incident", why=why,
               subject={"release": release, "incident": state.incident.id})
        _keep(path, msgspec.structs.replace(state, incident=None, quiet=0))
    return state.incident


def recalled(path: Path) -> State:
    """The state in a file; the first state where there is none. Raises StoreError when it is no state."""
    if not path.exists():
        return State()
    try:
        return msgspec.json.decode(read_bytes(path), type=State)
    except msgspec.MsgspecError as error:
        raise StoreError(f"what watching remembers cannot be read: {error}", where=str(path),
                         hint="delete the file: the next look begins at the release's first row") from error


@contextmanager
def _held(store: Home, release: str) -> Iterator[Path]:
    """The file of a release's memory, for this look alone."""
    name = release[:16]
    with lock(store.home / "locks" / f"watch-{name}.lock", WAIT_SECONDS):
        yield _place(store, release)


def _place(store: Home, release: str) -> Path:
    return store.home / "watch" / f"{release[:16]}.json"


def _keep(path: Path, state: State) -> None:
    write_bytes(path, msgspec.json.format(msgspec.json.encode(state), indent=1))
