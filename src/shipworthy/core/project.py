"""The project file, parsed strictly: an unknown key or a wrong type is an error that names the key."""

from __future__ import annotations

import builtins
import json
import os
import re
import tomllib
from collections.abc import Iterable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec

from shipworthy.core.agreed import DATES, check_approval, check_dates
from shipworthy.core.canon import digest
from shipworthy.core.claims import Claim, read_claim
from shipworthy.core.settings.assurance import Fairness, Law, Reason, Recourse
from shipworthy.core.settings.data import About, Data, Join, Source, Splitting, TargetRule
from shipworthy.core.settings.deployment import Rollout, Serving, Watching
from shipworthy.core.settings.feedback import Feedback
from shipworthy.core.settings.learning import Federated, Learning, Privacy
from shipworthy.core.settings.part import Part
from shipworthy.core.settings.renewing import Renewing
from shipworthy.core.settings.sinks import FAMILIES, Metered, Runbook, Sink
from shipworthy.core.settings.verification import Domain, Gate, Property, Requirement, Simulation, Value
from shipworthy.errors import BadProject, nearest, one_of

__all__ = [
    "About",
    "Data",
    "Domain",
    "FILE",
    "Fairness",
    "Federated",
    "Feedback",
    "Gate",
    "Join",
    "Law",
    "Learning",
    "Metered",
    "Part",
    "Privacy",
    "Project",
    "Property",
    "RENEWED",
    "Reason",
    "Recourse",
    "Renewing",
    "Requirement",
    "Rollout",
    "Runbook",
    "Serving",
    "Simulation",
    "Sink",
    "Source",
    "Splitting",
    "TargetRule",
    "Value",
    "Watching",
    "parse",
    "read_project",
    "source_of",
]

FILE = "shipworthy.toml"
PASSWORD = re.compile(r"[^:/?#]+://[^/@:]*:[^/]+@")
TIMES = (datetime, date, time)
RENEWED = "renewed"  # the table of a renewal: the rows of the champion and those served since


class Project(Part, frozen=True):
    """All of shipworthy.toml."""

    project: About
    data: Data
    source: tuple[Source, ...] = ()
    join: tuple[Join, ...] = ()
    split: Splitting = Splitting()
    learning: Learning = Learning()
    privacy: Privacy | None = None
    federated: Federated = Federated()
    requirement: tuple[Requirement, ...] = ()
    property: tuple[Property, ...] = ()
    domain: Domain = Domain()
    value: Value | None = None
    fairness: Fairness = Fairness()
    reasons: dict[str, Reason] = {}
    recourse: Recourse = Recourse()
    law: Law = Law()
    gate: Gate = Gate()
    simulation: Simulation = Simulation()
    watch: Watching = Watching()
    meter: tuple[Metered, ...] = ()
    sink: tuple[Sink, ...] = ()
    runbook: tuple[Runbook, ...] = ()
    serve: Serving = Serving()
    rollout: Rollout = Rollout()
    renew: Renewing = Renewing()
    feedback: Feedback = Feedback()
    checks: dict[str, dict[str, Any]] = {}

    @builtins.property
    def digest(self) -> str:
        return digest(self)

    @builtins.property
    def claims(self) -> tuple[Claim, ...]:
        """What the properties claim, in their order."""
        return tuple(read_claim(one.claim) for one in self.property)


def read_project(path: Path | str) -> Project:
    """The project of a file, or of the folder that holds shipworthy.toml.

    Raises BadProject with the key, the problem and the nearest known key.
    """
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise BadProject("there is no project file", where=str(path),
                         hint="make one: shipworthy init TABLE --target COLUMN")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadProject("the file is not text in UTF-8", where=str(path), hint="save it again as UTF-8") from error
    return parse(text, where=str(path))


def parse(text: str, *, where: str = FILE) -> Project:
    """A project from TOML text. Raises BadProject."""
    try:
        project = msgspec.convert(_days_as_text(tomllib.loads(text)), Project, builtin_types=TIMES, str_keys=True)
    except msgspec.ValidationError as error:
        raise BadProject(_plain(str(error)), where=where, hint=_hint(str(error), text)) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise BadProject(f"the file is not TOML: {error}", where=where,
                         hint="correct that line; see docs/reference/settings.md") from error
    _named_once(project.source, where)
    _sinks(project.sink, where)
    _families([family for one in project.sink for family in one.families], f"{where}, [[sink]] families")
    _families([one.family for one in project.runbook], f"{where}, [[runbook]] family")
    if why_not := project.feedback.why_not(project.law.uses):
        raise BadProject(why_not, where=f"{where}, [feedback]",
                         hint='write randomise = 0.0 and policy = "previous", or regulated = false if none is')
    for number, one in enumerate(project.property, 1):
        _claimed(one, f"{where}, [[property]] {number}")
    for source in project.source:
        if PASSWORD.match(source.address):
            raise BadProject("the address of a source holds a password, and releases hold the project file",
                             where=f"{where}, [[source]] {source.name}".rstrip(),
                             hint="take it out; for PostgreSQL, set PGPASSWORD instead")
    check_dates(project.split, where)
    check_approval(project.renew, project.project.trainer, where)
    _timed(project.watch.zone, f"{where}, [watch] zone")
    return project


