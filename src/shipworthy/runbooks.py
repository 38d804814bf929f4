"""A look at the traffic and all that follows from it: the steps that the owner allowed, and messages that are sent.

Beside the flow, for it joins the watch, rollback, renewal and the outbox. What is done is done once for an incident,
and is in the ledger, by "watch", before it is begun: a killed step is not begun again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shipworthy import flow, renewals
from shipworthy.core.meters import own_meters
from shipworthy.core.registry import Marked
from shipworthy.core.settings.sinks import Runbook
from shipworthy.core.table import Table
from shipworthy.core.tallies import Tallies
from shipworthy.deployment.alerts.message import message, trial
from shipworthy.deployment.alerts.outbox import Deliver, Posted, deliver, put
from shipworthy.deployment.alerts.picture import pictured
from shipworthy.deployment.alerts.silence import Silence, silence
from shipworthy.deployment.integration.releases.history import can_sign, ledger, record
from shipworthy.deployment.monitoring.incident import Incident
from shipworthy.deployment.monitoring.memory import closed
from shipworthy.deployment.monitoring.watch import Watched, watch
from shipworthy.errors import FAULTS, Misuse, ShipworthyError
from shipworthy.exchange.report.charts import draw
from shipworthy.exchange.report.monitor import monitor_page
from shipworthy.store.files import lock
from shipworthy.store.workspace import Place, Workspace, opened

ACTION, FAILED, HELD = "runbook", "runbook failed", "runbook held back"


@dataclass(frozen=True)
class Attended:
    """What came of a look. done: steps of runbooks, in words. posted: what was sent, and what waits to be."""

    watched: Watched
    done: tuple[str, ...] = ()
    posted: Posted = field(default_factory=Posted)


@dataclass(frozen=True)
class Report:
    """A monitor report. text: HTML, complete in itself. errors: of panels that stand in it as their error only."""

    text: str
    errors: tuple[Misuse, ...] = ()


def attend(place: Place, *, log: Table | None = None, labels: Table | None = None) -> Attended:
    """One look at the champion's traffic, and what follows from it. Of a given log nothing follows.

    Raises what `flow.watch` raises; a step or a sink that fails is on record and in the answer.
    """
    place = opened(place)
    watched = flow.watch(place, log=log, labels=labels)
    if log is not None:
        return Attended(watched)
    known = watched.incident
    done = tuple(_steps(place, known)) if known is not None and not watched.silenced else ()
    return Attended(watched, done, post(place))


def post(place: Place) -> Posted:
    """Hand out the messages that are due, to the sinks that the project names; nothing is sent anywhere else."""
    place = opened(place)
    kinds: dict[str, Deliver] = {name: one.function for name, one in place.registry.of("sink").items()}
    return deliver(place.store, place.project.sink, kinds)


def try_sinks(place: Place) -> Posted:
    """Send every sink a message that only shows whether it arrives."""
    place = opened(place)
    put(place.store, place.project.sink, [trial(place.project.project.name, datetime.now(UTC).isoformat())])
    return post(place)


def report(place: Place, watched: Watched) -> Report:
    """What was watched as one HTML page, complete in itself; the alarms are shown from the first row judged on."""
    place = opened(place)
    release, project, own = flow.champion(place), place.project, own_meters(place.registry)
    picture: dict[str, Any] = {}
    panels: list[tuple[str, str | Misuse]] = []
    if watched.rows and watched.grid and watched.tallies:
        whole = watch(watched.grid, watched.tallies, project, own=own)
        picture = pictured(watched, project, whole.windows, own)
        panels = [(str(one.facts["title"]), _drawn(one, watched.tallies)) for one in
                  place.registry.of("panel").values()]
    page = monitor_page(project.project.name, release.id if release else "", picture, watched.findings,
                        incident=watched.incident, silenced=watched.silenced, rows=watched.rows, panels=panels)
    return Report(page, tuple(drawn for _, drawn in panels if isinstance(drawn, Misuse)))


def _drawn(one: Marked, tallies: Tallies) -> str | Misuse:
    """The picture of a plugin's panel, or why there is none: what it draws is no reason to be without a report."""
    try:
        svg = draw(one.function(tallies))
    except (ShipworthyError, *FAULTS) as error:
        what = error.problem if isinstance(error, ShipworthyError) else f"{type(error).__name__}: {error}"
        return Misuse(f'the panel "{one.name}" fails: {what}', where=one.module,
                      hint="mend it, or take its file out of `plugins` in shipworthy.toml")
    if not svg:
        return Misuse(f'the panel "{one.name}" draws no chart that is known', where=one.module,
                      hint='give {"kind": "bars", "name": [...], "value": [...]} or {"kind": "line", "x": …, "y": …}')
    return svg


