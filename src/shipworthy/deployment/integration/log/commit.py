"""Group commit: one wait of the disk for all who wait, and the sealing of files, in a thread beside the writer.

Source: DeWitt et al. (1984), Implementation techniques for main memory database systems, section 5.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterable

from shipworthy.deployment.integration.log import segments
from shipworthy.errors import StoreError

Waiter = tuple[int, asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Commit:
    """Brings a writer's blocks to the disk. Its thread runs from the first need of it until `close`.

    written: blocks that the writer has put into its files; it alone adds to it. syncs: how often the disk was waited
    for. failed: what it refused of the file under way, which is not to be trusted then: asked again, it may say of
    blocks that are gone that they are kept (Rebello et al., 2020, Can applications recover from fsync failures?).
    """

    def __init__(self) -> None:
        self.written = self.syncs = 0
        self.failed: OSError | None = None
        self._kept = self._lost = 0
        self._error: OSError | None = None
        self._handle = -1
        self._sealing: list[tuple[int, int, int]] = []
        self._waiters: list[Waiter] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended = False

    async def reached(self) -> None:
        """Wait until the disk has all that was written before. Raises StoreError."""
        if self._kept >= self.written:
            return
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._changed:
            if self._kept >= self.written:
                return
            self._waiters.append((self.written, loop, future))
            self._run()
        await future

    def moved(self, handle: int) -> None:
        """The writer goes on in this file."""
        with self._changed:
            self._handle, self.failed = handle, None

    def seal(self, handle: int, size: int) -> None:
        """Seal a file at its size, wait for the disk, and close it, all in the background."""
        with self._changed:
            self._sealing.append((handle, size, self.written))
            self._handle = -1
            self._run()

    def close(self) -> None:
        """Wait until everything is done."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread:
            self._thread.join()
        self._thread, self._ended = None, False

    def _run(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="log", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiters or self._sealing or self._ended)
                if not self._waiters and not self._sealing:
                    return
                asked, upto, handle, failed = bool(self._waiters), self.written, self._handle, self.failed
                sealing, self._sealing = self._sealing, []
            for file, size, last in sealing:
                self._refused(last, self._brought(file, size))
                os.close(file)
            if asked and handle >= 0:
                failed = failed or self._brought(handle)
                self._refused(upto, failed)
            self._answer(upto if asked else 0, handle, failed)

    def _brought(self, handle: int, size: int = -1) -> OSError | None:
        """Wait until the disk has a file, sealed at its size unless that is -1; what the disk refused."""
        self.syncs += 1
        try:
            if size >= 0:
                segments.seal(handle, size)
            getattr(os, "fdatasync", os.fsync)(handle)
        except OSError as error:
            return error
        return None

    def _refused(self, last: int, error: OSError | None) -> None:
        """No block up to this one that still waits is on the disk."""
        if error:
            self._lost, self._error = last, error

    def _answer(self, upto: int, handle: int, failed: OSError | None) -> None:
        """Tell those who wait for blocks up to this one. failed: what the disk refused of the file of this handle."""
        with self._changed:
            if handle == self._handle:
                self.failed = failed
            served = [waiter for waiter in self._waiters if waiter[0] <= upto]
            self._waiters = [waiter for waiter in self._waiters if waiter[0] > upto]
            self._kept = max(self._kept, upto) if self._lost < upto else self._kept
        _tell([waiter for waiter in served if waiter[0] <= self._lost], self._error)
        _tell([waiter for waiter in served if waiter[0] > self._lost], None)


def _tell(waiters: Iterable[Waiter], error: OSError | None) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for _, loop, future in waiters:
        by_loop.setdefault(loop, []).append(future)
    for loop, futures in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(_resolve, futures, error)


def _resolve(futures: Iterable[asyncio.Future[None]], error: OSError | None) -> None:
    for future in futures:
        if not future.done() and error is None:
            future.set_result(None)
        elif not future.done():
            future.set_exception(StoreError(f"the disk refused the log: {error.strerror if error else ''}",
                                            where="the log", hint="the answer may be lost; look at the disk"))
