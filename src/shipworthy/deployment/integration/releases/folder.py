"""Reading a folder from a stranger: every file by name and digest, nothing that points elsewhere or is too large."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from shipworthy.errors import BadRelease

MAX_FILES = 1_000
MAX_BYTES = 2**31
MAX_NAME = 200
UNPACKED_BYTES, UNPACKED_TIMES = 2**28, 200
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


def walk(folder: Path) -> dict[str, Path]:
    """Every regular file under a folder, by its relative path with forward slashes, sorted.

    Raises BadRelease for a missing folder, a link, a device, more than 1,000 files or more than 2 GiB together.
    """
    if not folder.is_dir() or folder.is_symlink():
        raise BadRelease("there is no release folder", where=str(folder),
                         hint="name a folder that shipworthy run made, not a link to it")
    try:
        found = dict(sorted(_files(folder, "")))
        size = sum(path.stat().st_size for path in found.values())
    except OSError as error:  # collected, or moved, while it was looked through
        raise BadRelease(f"the release folder cannot be looked through: {error.strerror}", where=str(folder),
                         hint="check that it is still there and may be read") from error
    if len(found) > MAX_FILES:
        raise BadRelease(f"the folder holds more than {MAX_FILES:,} files", where=str(folder),
                         hint="this is no release; name a folder that shipworthy run made")
    if size > MAX_BYTES:
        raise BadRelease(f"the folder holds more than {MAX_BYTES >> 30} GiB", where=str(folder),
                         hint="this is no release; name a folder that shipworthy run made")
    return found


def check_name(name: str) -> str:
    """The name itself if it is a plain relative path inside the folder on every system. Raises BadRelease."""
    path = PurePosixPath(name)
    plain = path.parts and not path.is_absolute() and ".." not in path.parts and str(path) == name
    odd = any(mark in '\\:*?"<>|' or not mark.isprintable() for mark in name)
    if not plain or odd or len(name.encode(errors="replace")) > MAX_NAME or any(map(_device, path.parts)):
        raise BadRelease(f"{name[:80]!r} is not a file name inside the release", where="release.json",
                         hint="do not use it: restore the release from a copy, or build it again")
    return name


def check_names(names: Iterable[str]) -> None:
    """Refuse a name that is none, and two that are one where capitals or accents are told otherwise.

    Raises BadRelease.
    """
    files: set[str] = set()
    above: set[str] = set()
    for name in names:
        path = PurePosixPath(unicodedata.normalize("NFC", check_name(name)).casefold())
        parents = {str(parent) for parent in path.parents[:-1]}
        if str(path) in files | above or parents & files:
            raise BadRelease("two files of the release are one on some systems", where=name,
                             hint="do not use it: restore the release from a copy, or build it again")
        files.add(str(path))
        above |= parents


def read(path: Path, name: str) -> bytes:
    """The bytes of one file, not followed if it is a link. Raises BadRelease naming it."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            return file.read()
    except OSError as error:
        raise BadRelease(f"a file of the release cannot be read: {error.strerror}", where=name,
                         hint="check its permissions, or restore the release from a copy") from error


def read_all(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, name → bytes: each is read once, so that what was digested is what is parsed."""
    return {name: read(path, name) for name, path in walk(folder).items()}


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Name → SHA-256 in lower hex."""
    return {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()}


def check_unpacked(raw: bytes, name: str) -> None:
    """Refuse an archive that would unpack to more than 2 GiB, or 256 MiB and 200 times its size. Raises BadRelease."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, struct.error) as error:
        raise BadRelease("a file of the release is not an archive", where=name,
                         hint="restore the release from a copy, or build it again: shipworthy run") from error
    if size > min(MAX_BYTES, max(UNPACKED_BYTES, UNPACKED_TIMES * len(raw))):
        raise BadRelease(f"a file of the release unpacks to {size >> 20:,} MiB", where=name,
                         hint="do not use it: restore the release from a copy, or build it again")


def _device(part: str) -> bool:
    """Whether Windows would read another name: of a device, or without its last dots and blanks."""
    return part.casefold().partition(".")[0].rstrip() in DEVICES or part[-1] in ". "


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for entry in os.scandir(folder):
        name = prefix + entry.name
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            yield from _files(Path(entry.path), name + "/")
        elif stat.S_ISREG(mode):
            yield name, Path(entry.path)
        else:
            raise BadRelease("a release holds plain files only, no links or devices", where=name,
                             hint="copy the file itself into place of the link, or fetch the release again")
