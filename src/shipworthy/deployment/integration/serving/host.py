"""The processes of a server: workers that share one port, kept running; or one worker for a drill or a replay.

All workers accept from one listening socket, so that none of them takes waiting connections with it when it ends. One
that is killed is started again; where they end again and again, the server stops with the cause instead of staying up
and answering nobody. Nothing is imported here that a worker needs and this process does not: it waits most of the time.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, NoReturn

import msgspec

from shipworthy.core.project import Project, Serving
from shipworthy.deployment.integration.releases.use import in_use
from shipworthy.deployment.integration.serving.counters import Board
from shipworthy.deployment.integration.serving.job import DRAIN_SECONDS, Job, Saying
from shipworthy.errors import ShipworthyError, StoreError

if TYPE_CHECKING:
    from shipworthy.core.release import Release

START_SECONDS = 30.0
BACKLOG = 2_048
LOOK_SECONDS, AGAIN_SECONDS = 0.1, 10.0
MOST_ENDS, WITHIN_SECONDS = 5, 30.0
FIRST_SECONDS, LAST_SECONDS = 0.05, 5.0
quiet: Callable[[str], None] = lambda text: None  # noqa: E731 - talk that nobody hears


class Worker:
    """One worker process; what it writes to standard error goes where ours goes.

    ready: once it answers. port: then; where it listens.
    """

    def __init__(self, job: Job, inherited: Sequence[int] = ()) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "shipworthy.deployment.integration.serving.worker"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env=_environment(), pass_fds=tuple(inherited))
        self.ready = threading.Event()
        self.port = 0
        self._words = ""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        assert self.process.stdin
        with suppress(BrokenPipeError):  # it ended at once, and says why
            self.process.stdin.write(msgspec.json.encode(job) + b"\n")
            self.process.stdin.flush()

    def started(self) -> Worker:
        """The worker itself, once it answers. Raises StoreError with what it said if it ends before."""
        limit = time.monotonic() + START_SECONDS
        while not self.ready.wait(LOOK_SECONDS):
            if self.process.poll() is not None or time.monotonic() > limit:
                self.process.kill()
                self.end()
                raise StoreError("the server did not start", where="shipworthy serve", hint=self.said)
        return self

    @property
    def said(self) -> str:
        """Why it ended, once it has."""
        return self._words or f"exit code {self.process.returncode}"

    def stop(self) -> None:
        """Let it finish what is under way, and wait for its end."""
        self.process.terminate()
        try:
            self.process.wait(DRAIN_SECONDS + 5)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.end()

    def end(self) -> None:
        """Wait for its end, and close what led to it."""
        self.process.wait()
        self._listener.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            with suppress(BrokenPipeError):
                pipe.close()

    def _listen(self) -> None:
        """What it says on standard output: its port once it answers, or why it cannot."""
        assert self.process.stdout
        for line in self.process.stdout:
            with suppress(msgspec.MsgspecError):
                told = msgspec.json.decode(line, type=Saying)
                self._words = told.failed or self._words
                if told.port:
                    self.port = told.port
                    self.ready.set()


class Server:
    """A server of one worker on a free port of this machine, ended with the block.

    home: the `.shipworthy` folder of the project whose champion it follows; by default the release answers for ever.

    >>> with Server(release, folder, project) as server:  # doctest: +SKIP
    ...     print(server.address)
    """

    def __init__(
        self, release: Release | Path, log_folder: Path, project: Project | Serving, *, home: Path | None = None
    ) -> None:
        folder = release if isinstance(release, Path) else release.folder
        serving = project.serve if isinstance(project, Project) else project
        self.serving = msgspec.structs.replace(serving, host="127.0.0.1", port=0)
        self._job = Job(str(folder), str(log_folder), None, self.serving, str(home or ""))
        self.log_folder = Path(log_folder)
        self.address = ""
        self.port = 0
        self._worker: Worker | None = None

    @property
    def pid(self) -> int:
        """The id of the child process; 0 while there is none."""
        return self._worker.process.pid if self._worker else 0

    def start(self) -> Server:
        """The server itself, once it answers. Raises StoreError with what the child said if it ends before."""
        self._worker = Worker(self._job).started()
        self.port = self._worker.port
        self.address = f"http://127.0.0.1:{self.port}"
        return self

    def stop(self) -> None:
        """Let it finish what is under way, and wait for its end."""
        if self._worker:
            self._worker.stop()
            self._worker = None

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._worker:
            self._worker.process.kill()
            self._worker.end()
            self._worker = None

    def __enter__(self) -> Server:
        return self if self._worker else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(job: Job, *, say: Callable[[str], None] = quiet) -> None:
    """Answer requests with `job.workers` processes until SIGINT or SIGTERM, then let them finish and close their logs.

    Raises StoreError when the workers cannot start, or end again and again, with what the last of them said.
    """
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    with ExitStack() as stack:
        stack.enter_context(in_use(Path(job.release)))  # each worker that is started again may open it
        entry = stack.enter_context(listening(job.serving.host, job.serving.port))
        shared = stack.enter_context(tempfile.TemporaryFile())
        shared.truncate(Board.size(job.workers))
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, stop))
        inherited = (entry.fileno(), shared.fileno())
        jobs = [msgspec.structs.replace(job, worker=n, handle=inherited[0], board=inherited[1])
                for n in range(job.workers)]
        workers = [Worker(each, inherited) for each in jobs]
        beside = stack.enter_context(_Beside(job.beside))
        try:
            for worker in workers:
                worker.started()
            say(f"ready with {job.workers} worker{'s' if job.workers > 1 else ''}")
            _watch(workers, jobs, inherited, (stopped, say, beside))
        finally:
            entry.close()  # so that who comes now is refused at once, and does not wait for nobody
            for worker in workers:
                worker.process.terminate()
            for worker in workers:
                worker.stop()


class _Beside:
    """The process that runs beside the workers; one that ends is started again, and never stops the server."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = tuple(words)
        self._process: subprocess.Popen[bytes] | None = None
        self._again = 0.0

    def see(self, say: Callable[[str], None]) -> None:
        """Start it, or start it again some time after its end."""
        if not self._words or time.monotonic() < self._again:
            return
        if self._process is not None and self._process.poll() is None:
            return
        if self._process is not None:
            say(f"{self._words[0].rpartition('.')[2]} ended with {self._process.returncode}; starting it again")
            self._end()
        self._again = time.monotonic() + AGAIN_SECONDS
        self._process = subprocess.Popen([sys.executable, "-m", *self._words], stdin=subprocess.PIPE,
                                         env=_environment())

    def __enter__(self) -> _Beside:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._end()

    def _end(self) -> None:
        assert self._process and self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _watch(
    workers: list[Worker], jobs: Sequence[Job], inherited: Sequence[int],
    told: tuple[threading.Event, Callable[[str], None], _Beside],
) -> None:
    """Start again what ends, each time later, until told to stop. Raises StoreError where nobody answers any more."""
    stopped, say, beside = told
    ends: deque[float] = deque(maxlen=MOST_ENDS)
    due: dict[int, float] = {}
    while not stopped.wait(LOOK_SECONDS):
        beside.see(say)
        now = time.monotonic()
        for place, worker in enumerate(workers):
            if place in due:
                if now >= due[place]:
                    del due[place]
                    workers[place] = Worker(jobs[place], inherited)
            elif worker.process.poll() is not None:
                worker.end()
                ends.append(now)
                lately = sum(now - end < WITHIN_SECONDS for end in ends)
                due[place] = now + min(FIRST_SECONDS * 2 ** (lately - 1), LAST_SECONDS)
                say(f"worker {place} ended ({worker.said}); starting another")
        answering = any(place not in due and worker.ready.is_set() for place, worker in enumerate(workers))
        if not answering and len(ends) == MOST_ENDS and now - ends[0] < WITHIN_SECONDS:
            last = next(workers[place].said for place in due) if due else "they ended before they answered"
            raise StoreError(f"workers end again and again: {last}", where="shipworthy serve",
                             hint="mend the cause, then serve again: shipworthy verify looks at the release")


def listening(host: str, port: int) -> socket.socket:
    """A listening socket that children may inherit. Raises StoreError when the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(BACKLOG)
        found.setblocking(False)
    except OSError as error:
        raise StoreError(f"nothing can listen there: {error.strerror or error}", where=f"{host}:{port}",
                         hint="choose another: --host 127.0.0.1 --port 8001") from error
    return found


def _environment() -> dict[str, str]:
    """One thread a library, and this very package on the path."""
    root = str(Path(__file__).parents[4])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH", "")])])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def become(job: Job) -> NoReturn:
    """Turn this process into the server of a job, so that nothing that the command line imported stays in memory."""
    handle, name = tempfile.mkstemp(prefix="shipworthy-", suffix=".json")
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(job))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-m", __name__, name], _environment())


def _main(name: str) -> None:
    path = Path(name)
    job = msgspec.json.decode(path.read_bytes(), type=Job)
    path.unlink()
    try:
        serve(job, say=lambda text: print(text, file=sys.stderr, flush=True))
    except ShipworthyError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    _main(sys.argv[1])
