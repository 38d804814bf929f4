"""One file that holds a project, and the project made again from it; both whole or not at all.

A plain tar archive, so that any tool looks into it; its last file names all others with size and SHA-256.
Source: POSIX.1-2001, pax interchange format.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from shipworthy import __version__
from shipworthy.core.canon import canonical
from shipworthy.deployment.integration.backups.contents import HOME, contents
from shipworthy.deployment.integration.releases import history
from shipworthy.errors import BadData, Misuse, ShipworthyError, StoreError
from shipworthy.store.files import staged_folder, temporary, told
from shipworthy.store.workspace import Workspace

MANIFEST = "backup.json"
CHUNK = 1 << 20
LARGEST_MANIFEST = 1 << 28
_AGAIN = "do not use it: take another copy, or back up again"


class Entry(msgspec.Struct, frozen=True):
    """One file: bytes, and SHA-256 in lower hex."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup says of itself. at: when it began, UTC. keys: whether private keys are in it."""

    project: str
    version: str
    at: str
    keys: bool
    files: dict[str, Entry]
    format: int = 1

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files.values())


@dataclass(frozen=True)
class Restored:
    """What came back. doubts: what does not hold although every byte is as it was backed up, one sentence each."""

    manifest: Manifest
    doubts: tuple[str, ...]


def back_up(place: Workspace, target: Path, *, keys: bool = False) -> Manifest:
    """What was just written to a file: everything acknowledged before is in it, whatever servers do meanwhile.

    keys: with the private keys, so that the copy can sign; keep it then as you keep them. Sources of data stay where
    they are. Raises Misuse when the file exists, StoreError; then there is no file.
    """
    if target.exists():
        raise Misuse("a file is there already", where=str(target), hint="choose another name: --output")
    began = datetime.now(UTC).isoformat(timespec="seconds")
    entries: dict[str, Entry] = {}
    part = temporary(target)
    try:
        with told(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                    for name, source in contents(place, keys=keys):
                        entry = _added(archive, name, source)
                        if entry:
                            entries[name] = entry
                    made = Manifest(place.project.project.name, __version__, began, keys, entries)
                    _added(archive, MANIFEST, canonical(made))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return made


def restore(source: Path, into: Path) -> Restored:
    """The project of a backup, made again in a new or empty folder, once every file is what it was.

    Raises BadData when a byte differs or is missing, Misuse when the folder holds something, StoreError; then the
    folder is as it was.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise Misuse("something is there already", where=str(into), hint="name a new folder: --into FOLDER")
    if not source.is_file():
        raise Misuse("there is no such file", where=str(source), hint="name one that shipworthy backup wrote")
    with staged_folder(into) as stage:
        try:
            manifest = _unpacked(source, stage)
        except (tarfile.TarError, EOFError) as error:
            raise BadData(f"it is no whole backup: {error}", where=str(source), hint=_AGAIN) from error
        doubts = tuple(_doubts(_Place(stage)))
    return Restored(manifest, doubts)


@dataclass(frozen=True)
class _Place:
    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / HOME


def _added(archive: tarfile.TarFile, name: str, source: Path | bytes) -> Entry | None:
    """What was written to an archive; None for a file that vanished since it was listed."""
    info = tarfile.TarInfo(name)
    if isinstance(source, bytes):
        info.size, info.mode = len(source), 0o600
        archive.addfile(info, io.BytesIO(source))
        return Entry(len(source), hashlib.sha256(source).hexdigest())
    try:
        file = source.open("rb")
    except FileNotFoundError:
        return None
    with file:
        about = os.fstat(file.fileno())
        info.size, info.mode = about.st_size, about.st_mode & 0o777
        reader = _Digesting(file)
        archive.addfile(info, reader)
    return Entry(info.size, reader.digest.hexdigest())


class _Digesting(io.RawIOBase):
    """A file whose bytes are digested as they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.digest, self._file = hashlib.sha256(), file

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(size)
        self.digest.update(found)
        return found


def _unpacked(source: Path, stage: Path) -> Manifest:
    found: dict[str, Entry] = {}
    manifest: Manifest | None = None
    with tarfile.open(source, "r:") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            if file is None or manifest is not None or member.name in found:
                raise BadData("a backup holds plain files, each once, and its manifest last", where=member.name[:80],
                              hint=_AGAIN)
            if member.name == MANIFEST:
                manifest = _read(file.read(LARGEST_MANIFEST), source)
            else:
                path = stage / _inside(member.name)
                found[member.name] = _written(path, file)
                path.chmod(member.mode & 0o755 | 0o400)
    if manifest is None:
        raise BadData("it is no whole backup: its manifest is missing", where=str(source), hint=_AGAIN)
    wrong = sorted(name for name in {*found, *manifest.files} if found.get(name) != manifest.files.get(name))
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise BadData(f"{wrong[0]} is not as it was backed up{more}", where=str(source), hint=_AGAIN)
    return manifest


def _read(raw: bytes, source: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BadData(f"the backup's manifest cannot be read: {error}", where=str(source), hint=_AGAIN) from error
    if manifest.format != 1:
        raise BadData(f"a backup of format {manifest.format} is not known here", where=str(source),
                      hint=f"restore it with Shipworthy {manifest.version}")
    return manifest


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name or any(mark in name for mark in ("\\", "\0")):
        raise BadData(f"{name[:80]!r} is no file name inside a project", where="the backup", hint=_AGAIN)
    return path


def _written(path: Path, file: IO[bytes]) -> Entry:
    digest, size = hashlib.sha256(), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as target:
        for piece in _pieces(file):
            digest.update(piece)
            size += len(piece)
            target.write(piece)
    return Entry(size, digest.hexdigest())


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def _doubts(place: _Place) -> Iterator[str]:
    """What somebody should look at before the copy goes into production."""
    try:
        history.unbroken(place)
        history.champion(place)
    except StoreError as error:
        yield f"{error.problem} ({error.where})"
    except ShipworthyError as error:
        yield f"the champion cannot be opened: {error.problem} ({error.where})"
