"""Silence: alarms of a family page nobody until a time, on record in the ledger, and end by themselves.

To silence is to raise the bar of a family beyond reach for that long; what crosses the old bar meanwhile is logged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shipworthy.core.cleaning import moment
from shipworthy.deployment.integration.releases.history import Home, record
from shipworthy.deployment.monitoring.incident import ACTIONS
from shipworthy.errors import BadData, Misuse

ACTION = "silence"
LONGEST = timedelta(days=92)


class Silence(msgspec.Struct, frozen=True):
    """family: of alarms; "" for all. until: UTC. why, by: as on record."""

    family: str
    until: datetime
    why: str
    by: str

    def covers(self, family: str, at: int) -> bool:
        """Whether an alarm of a family, raised by what arrived at a time (microseconds), pages nobody."""
        return self.family in ("", family) and at <= self.until.timestamp() * 1e6


def silence(
    store: Home, release: str, *, by: str, why: str, until: datetime, family: str = "", now: datetime | None = None
) -> Silence:
    """A silence, on record. A later one of the same family replaces it, so one that ends now ends it.

    Raises Misuse without a name or a reason, for a family that does not exist, and for more than three months.
    """
    now = now or datetime.now(UTC)
    if not by.strip() or not why.strip():
        raise Misuse("alarms are silenced only with a name and a reason", where="shipworthy watch --silence",
                     hint="say --silence REASON --by WHO --until DATE")
    if family and family not in ACTIONS and not family.startswith("meter "):
        raise Misuse(f'there is no family of alarms "{family}"', where="--family",
                     hint=f"choose one of: {', '.join(ACTIONS)}, or meter NAME")
    if until - now > LONGEST:
        raise Misuse(f"a silence lasts at most {LONGEST.days} days", where="--until",
                     hint="silence it for less, or change pages_per_year in [watch]")
    record(store, actor=by, role="operator", action=ACTION, why=why,
           subject={"release": release, "family": family, "until": until.isoformat(timespec="seconds")})
    return Silence(family, until, why, by)


def silences(lines: Iterable[Mapping[str, Any]], release: str) -> tuple[Silence, ...]:
    """The silences of a release, the last of each family, ended or not."""
    found: dict[str, Silence] = {}
    for line in lines:
        subject = line["subject"]
        if line["action"] == ACTION and subject.get("release") == release:
            until = datetime.fromisoformat(subject["until"])
            found[subject["family"]] = Silence(subject["family"], until, line["why"], line["actor"])
    return tuple(found.values())


def muted(found: Iterable[Silence], family: str, at: int) -> bool:
    """Whether a silence covers an alarm."""
    return any(one.covers(family, at) for one in found)


def until_of(text: str) -> datetime:
    """The time that a person named; a date is the end of that day, UTC. Raises Misuse."""
    try:
        day = timedelta(days=1) if len(text.strip()) == 10 else timedelta()
        return moment(text, naive=True) + day
    except BadData as error:
        raise Misuse(f'"{text[:40]}" is no date', where="--until", hint="write it so: 2025-03-31") from error
