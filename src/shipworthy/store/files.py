"""Writes that happen whole or not at all, and the lock that lets two processes share one project."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from shipworthy.errors import StoreError

Address = str | os.PathLike[str]

_PART = ".part"
_NUMBER = re.compile(r"(?:os error|errno|Errno) (\d+)")
_MARKS = re.compile(r"\x1b\[\d*m|↳")
_HINTS = {
    errno.ENOSPC: ("the disk is full", "free some space and run it again; what was there before is intact"),
    errno.EDQUOT: ("the disk quota is used up", "free some space and run it again"),
    errno.EFBIG: ("the disk takes no file of this size", "free some space, or raise the limit (ulimit -f)"),
    errno.EROFS: ("the folder is on a read-only disk", "choose a project folder that can be written"),
    errno.EACCES: (
        "the folder may not be written or read",
        "change its permissions, or choose another folder",
    ),
    errno.EPERM: (
        "the folder may not be written or read",
        "change its permissions, or choose another folder",
    ),
    errno.ENOENT: (
        "the file is missing",
        "it was moved or deleted; restore it, or run the step that makes it",
    ),
    errno.EMFILE: ("too many files are open", "raise the limit of open files (ulimit -n)"),
}


def write_bytes(path: Address, data: bytes) -> None:
    """Put bytes at a path or address; a reader sees the old file or the whole new one.

    Local: a temporary file in the same folder, fsync, rename. With a scheme (`s3://`, `memory://`): one put
    by fsspec, which object stores make whole. Raises `StoreError`, with a hint, if the disk refuses.
    """
    if _is_remote(path):
        with told(path):
            system, inner = _remote(path)
            system.pipe_file(inner, data)
        return
    write_files({Path(path): data})


def write_private(path: Path, data: bytes) -> None:
    """Put a local file that its owner alone may read, from its first byte on. Raises `StoreError`."""
    write_files({path: data}, mode=0o600)


def write_files(files: Mapping[Path, bytes], *, mode: int = 0o666) -> None:
    """Put several local files: all are on disk under temporary names before the first is renamed.

    mode: their permissions, less what the process takes away. A full disk changes none of them. Raises `StoreError`.
    """
    parts: dict[Path, Path] = {}
    where = next(iter(files), Path())
    with told(where):
        try:
            for path, data in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                parts[path] = temporary(path)
                _write_synced(parts[path], data, mode)
            for path, part in parts.items():
                os.replace(part, path)
        finally:
            for part in parts.values():
                part.unlink(missing_ok=True)
        for folder in {path.parent for path in files}:
            _sync_folder(folder)


def read_bytes(path: Address) -> bytes:
    """The bytes at a path or address. Raises `StoreError` if it is missing or unreadable."""
    with told(path):
        if _is_remote(path):
            system, inner = _remote(path)
            return bytes(system.cat_file(inner))
        return Path(path).read_bytes()


def write_folder(path: Address, files: Mapping[str, bytes]) -> None:
    """Put a local folder of files at a path; a reader sees the old folder, none, or the whole new one.

    files: relative path with forward slashes → bytes. Raises `StoreError` for a name that leaves the folder.
    """
    with staged_folder(path) as stage:
        for name, data in files.items():
            target = stage / _inside(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


@contextmanager
def staged_folder(path: Address) -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends, and vanishes if the block raises.

    For files too large to hold in memory. An existing folder is replaced. Raises `StoreError`.
    """
    if _is_remote(path):
        raise StoreError("an object store cannot make a whole folder at once", where=str(path),
                         hint="write the folder locally and upload it, its digest file last")
    target = Path(path)
    with told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        stage = temporary(target)
        try:
            stage.mkdir()
            yield stage
            _sync_tree(stage)
            _swap(stage, target)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        _sync_folder(target.parent)


def temporary(path: Path) -> Path:
    """A name nobody has, beside `path`, by which a killed writer's rest is recognised."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PART}")


def sweep(path: Path) -> None:
    """Delete what killed writers of `path` left beside it. Call it only while holding that path's lock."""
    for rest in path.parent.glob(f".{path.name}.*{_PART}"):
        if rest.is_dir():
            shutil.rmtree(rest, ignore_errors=True)
        else:
            rest.unlink(missing_ok=True)


