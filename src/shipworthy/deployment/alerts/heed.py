"""What a look sets in motion before it is remembered: causes named, steps suggested, messages in the outbox, gauges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from shipworthy.core.clock import now_us
from shipworthy.core.project import Project
from shipworthy.core.settings.sinks import Runbook
from shipworthy.deployment.alerts.causes import Change, changes, ranked
from shipworthy.deployment.alerts.gauges import FILE, gauges
from shipworthy.deployment.alerts.message import events
from shipworthy.deployment.alerts.outbox import put, waiting
from shipworthy.deployment.alerts.silence import muted, silences
from shipworthy.deployment.integration.releases.history import Home, ledger
from shipworthy.deployment.monitoring.incident import Cause, Incident, Replay
from shipworthy.deployment.monitoring.watch import Watched
from shipworthy.store.files import write_bytes


def heeded(
    store: Home, project: Project, before: Incident | None, watched: Watched, *, release: str,
    why: Callable[[Watched], Replay] | None = None,
) -> Watched:
    """What was watched, its new incidents with causes and steps; their messages lie in the outbox when this returns.

    before: the incident that was open before this look. why: replays whose change a harm is; asked once for an
    incident of harm, the last of a look. Raises StoreError.
    """
    lines, now = ledger(store), now_us()
    done = changes(store.folder, lines)
    last = watched.incident or next(reversed(watched.incidents), None)

    def explained(one: Incident) -> Incident:
        if why is not None and last is not None and one.id == last.id and due(one, before):
            one = msgspec.structs.replace(one, replay=why(watched))
        books = [book for book in project.runbook if book.family in one.families]
        link = next((book.link for book in books if book.link and book.family == one.lead), one.link)
        return msgspec.structs.replace(one, causes=_causes(one, done), steps=tuple(map(step, books)), link=link)

    pages = tuple(map(explained, watched.incidents))
    after = _after(watched.incident, before, pages, explained)
    quiet = silences(lines, release)
    silenced = after is not None and all(muted(quiet, family, now) for family in after.families)
    watched = replace(watched, incidents=pages, silenced=silenced,
                      state=msgspec.structs.replace(watched.state, incident=after))
    put(store, project.sink, events(before, pages, after, project.project.name), now=now)
    write_bytes(store.home / FILE, gauges(release, after, watched.state.height, silenced=silenced, at=now,
                                          undelivered=len(waiting(store))).encode())
    return watched


def due(one: Incident, before: Incident | None) -> bool:
    """Whether an incident is to be replayed: once it is one of harm; if that failed, again once labels prove it."""
    if not one.harms or one.replay is None:
        return one.harms
    fresh = before is None or before.id != one.id or "harm" not in before.families
    return one.replay.change is None and "harm" in one.families and fresh


def _causes(one: Incident, done: tuple[Change, ...]) -> tuple[Cause, ...]:
    replay = one.replay
    return ranked(one, done, shares=replay.shares if replay and replay.worse else None)


def step(book: Runbook) -> str:
    """A step of a runbook in words."""
    return f"{book.step} (by itself, at most {book.most_a_day} a day)" if book.automatic else book.step


def _after(
    known: Incident | None, before: Incident | None, pages: tuple[Incident, ...], explained: Callable[..., Incident]
) -> Incident | None:
    """The open incident: as it was where nothing joined it, so that a look without new rows changes nothing."""
    if known is None or known == before:
        return known
    return next((page for page in pages if page.id == known.id), None) or explained(known)
