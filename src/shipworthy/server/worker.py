"""A worker: takes jobs of some projects by lease, has each done in a child process, and tells how it goes."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import msgspec

from shipworthy.errors import StoreError
from shipworthy.server.tables import forget, sweep
from shipworthy.store.jobs import LEASE_SECONDS, Job, Jobs, LostLease, State
from shipworthy.store.workspace import Workspace

LOOK_SECONDS = 0.25
END_SECONDS = 5.0
KEPT_DAYS = 90
MOST_LINES, LINE_LENGTH = 10_000, 2_000
Told = tuple[str, dict[str, Any]]


@dataclass
class Worker:
    """Works until it is told to stop. lease: seconds after which a job of a worker that fell silent is taken up again.

    say: told what it does, a line at a time.
    """

    places: Sequence[Workspace]
    lease: float = LEASE_SECONDS
    say: Callable[[str], None] = lambda line: None
    name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    stopping: threading.Event = field(default_factory=threading.Event)

    def work(self, *, drain: bool = False) -> None:
        """Take one job after another, the projects in turn. drain: end once no job of any of them is open."""
        trouble = ""
        for place in self.places:
            _tidy(place)
        while not self.stopping.is_set():
            try:
                took = [self._next(place) for place in self.places]
                if drain and not any(took) and not any(_jobs(place).open() for place in self.places):
                    return
                trouble = ""
            except StoreError as error:  # the database may come back; until then the jobs wait
                if str(error) != trouble:
                    self.say(str(error))
                took, trouble = [], str(error)
            if not any(took):
                self.stopping.wait(LOOK_SECONDS)

    def _next(self, place: Workspace) -> bool:
        """Whether there was a job to do."""
        if self.stopping.is_set():
            return False
        jobs = _jobs(place)
        held = jobs.take(self.name, self.lease)
        if held is None:
            return False
        self.say(f"{held.verb} {held.id} for {held.by}, attempt {held.attempts}")
        job = _Work(self, jobs, held, place).done()
        self.say(f"{held.verb} {held.id}: {job.state if job else 'in other hands'}")
        if job and not job.open:
            forget(place.store.home, held.settings.get("upload", ""))
        return True


class _Work:
    """One job under way: a child process, what it told that is not yet kept, and the lease."""

    def __init__(self, worker: Worker, jobs: Jobs, held: Job, place: Workspace) -> None:
        self.worker, self.jobs, self.held = worker, jobs, held
        self.lines: queue.SimpleQueue[Told | None] = queue.SimpleQueue()
        self.waiting: list[Told] = []
        self.ended: tuple[State, dict[str, Any]] | None = None
        self.due = time.monotonic() + worker.lease / 3
        self.printed, self.talking = 0, 2
        self.child = _started(place.folder, held)
        self.readers = [threading.Thread(target=self._read, args=pair, daemon=True)
                        for pair in ((self.child.stdout, self._progress), (self.child.stderr, self._log))]

    def done(self) -> Job | None:
        """The job as it was left; None if it is in other hands."""
        for reader in self.readers:
            reader.start()
        try:
            while self.child.poll() is None and not self.held.stopped_by and not self.worker.stopping.is_set():
                self._gather()
                self._keep()
            _end(self.child)
            late = time.monotonic() + END_SECONDS  # something that the child started may hold the pipes open
            while self.talking and time.monotonic() < late:
                self._gather()
            return self._settled()
        except LostLease:
            return None
        finally:
            _end(self.child)
            for pipe in (self.child.stdin, self.child.stdout, self.child.stderr):
                assert pipe
                pipe.close()

    def _settled(self) -> Job:
        """Said again until the database hears it, or somebody else holds the job."""
        code = self.child.wait()
        while True:
            try:
                if self.waiting:
                    self.held = self.jobs.tell(self.held, self.waiting)
                    self.waiting = []
                if self.ended:
                    return self.jobs.finish(self.held, *self.ended)
                if self.held.stopped_by:
                    return self.jobs.finish(self.held, "cancelled", {})
                if self.worker.stopping.is_set():
                    return self.jobs.give_back(self.held, "the worker was told to stop", counts=False)
                why = f"the process ended with signal {-code}" if code < 0 else f"the process ended with {code}"
                return self.jobs.give_back(self.held, why, counts=True)
            except StoreError as error:
                if isinstance(error, LostLease) or self.worker.stopping.wait(LOOK_SECONDS):
                    raise

    def _gather(self) -> None:
        """Wait a little for lines, and take all there are."""
        wait = LOOK_SECONDS
        with suppress(queue.Empty):
            while self.talking and len(self.waiting) < MOST_LINES:
                line = self.lines.get(timeout=wait)
                wait = 0.0
                if line is None:
                    self.talking -= 1
                else:
                    self.waiting.append(line)

    def _keep(self) -> None:
        """Keep what was told, and the lease; see whether the job is to end. A database that is away is asked again."""
        try:
            if self.waiting:
                self.held, self.waiting = self.jobs.tell(self.held, self.waiting), []
            found = self.jobs.get(self.held.id)
            mine = found is not None and (found.token, found.state) == (self.held.token, "running")
            self.held = found if found and mine else self.held
            if not mine or time.monotonic() >= self.due:
                self.held = self.jobs.renew(self.held, self.worker.lease)
                self.due = time.monotonic() + self.worker.lease / 3
        except LostLease:
            raise
        except StoreError as error:
            self.worker.say(str(error))

    def _read(self, pipe: IO[bytes], line: Callable[[str], None]) -> None:
        for raw in pipe:
            line(raw.decode("utf-8", errors="replace").replace("\0", "").rstrip())
        self.lines.put(None)

    def _progress(self, text: str) -> None:
        try:
            told = json.loads(text)
        except json.JSONDecodeError:  # killed while it wrote
            return
        if "step" in told:
            self.lines.put(("progress", {"step": str(told["step"])[:LINE_LENGTH]}))
        else:
            self.ended = (told["state"], told["result"])

    def _log(self, text: str) -> None:
        self.printed += 1
        if self.printed <= MOST_LINES:
            last = "… and more" if self.printed == MOST_LINES else text[:LINE_LENGTH]
            self.lines.put(("log", {"text": last}))


def _tidy(place: Workspace) -> None:
    """Forget runs that ended long ago, and tables whose run has ended without its worker."""
    jobs = _jobs(place)
    jobs.forget(jobs.clock() - timedelta(days=KEPT_DAYS))
    sweep(place.store.home, {job.settings.get("upload", "") for job in jobs.find(limit=10_000) if job.open})


def _jobs(place: Workspace) -> Jobs:
    return Jobs(place.store.metadata.engine)


def _started(folder: Path, job: Job) -> subprocess.Popen[bytes]:
    """The child, in a session of its own: a signal to the worker is not one to its work, and all of it can be ended."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH", "")])])
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "shipworthy.server.work"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}, start_new_session=True)
    assert child.stdin
    told = {"folder": str(folder), "verb": job.verb, "settings": job.settings, "by": job.by}
    child.stdin.write(msgspec.json.encode(told) + b"\n")
    child.stdin.flush()
    return child


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child, kindly first; then with all it started."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            if hasattr(os, "killpg"):
                os.killpg(child.pid, signal.SIGKILL)
            child.kill()
            child.wait()
