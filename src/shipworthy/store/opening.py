"""A project's store: where it is, its records and its tables."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from shipworthy.errors import StoreError
from shipworthy.store import files
from shipworthy.store.metadata import Metadata, open_metadata
from shipworthy.store.tables import Tables


@dataclass(frozen=True)
class Store:
    """Where one project's work is kept. folder: the project. home: its `.shipworthy`.

    Safe to open in many processes and threads at once. Open it again in a process; do not send it there.
    """

    folder: Path
    home: Path
    metadata: Metadata
    tables: Tables


def open_store(folder: str | os.PathLike[str], *, url: str | None = None) -> Store:
    """The store of a project folder, made if it is new, its index upgraded or mended if it has to be.

    url: a database for the index instead of a SQLite file, such as `postgresql://user@host/name`.
    Raises `StoreError` if the folder is missing or cannot be written.
    """
    project = Path(folder).absolute()
    if not project.is_dir():
        raise StoreError("the project folder is missing", where=str(project), hint="make it, or go to the right one")
    home = project / ".shipworthy"
    with files.told(home):
        home.mkdir(exist_ok=True)
    metadata = open_metadata(home, url)
    return Store(project, home, metadata, Tables(home, metadata))