def _days_as_text(found: dict[str, Any]) -> dict[str, Any]:
    """What TOML holds, with the dates of [split] as text where they are written as TOML's own."""
    rule = found.get("split")
    if not isinstance(rule, dict):
        return found
    days = {name: rule[name].isoformat() for name in DATES if isinstance(rule.get(name), date)}
    return {**found, "split": {**rule, **days}}


def _timed(zone: str, where: str) -> None:
    """Raise BadProject for a time zone that is not known."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadProject(f'there is no time zone "{zone}"', where=where,
                         hint=nearest(zone, available_timezones()) or 'one is "Europe/Berlin"') from error


def _claimed(one: Property, where: str) -> None:
    """Raise BadProject for a property whose sentence is not known, or whose ranges or errors say nothing."""
    claim = read_claim(one.claim, where=where)
    for column, (low, high) in one.within.items():
        if not low <= high:
            raise BadProject(f"the range of {column}, {low:g} to {high:g}, is empty", where=where,
                             hint="write the smaller number first")
    if any(not size > 0 for size in one.errors.values()):
        raise BadProject("an error of measurement is above 0", where=where, hint="leave out columns without one")
    if (claim.kind == "robust") != bool(one.errors):
        raise BadProject("a claim about errors of measurement, and no other, says how large they are", where=where,
                         hint='write: errors = { age = 1.0 }' if claim.kind == "robust" else "leave out: errors")


def source_of(sources: Iterable[Source], name: str, address: str) -> Source | None:
    """The source that a table came from: of its name, else of its address, paths resolved; None if there is none."""
    known = tuple(sources)
    return next((one for one in known if one.called == name), None) or next(
        (one for one in known if address and _resolved(one.address) == _resolved(address)), None)


def _resolved(address: str) -> str:
    return address if "://" in address else os.path.realpath(address)


def _named_once(sources: tuple[Source, ...], where: str) -> None:
    first: dict[str, str] = {}
    for source in sources:
        if source.called in first:
            raise BadProject(f'two sources are called "{source.called}": {first[source.called]} and {source.address}',
                             where=f"{where}, [[source]]", hint='give one of them another name: name = "…"')
        first[source.called] = source.address


def _sinks(sinks: tuple[Sink, ...], where: str) -> None:
    """Raise BadProject for two sinks of one name, or an address that holds a password."""
    names = [one.called for one in sinks]
    for one in sinks:
        if names.count(one.called) > 1:
            raise BadProject(f'two sinks are called "{one.called}"', where=f"{where}, [[sink]]",
                             hint='give one of them another name: name = "…"')
        if PASSWORD.match(one.address):
            raise BadProject("the address of a sink holds a password, and releases hold the project file",
                             where=f"{where}, [[sink]] {one.called}",
                             hint='take it out, and name the variable that holds it: secret = "SMTP_PASSWORD"')


def _families(named: Iterable[str], where: str) -> None:
    """Raise BadProject for a family of alarms that never comes, for which nothing would ever be done or sent."""
    for family in named:
        if family not in FAMILIES and not family.startswith("meter "):
            raise BadProject(f'there is no family of alarms "{family}"', where=where,
                             hint=nearest(family, FAMILIES) or f"choose one of: {', '.join(FAMILIES)}, or meter NAME")


def _plain(message: str) -> str:
    return message.replace("Object contains unknown field", "there is no setting").replace("`", '"').replace("$.", "")


def _hint(message: str, text: str) -> str:
    found = re.search(r"at `\$\.([^`]+)`", message)
    path = found[1] if found else ""
    hint = _type_at(path)
    unknown = re.search(r"unknown field `(\w+)`", message)
    if unknown and isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return one_of(unknown[1], hint.__struct_fields__)
    value, allowed = _value_at(path, text), _allowed(hint)
    if allowed:
        return f"{nearest(str(value), allowed)} choose one of: {', '.join(allowed)}".strip()
    if "Expected `str`" in message and isinstance(value, bool | int | float):
        return f"write it as text: {path.rpartition('.')[2]} = {json.dumps(str(value))}"
    wanted = re.search(r"Expected `([^`]+)`((?: [<>]=? [-\d.]+)?)", message)
    return f"write a value of type {wanted[1]}{wanted[2]}" if wanted else "see docs/reference/settings.md"


def _type_at(path: str) -> Any:
    """The type of the setting at a path as msgspec writes it, such as "source[0].rows" or "data.kinds[...]"."""
    hint: Any = Project
    for name in filter(None, re.sub(r"\[.*?\]", ".[", path).split(".")):
        inner = [each for each in get_args(hint) if each is not type(None)]
        if name == "[":
            hint = inner[-1] if get_origin(hint) is dict else inner[0]
            continue
        structs = [each for each in (hint, *inner) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
        hint = get_type_hints(structs[0])[name] if structs else None
    structs = [each for each in (hint, *get_args(hint)) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    return structs[0] if structs else hint


def _value_at(path: str, text: str) -> Any:
    """The value at a path of keys and places, such as "renew.candidates[0]", or None."""
    value: Any = tomllib.loads(text)
    for name in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, list) and name.isdecimal():
            value = value[int(name)] if int(name) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def _allowed(hint: Any) -> tuple[str, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()
