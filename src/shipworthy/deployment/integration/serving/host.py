"""The processes of a server: workers that share one port, kept running; or one worker for a drill or a replay.

All workers accept from one listening socket, so that none of them takes waiting connections with it when it ends. One
that is killed is started again; where they end again and again, the server stops with the cause instead of staying up
and answering nobody.
"""

from __future__ import annotations

import json
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
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, NoReturn

import msgspec

from shipworthy.core.project import Project, Serving
from shipworthy.core.release import Release
from shipworthy.deployment.integration.releases.shelf import in_use
from shipworthy.deployment.integration.serving.counters import Board
from shipworthy.deployment.integration.serving.worker import DRAIN_SECONDS, Job
from shipworthy.errors import ShipworthyError, StoreError

START_SECONDS = 30.0
BACKLOG = 2_048
LOOK_SECONDS, AGAIN_SECONDS = 0.1, 10.0
MOST_ENDS, WITHIN_SECONDS = 5, 30.0
quiet: Callable[[str], None] = lambda text: None  # noqa: E731 - talk that nobody hears


class Worker:
    """One worker process. said: what it wrote to standard error."""

    def __init__(self, job: Job, inherited: Sequence[int] = ()) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "shipworthy.deployment.integration.serving.worker"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self._said, env=_environment(), pass_fds=tuple(inherited))
        assert self.process.stdin
        self.process.stdin.write(msgspec.json.encode(job) + b"\n")
        self.process.stdin.flush()

    def port(self) -> int:
        """Its port, once it answers. Raises StoreError with what it said if it ends before."""
        assert self.process.stdout
        limit = threading.Timer(START_SECONDS, self.process.kill)
        limit.start()
        line = self.process.stdout.readline()
        limit.cancel()
        if not line:
            self.process.wait()
            words = self.said
            self.end()
            raise StoreError("the server did not start", where="shipworthy serve", hint=words)
        return int(json.loads(line)["port"])

    @property
    def said(self) -> str:
        """The last lines of what it wrote to standard error."""
        self._said.seek(0)
        return " ".join(self._said.read().decode(errors="replace").strip().splitlines()[-3:])

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
        for pipe in (self.process.stdin, self.process.stdout, self._said):
            if pipe:
                pipe.close()


class Server:
    """A server of one worker on a free port of this machine, ended with the block.

    home: the `.shipworthy` folder of the project whose champion it follows; by default the release answers for ever.

    >>> with Server(release, folder, project) as server:  # doctest: +SKIP
    ...     print(server.address)
    """

    def __init__(
        self, release: Release | Path, log_folder: Path, project: Project | Serving, *, home: Path | None = None
    ) -> None:
        folder = release.folder if isinstance(release, Release) else release
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
        worker = Worker(self._job)
        self.port = worker.port()
        self._worker = worker
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
        stack.enter_context(in_use(Path(job.release)))  # each worker that is started again opens it
        listening = stack.enter_context(_listening(job.serving.host, job.serving.port))
        shared = stack.enter_context(tempfile.TemporaryFile())
        shared.truncate(Board.size(job.workers))
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, stop))
        inherited = (listening.fileno(), shared.fileno())
        jobs = [msgspec.structs.replace(job, worker=n, handle=inherited[0], board=inherited[1])
                for n in range(job.workers)]
        workers = [Worker(each, inherited) for each in jobs]
        beside = stack.enter_context(_Beside(job.beside))
        try:
            for worker in workers:
                worker.port()
            say(f"ready with {job.workers} worker{'s' if job.workers > 1 else ''}")
            _watch(workers, jobs, inherited, (stopped, say, beside))
        finally:
            listening.close()  # so that who comes now is refused at once, and does not wait for nobody
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
    """Start again what ends, until told to stop. Raises StoreError where that does not help."""
    stopped, say, beside = told
    ends: deque[float] = deque(maxlen=MOST_ENDS)
    while not stopped.wait(LOOK_SECONDS):
        beside.see(say)
        for place, worker in enumerate(workers):
            if worker.process.poll() is None:
                continue
            words = worker.said or f"exit code {worker.process.returncode}"
            worker.end()
            ends.append(time.monotonic())
            if len(ends) == MOST_ENDS and ends[-1] - ends[0] < WITHIN_SECONDS:
                raise StoreError(f"workers end again and again: {words}", where="shipworthy serve",
                                 hint="mend the cause, then serve again: shipworthy verify looks at the release")
            say(f"worker {place} ended ({words}); starting another")
            workers[place] = Worker(jobs[place], inherited)
            workers[place].port()


def _listening(host: str, port: int) -> socket.socket:
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
