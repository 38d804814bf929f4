"""Files of checksummed blocks: how they are laid out, read, recovered after a kill, and claimed by one process.

A file starts with a mark. A block is its CRC-32, its length with these two words (little-endian, 4 bytes each), and
its bytes. A writer lays down the bytes, then the checksum, then the length, as one word: where the length is nought,
what was written ends, and what lies behind is room for more or a block that was half written when its writer was
killed. A file that is closed for good has no such room, and a seal at its end.
After write-ahead logs: Mohan et al. (1992), ARIES, section 3.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shipworthy.core.clock import DAY, HOUR

MARK = b"SWBLOCK2"
FIRST_MARK = b"SWBLOCK1"
HEAD = struct.Struct("<II")
WORD = struct.Struct("<I")
SEAL = HEAD.pack(zlib.crc32(b"sealed"), HEAD.size + 6) + b"sealed"
LARGEST_BLOCK = 256 * 1024 * 1024


def segments(folder: Path, name: str) -> list[Path]:
    """The files of a log, oldest first."""
    return sorted(folder.glob(f"{name}-*.log")) if folder.exists() else []


def is_older(path: Path, since: int) -> bool:
    """Whether nothing was written to a file from a time on, microseconds since 1970.

    Its name says when it was begun, and a writer leaves it within a day of running; one that slept changed it since.
    """
    begun = path.stem.split("-")[-2:][0]
    if not begun.isdigit() or int(begun) // 1_000 + 2 * DAY >= since:
        return False
    try:
        return path.stat().st_mtime_ns // 1_000 + HOUR < since  # the system notes late what is mapped
    except FileNotFoundError:
        return True


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


def lay(room: mmap.mmap | bytearray, at: int, payload: bytes) -> int:
    """Write a block, so that it is whole or nought for whoever reads it after a kill; the place behind it.

    `pack_into` would store the length byte by byte, and a kill between two leave a wrong one; a slice is copied.
    """
    start = at + HEAD.size
    end = start + len(payload)
    room[start:end] = payload
    room[at : at + WORD.size] = WORD.pack(zlib.crc32(payload))
    room[at + WORD.size : start] = WORD.pack(end - at)
    return end


def rest(raw: bytes) -> tuple[int, bool]:
    """How many bytes at the end of a file are no whole block, and whether they are just a half-written one.

    Half-written: its length was never written, or goes beyond the file. Anything else is damage, behind which
    acknowledged blocks may lie. Room that was never written to counts nothing, nor does the seal.
    """
    at = whole(raw)
    left = len(raw) - at if raw.startswith(FIRST_MARK) else max(len(raw.rstrip(b"\0")) - at, 0)
    if at == 0:
        return left, MARK.startswith(raw[: len(MARK)]) or not any(raw[: len(MARK)])
    if left == 0 or len(raw) - at < HEAD.size:
        return left, True
    size = _head(raw, at)[1]
    return left, size == 0 or at + size > len(raw)


def whole(raw: bytes) -> int:
    """Where the last whole block of a file's bytes ends, its seal included; 0 where there is not even a mark."""
    at = len(MARK) if raw.startswith((MARK, FIRST_MARK)) else 0
    at = max((end for _, end in _spans(raw)), default=at)
    return len(raw) if at and raw[at:] == SEAL else at


def seal(handle: int, size: int) -> None:
    """Cut a file to its whole blocks and put the seal behind them. Raises OSError."""
    os.ftruncate(handle, size)
    os.lseek(handle, size, os.SEEK_SET)
    os.write(handle, SEAL)


def recover(folder: Path, name: str) -> int:
    """Seal every file that no running process goes on writing; how many half-written bytes were cut from them.

    They were never acknowledged. A damaged file is left as it is.
    """
    cut = 0
    for path in segments(folder, name):
        handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            if not _is_sealed(handle) and claim(handle):
                raw = path.read_bytes()
                end, (extra, half) = whole(raw), rest(raw)
                if half and end:
                    seal(handle, end)
                elif half:
                    os.ftruncate(handle, 0)
                cut += extra * half
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
        yield claim(handle)
    finally:
        os.close(handle)


def claim(handle: int, *, wait: bool = False) -> bool:
    """Hold a file while this handle is open; False if another process does. Where there is no such lock: True.

    wait: until whoever looks at it has let it go.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _is_sealed(handle: int) -> bool:
    size = os.fstat(handle).st_size
    os.lseek(handle, max(size - len(SEAL), 0), os.SEEK_SET)
    return os.read(handle, len(SEAL)) == SEAL


def _spans(raw: bytes) -> Iterator[tuple[int, int]]:
    at, stop = len(MARK), len(raw) - len(SEAL) * raw.endswith(SEAL)
    if not raw.startswith((MARK, FIRST_MARK)):
        return
    view = memoryview(raw)
    while at + HEAD.size <= stop:
        checksum, size = _head(raw, at)
        end = at + size
        if not HEAD.size <= size <= LARGEST_BLOCK or end > stop:
            return
        if zlib.crc32(view[at + HEAD.size : end]) != checksum:
            return
        yield at + HEAD.size, end
        at = end


def _head(raw: bytes, at: int) -> tuple[int, int]:
    """Checksum and size of a block, both words included; files of the first mark held the bare length, and first."""
    first, second = HEAD.unpack_from(raw, at)
    return (second, first + HEAD.size) if raw.startswith(FIRST_MARK) else (first, second)
