"""A project's folder on this machine: its settings, its store, its releases, its keys and its log."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import msgspec

from shipworthy.core.canon import digest_parts
from shipworthy.core.project import Project, read_project
from shipworthy.core.registry import Registry, registry
from shipworthy.errors import Misuse
from shipworthy.store.opening import Store, open_store

DATABASE, NAME = "SHIPWORTHY_DATABASE", "{project}"


@dataclass(frozen=True)
class Workspace:
    """Where one project lives. Releases and attestations lie in the open; the rest under `.shipworthy`."""

    folder: Path
    project: Project
    store: Store

    @property
    def releases(self) -> Path:
        return self.folder / "releases"

    @property
    def log(self) -> Path:
        return self.store.home / "log"

    @property
    def key(self) -> Path:
        return self.store.home / "keys" / "signing.pem"

    @property
    def attestations(self) -> Path:
        return self.folder / "attestations"

    def plugins(self) -> tuple[str, ...]:
        """The plugin files of the project, as absolute paths."""
        return tuple(str((self.folder / plugin).resolve()) for plugin in self.project.project.plugins)

    @property
    def registry(self) -> Registry:
        """Everything marked: what is installed, and what the project's plugin files bring. Runs those files."""
        return registry(self.plugins())

    def resolve(self, address: str) -> str:
        """A source address: URLs as they are, paths from the project folder."""
        return address if "://" in address else str((self.folder / address).resolve())

    def located(self) -> Project:
        """The project with the paths of [federated] from its folder; as it is where it names no other party."""
        rules = self.project.federated
        if not (rules.parties or rules.callers):
            return self.project
        found = msgspec.structs.replace(
            rules, parties=tuple(map(self.resolve, rules.parties)), callers=tuple(map(self.resolve, rules.callers)),
            key=self.resolve(rules.key) if rules.key else "")
        return msgspec.structs.replace(self.project, federated=found)

    def portable(self, project: Project) -> Project:
        """A located project with the paths of [federated] that lie in its folder from there, so that a copy of the
        folder reads its own; others stay as they are."""
        def short(path: str) -> str:
            at, home = Path(path), self.folder.resolve()
            return at.relative_to(home).as_posix() if at.is_relative_to(home) else path

        rules = project.federated
        return msgspec.structs.replace(project, federated=msgspec.structs.replace(
            rules, parties=tuple(map(short, rules.parties)), callers=tuple(map(short, rules.callers)),
            key=short(rules.key) if rules.key else ""))

    def __repr__(self) -> str:
        return f"Workspace({str(self.folder)!r})"


Place = Workspace | Path | str


def opened(place: Place) -> Workspace:
    """The workspace itself, or that of a folder. Raises BadProject, StoreError; Misuse for anything else."""
    if isinstance(place, Workspace):
        return place
    if isinstance(place, str | Path):
        return open_workspace(place)
    raise Misuse(f"a {type(place).__name__} is no project", where="the first argument",
                 hint="give the folder that holds shipworthy.toml, or what open_workspace returned")


def open_workspace(folder: Path | str) -> Workspace:
    """The workspace of a folder that holds shipworthy.toml. Raises BadProject, StoreError or Misuse."""
    folder = Path(folder).resolve()
    folder = folder.parent if folder.is_file() else folder
    project = read_project(folder)
    return Workspace(folder, project, open_store(folder, url=_database(project)))


def _database(project: Project) -> str | None:
    """Where the environment wants the index and the runs of a project; None for a file in its folder.

    An address may hold a password, so it is no setting; and one exported for a shell meets every project that is opened
    there, so it must say where the project's name goes. Raises Misuse.
    """
    address = os.environ.get(DATABASE, "")
    if address and NAME not in address:
        raise Misuse(f"the address names no place for the project: {NAME}", where=DATABASE,
                     hint=f"one database is for one project: postgresql://user@host/{NAME}")
    return address.replace(NAME, quote(project.project.name, safe="")) or None


def code_digest(known: Registry) -> str:
    """SHA-256 over the package's own source files and those of all plugins: what a kept step was computed by."""
    return digest_parts([_own_code().encode(), known.code.encode()])


@cache
def _own_code() -> str:
    root = Path(str(files("shipworthy")))
    own = sorted(root.rglob("*.py"))
    return digest_parts(part for path in own for part in (path.relative_to(root).as_posix().encode(),
                                                          path.read_bytes()))
