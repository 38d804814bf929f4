"""Appending blocks to files that are mapped into memory: what was appended outlives a killed process.

Room is asked of the disk before it is mapped, a step at a time, so that a full disk is an error at that step and never
a signal in the middle of a block. Only the last step is mapped: a writer's memory does not grow with its file.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import secrets
import time
from pathlib import Path
from typing import Literal

from shipworthy.deployment.integration.log.commit import Commit
from shipworthy.deployment.integration.log.segments import HEAD, MARK, claim, lay, segments
from shipworthy.errors import StoreError

Mode = Literal["kept", "durable", "buffered"]
SEALED_BYTES, SEALED_SECONDS = 64 * 1024 * 1024, 86_400.0
STEP_BYTES = 1024 * 1024
BUFFER_BYTES, BUFFER_SECONDS = 256 * 1024, 1.0
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNABLE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class Writer:
    """Appends blocks to its own new files in a folder; many writers may share the folder. Not for several threads.

    header: the first block of every file; a file is begun with the first block, or by `begin`.
    mode: with "kept" a block is in the operating system's memory when `append` returns, which survives the process
    but no power cut. With "durable" it is too, and `await durable()` waits until the disk has it, together with all
    others who wait. With "buffered" it is in neither for up to a second or 256 KiB, and lost with the process.
    sealed, age: bytes and seconds after which a file is closed for good, and another begun.
    """

    def __init__(
        self, folder: Path, name: str, header: bytes, *, mode: Mode = "kept", sealed: int = SEALED_BYTES,
        age: float = SEALED_SECONDS,
    ) -> None:
        self.folder, self.name, self.header, self.mode = folder, name, header, mode
        self.sealed, self.age = sealed, age
        self._commit = Commit()
        self._waiting: list[bytes] | None = [] if mode == "buffered" else None
        self._since = time.monotonic()
        self._handle, self._reserved, self._first, self._base, self._named = -1, 0, 0, 0, 0
        self._window: mmap.mmap | None = None
        self._at, self._room, self._old = 0, -1, 0.0

    def append(self, payload: bytes) -> None:
        """Keep one block. Raises StoreError when the disk refuses; then nothing of it is left in the file.

        Where the disk was full, the next block is kept as soon as there is room.
        """
        if self._waiting is None:
            self._place(payload)
        else:
            self._delay(payload)

    def begin(self) -> None:
        """Begin a file now, so that a folder that cannot be written is known at once. Raises StoreError."""
        if self._window is None:
            self._begin()

    async def durable(self) -> None:
        """Wait until the disk has every block appended so far; at once in other modes. Raises StoreError if it failed.

        One wait of the disk serves all who wait: those who come while it is under way share the next.
        """
        if self.mode == "durable":
            try:
                await self._commit.reached()
            except StoreError:
                self._room = -1  # so that the next block looks for another file
                raise

    @property
    def syncs(self) -> int:
        """How often the disk was waited for."""
        return self._commit.syncs

    def close(self) -> None:
        """Write what waits, give back unused room, wait for the disk, and seal the file."""
        try:
            self._flush()
        finally:
            self._release()
            self._commit.close()

    def _place(self, payload: bytes) -> None:
        size, at = len(payload) + HEAD.size, self._at
        if at + size > self._room or time.monotonic() >= self._old:
            self._make_room(size)
            at = self._at
        window = self._window
        assert window is not None
        self._at = lay(window, at, payload)
        self._commit.written += 1

    def _delay(self, payload: bytes) -> None:
        assert self._waiting is not None
        self._waiting.append(payload)
        if time.monotonic() - self._since > BUFFER_SECONDS or sum(map(len, self._waiting)) >= BUFFER_BYTES:
            try:
                self._flush()
            except StoreError:
                self._waiting.pop()
                raise

    def _flush(self) -> None:
        while self._waiting:
            self._place(self._waiting[0])
            del self._waiting[0]
        self._since = time.monotonic()

    def _make_room(self, size: int) -> None:
        """Room for a block at the writer's place, in this file or a new one; on failure nothing has changed."""
        used = self._base + self._at
        full = used >= self.sealed or time.monotonic() >= self._old
        if self._window is None or self._commit.failed or (full and used > self._first):
            self._begin()
        if self._at + size > self._mapped():
            granule = mmap.ALLOCATIONGRANULARITY
            base = (self._base + self._at) // granule * granule
            end = base + max(STEP_BYTES, self._base + self._at - base + size)
            try:
                window, self._reserved = _mapped(self._handle, (self._reserved, base, end))
            except OSError as error:
                raise _refused(error, self.folder) from error
            if self._window is not None:
                self._window.close()
            self._at += self._base - base
            self._window, self._base = window, base
        self._room = min(self._mapped(), max(self.sealed - self._base, 0))

    def _mapped(self) -> int:
        return len(self._window) if self._window is not None else 0

    def _begin(self) -> None:
        """Begin a file; the one before is sealed in the background."""
        try:
            handle, path = self._created()
            try:
                size = HEAD.size + len(self.header)
                window, reserved = _mapped(handle, (0, 0, max(STEP_BYTES, len(MARK) + size)))
                if self.mode == "durable":
                    _named(self.folder)
            except OSError:
                os.close(handle)
                path.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise _refused(error, self.folder) from error
        behind = lay(window, len(MARK), self.header)
        window[: len(MARK)] = MARK
        self._release()
        self._handle, self._window, self._reserved, self._base = handle, window, reserved, 0
        self._first = self._at = behind
        self._old = time.monotonic() + self.age
        self._commit.moved(handle)

    def _created(self) -> tuple[int, Path]:
        """A new file that this writer holds, named after every other of its name, whatever the clock says."""
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            self._named = max(time.time_ns(), self._named + 1, _latest(self.folder, self.name) + 1)
            path = self.folder / f"{self.name}-{self._named:020d}-{secrets.token_hex(3)}.log"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            handle = os.open(path, flags, 0o600)
            claim(handle, wait=True)
            if os.fstat(handle).st_nlink:  # else a drain found it empty before it was held
                return handle, path
            os.close(handle)

    def _release(self) -> None:
        if self._window is not None:
            self._window.close()
            self._commit.seal(self._handle, self._base + self._at)
        self._window, self._handle, self._room = None, -1, -1


