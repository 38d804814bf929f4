"""A project's folder on this machine: its settings, its store, its releases, its keys and its log."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from shipworthy.core.canon import digest_parts
from shipworthy.core.evidence import Waiver
from shipworthy.core.project import Project, read_project
from shipworthy.store.files import write_bytes
from shipworthy.store.opening import Store, open_store


@dataclass(frozen=True)
class Workspace:
    """Where one project lives. Releases and waivers lie in the open; the rest under `.shipworthy`."""

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

    def waivers(self) -> tuple[Waiver, ...]:
        """Rows that named people accepted, in the order they did."""
        path = self.folder / "waivers.json"
        return msgspec.json.decode(path.read_bytes(), type=tuple[Waiver, ...]) if path.exists() else ()

    def add_waiver(self, waiver: Waiver) -> None:
        kept = tuple(old for old in self.waivers() if old.row != waiver.row)
        raw = msgspec.json.format(msgspec.json.encode((*kept, waiver)), indent=2)
        write_bytes(self.folder / "waivers.json", raw)

    def plugins(self) -> tuple[str, ...]:
        """The plugin files of the project, as absolute paths."""
        return tuple(str((self.folder / plugin).resolve()) for plugin in self.project.project.plugins)

    def resolve(self, address: str) -> str:
        """A source address: URLs as they are, paths from the project folder."""
        return address if "://" in address else str((self.folder / address).resolve())


def open_workspace(folder: Path | str) -> Workspace:
    """The workspace of a folder that holds shipworthy.toml. Raises BadProject or StoreError."""
    folder = Path(folder).resolve()
    folder = folder.parent if folder.is_file() else folder
    project = read_project(folder)
    return Workspace(folder, project, open_store(folder))


@cache
def code_digest(plugins: tuple[str, ...] = ()) -> str:
    """SHA-256 over the package's own source files and the project's plugins: what a kept step was computed by."""
    root = Path(str(files("shipworthy")))
    own = sorted(root.rglob("*.py"))
    parts = [part for path in own for part in (path.relative_to(root).as_posix().encode(), path.read_bytes())]
    return digest_parts([*parts, *(Path(plugin).read_bytes() for plugin in plugins)])
