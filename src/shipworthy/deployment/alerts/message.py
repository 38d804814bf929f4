"""What is sent of an incident: when it opens, when it becomes graver, when it is over, and a ticket a runbook asks for.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from shipworthy.core.settings.sinks import Sink
from shipworthy.deployment.monitoring.incident import Incident

Event = Literal["opened", "graver", "closed", "ticket", "test"]
_TITLES = {"opened": "PAGE", "graver": "GRAVER", "closed": "CLOSED", "ticket": "TICKET", "test": "TEST"}


class Message(msgspec.Struct, frozen=True):
    """One message. id: the same whenever the same is sent again, so that a receiver can drop a second delivery."""

    id: str
    event: Event
    project: str
    release: str
    severity: Literal["high", "medium"]
    families: tuple[str, ...]
    title: str
    text: str
    incident: Incident | None = None


def message(event: Event, incident: Incident, project: str) -> Message:
    """The message of an event of an incident."""
    title = f"{_TITLES[event]} {project}: {incident.sentence.split(';')[0].rstrip('.')}"
    return Message(f"{incident.id}/{event}/{incident.lead}-{incident.severity}", event, project, incident.release,
                   incident.severity, incident.families, title, "\n".join(told(incident)), incident)


def trial(project: str, at: str) -> Message:
    """A message that only shows whether a sink is reached."""
    return Message(f"test/{at}", "test", project, "", "high", (), f"TEST {project}: can you read this?",
                   "Somebody tries whether messages of this project arrive. Nothing has happened.")


def told(incident: Incident) -> list[str]:
    """An incident in lines: what, what it costs, where, why probably, and what to do."""
    lost = f" Extra errors cost {incident.loss:,.2f} {incident.currency} per 1,000 decisions." if incident.loss else ""
    lines = [f"{incident.sentence}{lost}", f"severity {incident.severity}, since {incident.opened}, release "
                                           f"{incident.release[:12]}"]
    lines += [f"columns: {', '.join(f'{name} moved by {w:.2f}' for name, w in incident.effects.items())} (Cohen's w)"
              ] if incident.effects else []
    lines += [f"segment {text}" for text in incident.segments]
    lines += [f"before and now: {incident.replay.sentence}"] if incident.replay else []
    lines += [f"probably ({cause.weight:.0%}, {cause.axis}): {cause.sentence}" for cause in incident.causes[:3]]
    lines += [f"→ {incident.action}", *(f"→ runbook: {step}" for step in incident.steps)]
    return [*lines, f"→ {incident.link}"] if incident.link else lines


def events(before: Incident | None, pages: tuple[Incident, ...], after: Incident | None, project: str
           ) -> list[Message]:
    """What a look has to say. before, after: the open incident. pages: those opened in this look."""
    found = []
    ended = before is not None and (after is None or after.id != before.id)
    if ended and before is not None:
        found.append(message("closed", before, project))
    for page in pages:
        found.append(message("opened", page, project))
        if after is None or after.id != page.id:
            found.append(message("closed", page, project))
    if before is not None and after is not None and before.id == after.id and (
            after.severity != before.severity or after.lead != before.lead):
        found.append(message("graver", after, project))
    return found


def wanted(sink: Sink, message: Message) -> bool:
    """Whether a sink is told of a message."""
    if message.event == "test":
        return True
    if message.event == "ticket" and not sink.tickets:
        return False
    high = message.severity == "high" or sink.severity == "medium"
    return high and (not sink.families or bool({*sink.families} & {*message.families}))
