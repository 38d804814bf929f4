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
from pathlib import Path
from typing import Literal

from shipworthy.errors import StoreError

Mode = Literal["kept", "durable", "buffered"]
MARK = b"SWBLOCK1"
HEAD = struct.Struct("<II")
SEALED_BYTES = 64 * 1024 * 1024
LARGEST_BLOCK = 256 * 1024 * 1024
BUFFER_BYTES, BUFFER_SECONDS = 256 * 1024, 1.0


class Writer:
    """Appends blocks to its own new files in a folder; many writers may share the folder. Not for several threads.

    header: the first block of every file. mode: "kept" before returning hands the block to the operating system,
    "durable" to the disk, "buffered" neither, for at most a second or 256 KiB: faster, and loses them when killed.
    """

    def __init__(
        self, folder: Path, name: str, header: bytes, *, mode: Mode = "kept", sealed: int = SEALED_BYTES
    ) -> None:
        self.folder, self.name, self.header, self.mode, self.sealed = folder, name, header, mode, sealed
        self._waiting: list[bytes] = []
        self._since = time.monotonic()
        self._handle, self._size = -1, 0
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
        if self._size >= self.sealed:
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
            self._handle, self._size = os.open(path, flags, 0o600), 0
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
    """Every whole block of a file in order, its header first; ends quietly at a half-written tail."""
    raw = path.read_bytes()
    for start, end in _spans(raw):
        yield raw[start:end]


def tail(path: Path) -> int:
    """Bytes at the end of a file that are no whole block."""
    raw = path.read_bytes()
    spans = list(_spans(raw))
    return len(raw) - (spans[-1][1] if spans else 0)


def recover(folder: Path, name: str) -> int:
    """Cut the half-written tail of every file that no running process writes; how many bytes were cut.

    They were never acknowledged.
    """
    cut = 0
    for path in segments(folder, name):
        handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            if not _claim(handle):
                continue
            extra = tail(path)
            if extra:
                os.ftruncate(handle, path.stat().st_size - extra)
                cut += extra
        finally:
            os.close(handle)
    return cut


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
