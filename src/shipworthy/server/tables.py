"""Tables that a run is asked for: sent with the request, or named; never a file or address that is nobody's business.

A stranger's address would let the server read files for them, or ask other machines in its name (server-side request
forgery). So a source is one that the project declares, or a plain file in the project's folder; only an admin may name
another.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shipworthy.core.project import Project, Source
from shipworthy.deployment.integration.serving.refusals import Refused
from shipworthy.errors import Misuse, one_of
from shipworthy.server.web import TABLE_SECONDS, Request
from shipworthy.store import files
from shipworthy.store.workspace import Workspace

FOLDER = "uploads"
SUFFIXES = {
    "text/csv": ".csv", "application/csv": ".csv",
    "application/vnd.apache.parquet": ".parquet", "application/x-parquet": ".parquet",
    "application/vnd.apache.arrow.stream": ".arrow", "application/vnd.apache.arrow.file": ".arrow",
    "application/x-ndjson": ".ndjson", "application/ndjson": ".ndjson", "application/jsonl": ".ndjson",
}
HOUR = 3_600.0
PATTERNS = frozenset("*?[]{}\0")


@dataclass(frozen=True)
class Sent:
    """A table that came with a request. digest: SHA-256 of its bytes."""

    path: Path
    digest: str

    def forget(self) -> None:
        """Delete it: it was asked for before, or not at all."""
        self.path.unlink(missing_ok=True)


def media_type(request: Request) -> str:
    """What the body is, without its parameters."""
    return (request.header(b"content-type") or b"").decode("latin-1").partition(";")[0].strip().lower()


async def received(request: Request, home: Path, name: str, limit: int) -> Sent:
    """The body, written piece by piece into a file of this name under `uploads`; whole, or not there.

    home: the `.shipworthy` of the project. limit: in bytes. Raises Refused, StoreError.
    """
    kind = media_type(request)
    if kind not in SUFFIXES:
        raise Refused(415, f'"{kind[:80]}" is no table', field="content-type", hint=one_of(kind, SUFFIXES))
    if request.header(b"content-encoding") not in (None, b"identity"):
        raise Refused(415, "the body is compressed", field="content-encoding", hint="send it plain, or as Parquet")
    path = home / FOLDER / f"{name}{SUFFIXES[kind]}"
    part, found, size = files.temporary(path), hashlib.sha256(), 0
    with files.told(path):
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                async for chunk in request.chunks(limit, TABLE_SECONDS):
                    found.update(chunk)
                    file.write(chunk)
                    size += len(chunk)
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
            if not size:
                raise Refused(422, "the body is empty", field="body", hint="send the table, or name a source as JSON")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    return Sent(path, found.hexdigest())


def table_meant(project: Project, name: str) -> str:
    """The source that a table takes the place of: the named one, or the one that is learnt from. Raises Misuse."""
    known = [source.called for source in project.source]
    wanted = name or project.data.table or (known[0] if known else "")
    if wanted not in known:
        raise Misuse(f'the project has no source "{wanted[:80]}"', where="table",
                     hint=one_of(wanted, known) if known else "declare one in shipworthy.toml: [[source]] address = …")
    return wanted


def permitted(place: Workspace, address: str) -> Source | None:
    """The declared source that an address or name means; None for a file in the project's folder.

    Raises Refused (403) for anything else: URLs, patterns, hidden files, releases, and what lies or leads elsewhere.
    """
    for source in place.project.source:
        if address in (source.called, source.address):
            return source
    plain, folder = address.partition("#")[0], Path(os.path.realpath(place.folder))
    file = Path(os.path.realpath(folder / plain)) if plain and not PATTERNS & set(plain) else folder
    if "://" in address or not _open_to_all(file, folder):
        known = ", ".join(source.called for source in place.project.source[:8])
        raise Refused(403, "the project does not declare this source", field="source",
                      hint=f"name one that it does: {known}; or a file in its folder; or send the table itself")
    if not file.is_file():
        raise Misuse("there is no such file in the project's folder", where="source",
                     hint="give its path from the folder that holds shipworthy.toml")
    return None


def _open_to_all(file: Path, folder: Path) -> bool:
    """Whether a path, its links followed, lies in the folder, is not hidden, and is no part of a release."""
    parts = file.relative_to(folder).parts if file.is_relative_to(folder) else ()
    return bool(parts) and parts[0] != "releases" and not any(part.startswith(".") for part in parts)


def sweep(home: Path, wanted: Iterable[str]) -> None:
    """Delete the tables sent more than an hour ago that no open job wants, and the rests of broken sendings."""
    keep, late = set(wanted), time.time() - HOUR
    for path in (home / FOLDER).glob("*") if (home / FOLDER).is_dir() else ():
        if path.name not in keep and path.stat().st_mtime < late:
            path.unlink(missing_ok=True)


def forget(home: Path, upload: str) -> None:
    """Delete the table that was sent with a job, by its name."""
    if upload:
        (home / FOLDER / Path(upload).name).unlink(missing_ok=True)