def _mapped(handle: int, span: tuple[int, int, int]) -> tuple[mmap.mmap, int]:
    """A window over [base, end) of a file, and where its reserved room ends. span: reserved so far, base, end.

    Raises OSError, the file as long as it was.
    """
    reserved, base, end = span
    try:
        if end > reserved:
            _reserve(handle, reserved, end)
        return mmap.mmap(handle, end - base, offset=base), max(end, reserved)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, reserved)
        raise


def _reserve(handle: int, start: int, end: int) -> None:
    """Make the disk give room, in zeros, for these bytes of a file. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, start, end - start)
            return
        except OSError as error:
            if error.errno not in UNABLE:
                raise
    os.lseek(handle, start, os.SEEK_SET)
    left = memoryview(bytes(end - start))
    while left:
        left = left[os.write(handle, left) :]


def _named(folder: Path) -> None:
    """Wait until the disk has the names of a folder's files, and its own; where a folder can be waited for."""
    for path in (folder, folder.parent) if os.name == "posix" else ():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _latest(folder: Path, name: str) -> int:
    """The number in the name of the newest file; 0 where there is none of that form."""
    numbers = [path.stem[len(name) + 1 :].split("-")[0] for path in segments(folder, name)]
    return max((int(number) for number in numbers if number.isdigit()), default=0)


def _refused(error: OSError, folder: Path) -> StoreError:
    full = error.errno in FULL
    told = f"the log cannot be written: {error.strerror}"
    problem = "the disk is full: the answer cannot be logged" if full else told
    return StoreError(problem, where=str(folder), hint="free some space; answers resume by themselves")
