"""What a look sets in motion before it is remembered: causes named, steps suggested, messages in the outbox, gauges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from shipworthy.core.clock import now_us
from shipworthy.core.project import Project
from shipworthy.core.settings.sinks import Runbook
from shipworthy.deployment.alerts.causes import changes, ranked
from shipworthy.deployment.alerts.gauges import FILE, gauges
from shipworthy.deployment.alerts.message import events
from shipworthy.deployment.alerts.outbox import put, waiting
from shipworthy.deployment.alerts.silence import muted, silences
from shipworthy.deployment.integration.releases.history import Home, ledger
from shipworthy.deployment.monitoring.incident import Incident
from shipworthy.deployment.monitoring.watch import Watched
from shipworthy.store.files import write_bytes


def heeded(store: Home, release: str, project: Project, before: Incident | None, watched: Watched) -> Watched:
    """What was watched, its new incidents with causes and steps; their messages lie in the outbox when this returns.

    before: the incident that was open before this look. Raises StoreError.
    """
    lines, now = ledger(store), now_us()
    done = changes(store.folder, lines)

    def explained(one: Incident) -> Incident:
        books = [book for book in project.runbook if book.family in one.families]
        link = next((book.link for book in books if book.link and book.family == one.lead), one.link)
        return msgspec.structs.replace(one, causes=ranked(one, done), steps=tuple(map(step, books)), link=link)

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