def close(place: Place, *, by: str, why: str) -> Incident:
    """The open incident of the champion, closed by somebody, and the sinks told. Raises Misuse when none is open."""
    place = opened(place)
    release = flow.champion(place)
    incident = closed(place.store, release.id if release else "", by=by, why=why)
    put(place.store, place.project.sink, [message("closed", incident, place.project.project.name)])
    post(place)
    return incident


def hush(place: Place, *, by: str, why: str, until: datetime, family: str = "") -> Silence:
    """Alarms of the champion that page nobody until a time, on record. Raises Misuse."""
    place = opened(place)
    release = flow.champion(place)
    return silence(place.store, release.id if release else "", by=by, why=why, until=until, family=family)


def _steps(place: Workspace, incident: Incident) -> Iterator[str]:
    """The automatic steps for an incident that were not begun yet, each begun and told."""
    for book in place.project.runbook:
        if not (book.automatic and book.family in incident.families and can_sign(place.store)):
            continue
        if begun(place, incident, book):
            yield _done(place, incident, book)


def begun(place: Workspace, incident: Incident, book: Runbook) -> bool:
    """Whether a step may be taken now, which is then on record: once an incident, and so often a day."""
    with lock(place.store.home / "locks" / "runbook.lock"):
        lines = ledger(place.store)
        subject = {"release": incident.release, "incident": incident.id, "step": book.step}
        if _said(lines, ACTION, subject):
            return False
        if _today(lines, book.step) >= book.most_a_day:
            if not _said(lines, HELD, subject):
                record(place.store, actor="watch", role="monitor", action=HELD, subject=subject,
                       why=f"at most {book.most_a_day} a day are allowed for {book.family}")
            return False
        record(place.store, actor="watch", role="monitor", action=ACTION, subject=subject,
               why=f"{book.family}: {incident.sentence}")
    return True


def _done(place: Workspace, incident: Incident, book: Runbook) -> str:
    try:
        told = _act(place, incident, book)
    except ShipworthyError as error:
        told = f"failed: {error.problem}"
        record(place.store, actor="watch", role="monitor", action=FAILED, why=str(error.problem),
               subject={"release": incident.release, "incident": incident.id, "step": book.step})
    return f"{book.step}, for {book.family}: {told}"


def _act(place: Workspace, incident: Incident, book: Runbook) -> str:
    why = f"runbook of {book.family}: {incident.sentence}"
    if book.step == "roll back":
        return f"release {flow.rollback(place, by='watch', why=why).short} is champion again"
    if book.step == "renew":
        return renewals.renew(place).sentence
    if book.step == "silence":
        until = datetime.now(UTC) + timedelta(days=book.days)
        silence(place.store, incident.release, by="watch", why=why, until=until, family=book.family)
        return f"silent until {until:%Y-%m-%d %H:%M} UTC"
    put(place.store, place.project.sink, [message("ticket", incident, place.project.project.name)])
    return "a ticket is sent"


def _said(lines: Sequence[Mapping[str, Any]], action: str, subject: Mapping[str, str]) -> bool:
    return any(line["action"] == action and line["subject"] == subject for line in lines)


def _today(lines: Sequence[Mapping[str, Any]], step: str) -> int:
    """How often a step was begun in the last 24 hours."""
    since = datetime.now(UTC) - timedelta(days=1)
    return sum(line["action"] == ACTION and line["subject"].get("step") == step
               and datetime.fromisoformat(line["at"]) > since for line in lines)
