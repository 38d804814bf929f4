"""Rows that are older than the project may keep them: which there are, and the job that removes them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.attested import Attestation, genuine
from shipworthy.core.evidence import Finding, say
from shipworthy.core.found import Profile
from shipworthy.core.ledger import same
from shipworthy.core.project import Project
from shipworthy.deployment.integration.log.drain import drain
from shipworthy.deployment.integration.log.tables import ENTITY_TABLE, LABEL_TABLE, STORED
from shipworthy.deployment.integration.releases.book import can_sign, record
from shipworthy.deployment.integration.releases.collect import collect_tables
from shipworthy.errors import BadData, Misuse
from shipworthy.marks import check
from shipworthy.store.erasing import quiet
from shipworthy.store.records import Pin
from shipworthy.store.workspace import Workspace

ROW, TOPIC = "law.legislation", "retention"
UTC_TIME = pa.timestamp("us", "UTC")


class Forgotten(msgspec.Struct, frozen=True):
    """What the job removed. before: rows from before then. rows: by table. pinned: reasons why old versions stay."""

    before: str
    rows: dict[str, int]
    pinned: tuple[str, ...] = ()


def last_day(project: Project, now: datetime | None = None) -> datetime:
    """The moment before which rows have expired. Raises Misuse where the project does not say how long it keeps them.
    """
    days = project.data.retention_days
    if not days:
        raise Misuse("the project does not say how long rows are kept", where="[data] retention_days",
                     hint="write it, in days: retention_days = 730")
    return (now or datetime.now(UTC)) - timedelta(days=days)


def forget(place: Workspace, *, by: str = "keeper", now: datetime | None = None) -> Forgotten:
    """Remove every row that has expired from the tables of the store, with the versions that held it.

    Versions that a release was made from stay until the release is cleared away. Safe to repeat and to kill.
    Raises Misuse, StoreError.
    """
    edge, tables = last_day(place.project, now), place.store.tables
    drain(place.log, tables)
    rows: dict[str, int] = {}
    for name in tables.names():
        found = _old(tables, name, place.project, edge)
        if found is not None and len(found[1]):
            if not rows:
                collect_tables(place.store, place.releases)  # pins what releases were made from
            rows[name] = tables.remove(name, *found[:2])
            tables.gc(name, hours=0)
            quiet(tables.folder / "tables" / name / "_delta_log")
    pinned = sorted({pin.reason for name in rows for pin in place.store.metadata.find(Pin, table=name, ended=None)})
    done = Forgotten(edge.isoformat(timespec="seconds"), rows, tuple(pinned))
    if rows and can_sign(place.store):
        record(place.store, actor=by, role="operator", action="forget", subject={"before": done.before},
               why=", ".join(f"{count} rows of {name}" for name, count in rows.items()))
    return done


def time_of(project: Project, name: str) -> str:
    """The column of a stored table that says when a row came to be; empty where none is known."""
    if name in (LABEL_TABLE, ENTITY_TABLE):
        return "received_at"
    return "at" if name.startswith(tuple(f"{kind}-" for kind in STORED.values())) else project.data.time


@check("retention", row=ROW)
def retention(
    project: Project, profile: Profile, tables: Any, attestations: tuple[Attestation, ...], *,
    topics: tuple[str, ...] = (TOPIC,),
) -> Finding:
    """Whether no stored row is older than [data] retention_days, in any table of the store.

    tables: `names()` and `read(name, columns=…)`, as `store.Tables` has them. Unknown while nobody said how long rows
    are kept, or a table does not say when its rows came to be and nobody else than the trainer signed for it.
    """
    days, personal = project.data.retention_days, [one.name for one in profile.columns if one.personal]
    if not days:
        if project.project.subject == "thing" and not personal and not project.data.personal:
            return say("not-applicable", "The project declares no person, the scanner finds no personal data in "
                       f"{len(profile.columns)} columns, and no retention is declared.")
        return say("unknown", "Nobody said how long rows are kept.", remedy="in [data] write retention_days = 730")
    names = list(tables.names())
    found = {name: _old(tables, name, project, last_day(project)) for name in names}
    timeless = [name for name, one in found.items() if one is None]
    old = {name: int(one[2]) for name, one in found.items() if one is not None and one[2]}
    facts = {"value": float(sum(old.values())), "limit": 0.0, "n": len(names)}
    if old:
        said = ", ".join(f"{count:,} of {name}" for name, count in old.items())
        return say("fail", f"{sum(old.values()):,} stored rows are older than {days} days: {said}.",
                   remedy="shipworthy forget", counterexample={"rows": old}, **facts)
    if timeless or not names:
        which = f"{', '.join(timeless)} does not say when its rows came to be" if timeless else "no table is stored yet"
        return _timeless(f"No stored row is known to be older than {days} days, but {which}", project, attestations,
                         facts)
    return say("pass", f"No row of {len(names)} stored tables is older than {days} days.", **facts)


def _timeless(told: str, project: Project, attestations: tuple[Attestation, ...], facts: dict[str, Any]) -> Finding:
    """Attested where somebody signed how rows without a time are kept no longer than needed, else unknown."""
    signed = [one for one in attestations if (one.row, one.topic) == (ROW, TOPIC) and genuine(one)
              and date.fromisoformat(one.expires) >= datetime.now(UTC).date()
              and not same(one.by, project.project.trainer)]
    if not signed:
        return say("unknown", f"{told}.", remedy="name the column of time: [data] time; if there is none, sign how "
                   f"they are forgotten: shipworthy attest {ROW} --topic {TOPIC} --by NAME --role ROLE "
                   "--sentence HOW --until DAY", **facts)
    last = max(signed, key=lambda one: one.expires)
    return say("attested", f"{told}. {last.by} ({last.role}) signed for it: {last.sentence}.",
               until=date.fromisoformat(last.expires), **facts)


def _old(tables: Any, name: str, project: Project, edge: datetime) -> tuple[str, pa.ChunkedArray, int] | None:
    """The column of time, its values from before the edge, each once, and how many rows have one; None without time."""
    column = time_of(project, name)
    try:
        values = tables.read(name, columns=[column])[column] if column else None
    except BadData:
        return None
    if values is None or not (pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)):
        return None
    before = values.filter(pc.less(values.cast(UTC_TIME), pa.scalar(edge, UTC_TIME)))
    return column, before.unique(), len(before)
