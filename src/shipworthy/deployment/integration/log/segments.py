"""Files of checksummed blocks: how they are laid out, read, recovered after a kill, and claimed by one process.

A file starts with a mark. A block is its CRC-32, its length with these two words (little-endian, 4 bytes each), and
its bytes. A writer lays down the bytes, then the checksum, then the length: where the length is nought, what was
written ends, and what lies behind is room for more or a block that was half written when its writer was killed.
After write-ahead logs: Mohan et al. (1992), ARIES, section 3.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = b"SWBLOCK2"
FIRST_MARK = b"SWBLOCK1"
HEAD = struct.Struct("<II")
LARGEST_BLOCK = 256 * 1024 * 1024


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

    Half-written: its length was never written, or goes beyond the file. Anything else is damage, behind which
    acknowledged blocks may lie. Room that was never written to counts nothing.
    """
    at = whole(raw)
    left = len(raw.rstrip(b"\0")) - at if not raw.startswith(FIRST_MARK) else len(raw) - at
    if at == 0:
        return max(left, 0), MARK.startswith(raw[: len(MARK)]) or not any(raw[: len(MARK)])
    if left <= 0 or len(raw) - at < HEAD.size:
        return max(left, 0), True
    size = _head(raw, at)[1]
    return left, size == 0 or at + size > len(raw)


def whole(raw: bytes) -> int:
    """Where the last whole block of a file's bytes ends; 0 where there is not even a mark."""
    at = len(MARK) if raw.startswith((MARK, FIRST_MARK)) else 0
    return max((end for _, end in _spans(raw)), default=at)


def recover(folder: Path, name: str) -> int:
    """Cut what no running process goes on writing to its whole blocks; how many half-written bytes were cut.

    They were never acknowledged. A damaged file is left as it is.
    """
    cut = 0
    for path in segments(folder, name):
        handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            if not claim(handle):
                continue
            raw = path.read_bytes()
            extra, half = rest(raw)
            end = whole(raw)
            if half and end < len(raw):
                os.ftruncate(handle, end)
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


def _spans(raw: bytes) -> Iterator[tuple[int, int]]:
    at = len(MARK)
    if not raw.startswith((MARK, FIRST_MARK)):
        return
    view = memoryview(raw)
    while at + HEAD.size <= len(raw):
        checksum, size = _head(raw, at)
        end = at + size
        if not HEAD.size <= size <= LARGEST_BLOCK or end > len(raw):
            return
        if zlib.crc32(view[at + HEAD.size : end]) != checksum:
            return
        yield at + HEAD.size, end
        at = end


def _head(raw: bytes, at: int) -> tuple[int, int]:
    """Checksum and size of a block, both words included; files of the first mark held the bare length, and first."""
    first, second = HEAD.unpack_from(raw, at)
    return (second, first + HEAD.size) if raw.startswith(FIRST_MARK) else (first, second)
