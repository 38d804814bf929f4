"""Append-only files of checksummed blocks: an acknowledged block survives a killed process, a half one is cut.

A file starts with a mark; a block is its length and CRC-32 (little-endian, 4 bytes each) and that many bytes.
One write(2) puts a block into the operating system's cache, which outlives the process but not a power cut;
`durable` waits for the disk too. After ARIES-style write-ahead logs: Mohan et al. (1992), section 3.
"""

from __future__ import annotations

import errno
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from shipworthy.errors import StoreError

Mode = Literal["kept", "durable", "buffered"]
MARK = b"SWBLOCK1"
HEAD = struct.Struct("<II")
SEALED_BYTES, SEALED_SECONDS = 64 * 1024 * 1024, 86_400.0
LARGEST_BLOCK = 256 * 1024 * 1024
BUFFER_BYTES, BUFFER_SECONDS = 256 * 1024, 1.0


class Writer:
    """Appends blocks to its own new files in a folder; many writers may share the folder. Not for several threads.

    header: the first block of every file. mode: "kept" before returning hands the block to the operating system,
    "durable" to the disk, "buffered" neither, for at most a second or 256 KiB: faster, and loses them when killed.
    sealed, age: bytes and seconds after which a file is closed for good, and another begun.
    """

    def __init__(
        self, folder: Path, name: str, header: bytes, *, mode: Mode = "kept", sealed: int = SEALED_BYTES,
        age: float = SEALED_SECONDS,
    ) -> None:
        self.folder, self.name, self.header, self.mode = folder, name, header, mode
        self.sealed, self.age = sealed, age
        self._waiting: list[bytes] = []
        self._since = time.monotonic()
        self._handle, self._size, self._born = -1, 0, 0.0
        self._open()

    def append(self, payload: bytes) -> None:
        """Keep one block. Raises StoreError when the disk refuses; then nothing of it is left in the file."""
        block = HEAD.pack(len(payload), zlib.crc32(payload)) + payload
        if self.mode == "buffered":
            self._waiting.append(block)
            late = time.monotonic() - self._since > BUFFER_SECONDS
            if not late and sum(map(len, self._waiting)) < BUFFER_BYTES:
                return
            block = self._drained()
        self._write(block)
        if self._size >= self.sealed or time.monotonic() - self._born >= self.age:
            self._seal()

    def close(self) -> None:
        """Write what waits, wait for the disk, and seal the file."""
        if self._handle >= 0:
            waiting = self._drained()
            if waiting:
                self._write(waiting)
            os.fsync(self._handle)
            os.close(self._handle)
            self._handle = -1

    def _drained(self) -> bytes:
        waiting, self._waiting, self._since = b"".join(self._waiting), [], time.monotonic()
        return waiting

    def _open(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{self.name}-{time.time_ns():020d}-{secrets.token_hex(3)}.log"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._handle, self._size, self._born = os.open(path, flags, 0o600), 0, time.monotonic()
            _claim(self._handle)
            self._write(MARK + HEAD.pack(len(self.header), zlib.crc32(self.header)) + self.header)
        except OSError as error:
            raise _refused(error, self.folder) from error

    def _seal(self) -> None:
        os.fsync(self._handle)
        os.close(self._handle)
        self._open()

    def _write(self, block: bytes) -> None:
        try:
            done = os.write(self._handle, block)
            while done < len(block):
                done += os.write(self._handle, memoryview(block)[done:])
            if self.mode == "durable":
                getattr(os, "fdatasync", os.fsync)(self._handle)
        except OSError as error:
            os.ftruncate(self._handle, self._size)
            raise _refused(error, self.folder) from error
        self._size += len(block)


def segments(folder: Path, name: str) -> list[Path]:
    """The files of a log, oldest first."""
    return sorted(folder.glob(f"{name}-*.log")) if folder.exists() else []


def blocks(path: Path) -> Iterator[bytes]:
    """Every whole block of a file in order, its header first; ends quietly at a half-written tail.

    A file that is gone, because it was drained meanwhile, has none.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    for start, end in _spans(raw):
        yield raw[start:end]


def placed(raw: bytes) -> list[tuple[int, bytes]]:
    """Every whole block of a file's bytes with the place where it starts, its header first."""
    return [(start, raw[start:end]) for start, end in _spans(raw)]


def rest(raw: bytes) -> tuple[int, bool]:
    """How many bytes at the end of a file are no whole block, and whether they are just a half-written one.

    Half-written: shorter than they say they are, as a killed writer leaves them. Anything else is damage, behind
    which acknowledged blocks may lie.
    """
    spans = list(_spans(raw))
    at = spans[-1][1] if spans else len(MARK) if raw.startswith(MARK) else 0
    left = raw[at:]
    if at == 0:
        return len(left), MARK.startswith(left)
    announced = HEAD.unpack_from(left)[0] if len(left) >= HEAD.size else LARGEST_BLOCK
    return len(left), HEAD.size + announced > len(left)


def recover(folder: Path, name: str) -> int:
    """Cut the half-written tail of every file that no running process writes; how many bytes were cut.

    They were never acknowledged. A damaged file is left as it is.
    """
    cut = 0
    for path in segments(folder, name):
        handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            if not _claim(handle):
                continue
            extra, half = rest(path.read_bytes())
            if extra and half:
                os.ftruncate(handle, path.stat().st_size - extra)
                cut += extra
        finally:
            os.close(handle)
    return cut


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether a file is sealed: no process writes it, and none will while the block runs.

    Where files cannot be locked the answer is no.
    """
    try:
        import fcntl  # noqa: F401 - whether there are locks
        handle = os.open(path, os.O_RDWR)
    except (ImportError, FileNotFoundError):
        yield False
        return
    try:
        yield _claim(handle)
    finally:
        os.close(handle)


def _spans(raw: bytes) -> Iterator[tuple[int, int]]:
    at = len(MARK)
    if raw[:at] != MARK:
        return
    while at + HEAD.size <= len(raw):
        length, checksum = HEAD.unpack_from(raw, at)
        end = at + HEAD.size + length
        if length > LARGEST_BLOCK or end > len(raw) or zlib.crc32(memoryview(raw)[at + HEAD.size : end]) != checksum:
            return
        yield at + HEAD.size, end
        at = end


def _claim(handle: int) -> bool:
    """Hold a file while this handle is open; False if another process does. Where there is no such lock: True."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _refused(error: OSError, folder: Path) -> StoreError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    told = f"the log cannot be written: {error.strerror}"
    problem = "the disk is full: the answer cannot be logged" if full else told
    return StoreError(problem, where=str(folder), hint="free some space; answers resume by themselves")
