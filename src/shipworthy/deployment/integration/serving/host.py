"""Running the predict API: in this process until stopped, or in a child process for drills and replays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import msgspec
import uvicorn

from shipworthy.core.canon import canonical
from shipworthy.core.project import Project, Serving
from shipworthy.core.release import Release
from shipworthy.deployment.integration.serving.answerer import Contributions
from shipworthy.deployment.integration.serving.app import App, app
from shipworthy.errors import StoreError

DRAIN_SECONDS = 10
START_SECONDS = 30.0
IDLE_SECONDS = 30


def serve(
    release: Release | Path, log_folder: Path, project: Project | Serving, host: str = "", port: int = 0,
    *, contributions: Contributions | None = None,
) -> None:
    """Answer requests for a release until SIGINT or SIGTERM, then finish what is under way and close the log.

    host, port: by default those of the project file. Raises BadRelease, StoreError.
    """
    serving = project.serve if isinstance(project, Project) else project
    made = app(release, log_folder, project, contributions=contributions)
    _Listener(_config(made, host or serving.host, port or serving.port), made).run()


class Server:
    """A server in a child process on a free port of this machine, ended with the block.

    >>> with Server(release, folder, project) as server:  # doctest: +SKIP
    ...     print(server.address)
    """

    def __init__(self, release: Release | Path, log_folder: Path, project: Project | Serving) -> None:
        self.release = release.folder if isinstance(release, Release) else release
        self.log_folder = Path(log_folder)
        self.serving = project.serve if isinstance(project, Project) else project
        self.address = ""
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the child process; 0 while there is none."""
        return self._process.pid if self._process else 0

    def start(self) -> Server:
        """The server itself, once it answers. Raises StoreError with what the child said if it ends before."""
        job = {"release": str(self.release), "log": str(self.log_folder), "serving": msgspec.to_builtins(self.serving)}
        with tempfile.TemporaryFile() as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "shipworthy.deployment.integration.serving.host"], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=said, env=_environment())
            assert self._process.stdin and self._process.stdout
            self._process.stdin.write(canonical(job) + b"\n")
            self._process.stdin.flush()
            limit = threading.Timer(START_SECONDS, self._process.kill)
            limit.start()
            line = self._process.stdout.readline()
            limit.cancel()
            if not line:
                self._process.wait()
                said.seek(0)
                words = said.read().decode(errors="replace").strip().splitlines()
                self._end()
                raise StoreError("the server did not start", where=str(self.release), hint=" ".join(words[-3:]))
        self.port = int(json.loads(line)["port"])
        self.address = f"http://127.0.0.1:{self.port}"
        return self

    def stop(self) -> None:
        """Let it finish what is under way, and wait for its end."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(DRAIN_SECONDS + 5)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._end()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process:
            self._process.kill()
            self._end()

    def _end(self) -> None:
        assert self._process
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process = None

    def __enter__(self) -> Server:
        return self if self._process else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Listener(uvicorn.Server):
    """Not ready from the moment it is told to stop; tells `told` its port once it answers."""

    def __init__(self, config: uvicorn.Config, made: App, told: bool = False) -> None:
        super().__init__(config)
        self._app, self._told = made, told

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        if self._told and self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            print(json.dumps({"port": port}), flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.draining = True
        super().handle_exit(sig, frame)


def _config(made: App, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        made, host=host, port=port, loop="auto", http="auto", ws="none", lifespan="on", access_log=False, workers=1,
        log_level="warning", server_header=False, date_header=False, timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS)


def _environment() -> dict[str, str]:
    """One thread a library, and this very package on the path."""
    root = str(Path(__file__).parents[4])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH", "")])])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _child() -> None:
    """The child: its job comes as one line; when that pipe ends, its parent is gone and it stops too."""
    job = json.loads(sys.stdin.readline())
    made = app(Path(job["release"]), Path(job["log"]), msgspec.convert(job["serving"], Serving))
    listener = _Listener(_config(made, "127.0.0.1", 0), made, told=True)

    def orphaned() -> None:
        sys.stdin.read()
        listener.should_exit = True

    threading.Thread(target=orphaned, daemon=True).start()
    listener.run()


if __name__ == "__main__":
    _child()
