"""The projects that a control server stands for, and what it tells and moves of their releases."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec

from shipworthy import flow
from shipworthy.core.ledger import Line, moves
from shipworthy.core.project import read_project
from shipworthy.core.release import Manifest
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases.release import read_manifest
from shipworthy.deployment.integration.releases.shelf import placed
from shipworthy.deployment.integration.serving.refusals import Refused
from shipworthy.errors import Misuse, ShipworthyError, one_of
from shipworthy.server.gate import Caller, Gate, allowed
from shipworthy.server.web import Answer, Request
from shipworthy.store.jobs import Jobs
from shipworthy.store.workspace import Workspace

ID = re.compile(r"[0-9a-f]{4,64}")
READ = ("train", "approve", "admin")


Id = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": "^[0-9a-f]{4,64}$"})]
NoId = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": "^([0-9a-f]{4,64})?$"})]
Reason = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": "\\S"})]


class Why(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the champion changes; kept in the ledger."""

    why: Reason


class Promotion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which release becomes the champion, by id or the start of one, and why; kept in the ledger."""

    release: Id
    why: Reason


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which release, by id or the start of one; the newest if it is left out."""

    release: NoId = ""


@dataclass(frozen=True)
class Hosted:
    """One project: its workspace, its jobs, and who may come in."""

    workspace: Workspace
    jobs: Jobs
    gate: Gate

    @property
    def place(self) -> Workspace:
        """The workspace, its project file as it is now."""
        return replace(self.workspace, project=read_project(self.workspace.folder))


@dataclass(frozen=True)
class Projects:
    """The projects of one server by name."""

    hosted: Mapping[str, Hosted]

    def entered(self, request: Request, scopes: tuple[str, ...]) -> tuple[Caller, Mapping[str, Hosted]]:
        """Who asks, and the projects they may ask about: the named one, or all that let them in.

        A project that there is not is told only to whoever may come in somewhere. Raises what a gate does.
        """
        authorization, name = request.header(b"authorization"), request.args.get("name")
        if name is not None and name in self.hosted:
            return allowed(self.hosted[name].gate, authorization, scopes), {name: self.hosted[name]}
        found, caller, last = {}, None, None
        for key, one in self.hosted.items():
            try:
                caller, found[key] = allowed(one.gate, authorization, scopes), one
            except ShipworthyError as error:
                last = error if last is None or getattr(last, "status", 0) == 401 else last
        if caller is None:
            raise last or Refused(401, "there is no project here", field="authorization")
        if name is not None:
            raise Refused(404, f'there is no project "{name[:60]}"', field="name", hint=one_of(name, found))
        return caller, found

    def of(self, request: Request) -> Hosted:
        """The project that a request names, once its caller has entered."""
        return self.hosted[request.args["name"]]


def projects_of(places: Sequence[Workspace], gate: Callable[[Workspace], Gate]) -> Projects:
    """The projects of some folders. Raises Misuse where two have one name or there is none."""
    hosted: dict[str, Hosted] = {}
    for place in places:
        name = place.project.project.name
        if name in hosted:
            raise Misuse(f'two projects are called "{name}"', where=str(place.folder),
                         hint="give one of them another [project] name")
        hosted[name] = Hosted(place, Jobs(place.store.metadata.engine), gate(place))
    if not hosted:
        raise Misuse("there is no project to serve", where="the control server", hint="name its folder: --project")
    return Projects(hosted)


async def list_projects(projects: Projects, request: Request) -> Answer:
    """Every project that lets the caller in, with its champion and how many jobs are open."""
    _, found = projects.entered(request, READ)
    told = [{"name": name, "champion": _standing(await asyncio.to_thread(history.ledger, one.workspace.store)),
             "open_runs": await asyncio.to_thread(one.jobs.open)} for name, one in found.items()]
    return Answer({"projects": told})


async def list_releases(projects: Projects, request: Request) -> Answer:
    """The releases of a project, newest first, as their manifests say; each is verified when it is used."""
    place = projects.of(request).workspace
    found = await asyncio.to_thread(_manifests, place.releases)
    champion = _standing(await asyncio.to_thread(history.ledger, place.store))
    return Answer({"releases": [{
        "id": made.id, "name": made.name, "created": made.created, "identity": made.identity,
        "champion": made.id == champion} for made in found]})


async def checklist(projects: Projects, request: Request) -> Answer:
    """Every row of the survey with its evidence, as it counts today."""
    place, release = projects.of(request).place, known_id(request.query(Which).release)
    return Answer(await asyncio.to_thread(lambda: flow.checklist(place, release).as_data()))


async def champion(projects: Projects, request: Request) -> Answer:
    """The release in production, with who put it there, when and why."""
    place = projects.of(request).workspace
    made = moves(await asyncio.to_thread(history.ledger, place.store), history.CHAMPION)
    if not made:
        raise Refused(404, history.no_champion(place.store).problem, field="champion",
                      hint="promote a release that is fit")
    last = made[-1]
    return Answer({"release": _id(last), **{key: last.get(key) for key in ("action", "actor", "at", "why")}})


async def promote(projects: Projects, request: Request) -> Answer:
    """Make a release the champion; 409 while a required row does not hold, or when the caller trained it."""
    place, asked = projects.of(request).place, await request.json(Promotion)
    release = known_id(asked.release, needed=True)
    made = await asyncio.to_thread(flow.promote, place, by=request.by, why=asked.why, release_id=release)
    return Answer({"champion": made.id, "by": request.by, "why": asked.why})


async def rollback(projects: Projects, request: Request) -> Answer:
    """Make the previous champion the champion again."""
    place, asked = projects.of(request).place, await request.json(Why)
    made = await asyncio.to_thread(flow.rollback, place, by=request.by, why=asked.why)
    return Answer({"champion": made.id, "by": request.by, "why": asked.why})


def known_id(text: str, *, needed: bool = False) -> str:
    """The text if it may be a release's id or its start: never a path. Raises Misuse."""
    if (text or needed) and not ID.fullmatch(text):
        raise Misuse(f'"{text[:80]}" is no id of a release', where="release",
                     hint="4 to 64 hexadecimal digits, as GET …/releases tells them")
    return text


def _manifests(folder: Path) -> list[Manifest]:
    return [read_manifest(path) for path in placed(folder)]


def _standing(lines: list[Line]) -> str | None:
    made = moves(lines, history.CHAMPION)
    return _id(made[-1]) if made else None


def _id(line: Mapping[str, Any]) -> str:
    return str(line["subject"]["release"])