@contextmanager
def lock(path: Address, seconds: float = 60.0, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock named by a local file while the block runs; wait at most `seconds` for it.

    The operating system holds the lock, so it ends with its process and cannot go stale; the file stays.
    Not re-entrant. shared: many may hold it together, but not beside one that is not shared (on Windows every
    lock is exclusive). Raises `StoreError` naming the holder if the wait is over.
    """
    with told(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait(handle, Path(path), seconds, shared)
        if not shared:
            _sign(handle)
        yield
    finally:
        os.close(handle)


@contextmanager
def told(path: Address) -> Iterator[None]:
    """Turn an `OSError` of the block into a `StoreError` that says what to do."""
    try:
        yield
    except OSError as error:
        problem, hint = refusal(error)
        raise StoreError(problem, where=str(path), hint=hint) from error


def refusal(error: Exception, who: str = "the disk") -> tuple[str, str]:
    """What the disk said, as problem and hint: by its number, or by the number that a library put into its text.

    Rust writes "File too large (os error 27)", Arrow "[errno 28] No space left on device"; neither sets `errno`.
    who: who refused, where there is no number.

    >>> refusal(OSError("Generic LocalFileSystem error: File too large (os error 27)"))[0]
    'the disk takes no file of this size'
    """
    text = str(error)
    named = _NUMBER.search(text)
    number = getattr(error, "errno", None) or (int(named[1]) if named else 0)
    causes = _MARKS.sub("", getattr(error, "strerror", None) or text).split("\n")
    said = ": ".join(cause.strip() for cause in causes if cause.strip()) or type(error).__name__
    return _HINTS.get(number, (f"{who} refused: {said}", "check the disk and its permissions, then run it again"))


def _sign(handle: int) -> None:
    """Leave the holder's name for those who wait; a full disk must not stop who holds the lock."""
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())


def _wait(handle: int, path: Path, seconds: float, shared: bool) -> None:
    """Poll: a blocking lock cannot time out, and a signal-based one works only in the main thread."""
    start, pause = time.monotonic(), 0.001
    while not _try_lock(handle, path, shared):
        if time.monotonic() - start > seconds:
            holder = os.pread(handle, 200, 0).decode(errors="replace") if hasattr(os, "pread") else ""
            raise StoreError(f"another process has held this project's lock for {seconds:g} seconds", where=str(path),
                             hint=f"wait for {holder or 'it'} to finish, or stop it; the lock ends with its process")
        time.sleep(pause * (0.5 + secrets.randbelow(1000) / 1000))
        pause = min(pause * 1.5, 0.05)


def _try_lock(handle: int, path: Path, shared: bool) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, 1 << 30, os.SEEK_SET)  # past the text, so that the holder's name can be read
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise StoreError(f"this disk cannot lock files: {error.strerror}", where=str(path),
                         hint="keep the project on a local disk, or mount the share with locking") from error
    return True


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(paths: Iterable[Path]) -> None:
    """Wait until the disk has files that others wrote, or the names in folders. Raises OSError."""
    for path in paths:
        if path.is_dir():
            _sync_folder(path)
        else:
            with open(path, "rb+") as file:
                os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """A rename is durable only once its folder is; Windows has no such call."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        sync([*(Path(root) / name for name in names), Path(root)])


def _swap(stage: Path, target: Path) -> None:
    """A folder cannot be renamed onto a full one, so the old one steps aside first."""
    if not target.exists():
        os.rename(stage, target)
        return
    old = temporary(target)
    os.rename(target, old)
    try:
        os.rename(stage, target)
    except OSError:
        os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    foreign = any(mark in name for mark in ("\\", ":", "\0"))
    if foreign or not path.parts or path.is_absolute() or ".." in path.parts:
        raise StoreError(f"{name!r} is not a file name inside the folder", where="the folder to be written",
                         hint="use a relative path with forward slashes, without '..'")
    return path


def _is_remote(path: Address) -> bool:
    return "://" in os.fspath(path)


def _remote(path: Address) -> tuple[Any, str]:
    try:
        system, inner = fsspec.url_to_fs(os.fspath(path))
    except (ImportError, ValueError) as error:
        raise StoreError(f"this address cannot be opened: {error}", where=str(path),
                         hint="install the fsspec package for its scheme, such as s3fs for s3://") from error
    return system, inner
