"""One worker process: an application under uvicorn, on a socket that all workers of a server share.

Run as a module, with its job as one line on standard input; when that pipe ends its parent is gone, and it stops too.
It says on standard output when it is ready. Nothing that trains or stores is imported here.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import msgspec
import uvicorn

from shipworthy.core.release import Release
from shipworthy.deployment.integration.access.gate import Gate
from shipworthy.deployment.integration.access.tls import tls
from shipworthy.deployment.integration.serving.app import App, app
from shipworthy.deployment.integration.serving.arms import signed
from shipworthy.deployment.integration.serving.counters import Board
from shipworthy.deployment.integration.serving.front import Front, config
from shipworthy.deployment.integration.serving.job import DRAIN_SECONDS, Job, Saying
from shipworthy.deployment.integration.serving.reading import READ_SECONDS
from shipworthy.deployment.integration.serving.standing import read_standing
from shipworthy.errors import ShipworthyError

IDLE_SECONDS = 30
COLLECT = (50_000, 20, 100)  # a batch makes thousands of answers, none of them in a circle
SWITCH_SECONDS = 0.0005  # so that opening the next release in a thread keeps no request waiting for long


class Listener(uvicorn.Server):
    """Not ready from the moment it is told to stop; closes connections that never finish asking."""

    def __init__(self, config: uvicorn.Config, made: App) -> None:
        super().__init__(config)
        self._app = made
        self._silent: dict[Any, tuple[Any, float]] = {}

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            _say(Saying(port=port))

    async def on_tick(self, counter: int) -> bool:
        if counter % 50 == 0:
            self._close_silent(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.draining = True
        super().handle_exit(sig, frame)

    def _close_silent(self, now: float) -> None:
        """Connections that opened, or began a request, and then said nothing: uvicorn itself waits for ever.

        Where the protocol is uvicorn's own, which keeps no times, such are those silent at every look at one cycle, for
        each request has another.
        """
        before, self._silent = self._silent, {}
        connections: list[Any] = list(self.server_state.connections)
        for connection in connections:
            if isinstance(connection, Front):
                if connection.waits > READ_SECONDS:
                    connection.give_up()
                continue
            cycle = connection.cycle
            if connection.timeout_keep_alive_task is None and (cycle is None or cycle.response_complete):
                known, since = before.get(connection, (cycle, now))
                self._silent[connection] = (cycle, since if known is cycle else now)
                if now - self._silent[connection][1] > READ_SECONDS:
                    connection.transport.close()


def made(job: Job) -> tuple[App, Board]:
    """The application of a job. Raises BadRelease, StoreError."""
    board = Board(job.workers, job.board)
    home = Path(job.home) if job.home else None
    release = _champion(home) if home and job.follow else None
    gate = Gate(home, job.serving) if home else None
    followed = home if job.follow else None
    return app(release or Path(job.release), Path(job.log), job.project or job.serving, home=followed,
               counters=board.counters(job.worker), gate=gate), board


def _champion(home: Path) -> Release | None:
    """The release that the servers were told of last: it may be another than when the server was started.

    None where they were told nothing, or of one that cannot be opened: then what the server was started with answers.
    """
    try:
        told = read_standing(home)
        return signed(home, told.champion) if told is not None else None
    except ShipworthyError:
        return None


def listen(job: Job) -> None:
    """Answer until told to stop, then finish what is under way and close the log."""
    application, _ = made(job)
    serving = job.serving
    settings = config(
        application, host=serving.host, port=serving.port, loop="auto", ws="none", lifespan="on",
        access_log=False, log_level="warning", server_header=False, date_header=False, proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS, timeout_graceful_shutdown=DRAIN_SECONDS,
        **tls(serving, Path(job.home).parent))
    listener = Listener(settings, application)

    def orphaned() -> None:
        sys.stdin.read()
        application.draining = True
        listener.should_exit = True

    threading.Thread(target=orphaned, daemon=True).start()
    gc.collect()
    gc.freeze()  # what is warm now stays: there is nothing in it to look for again and again
    gc.set_threshold(*COLLECT)
    listener.run([socket.socket(fileno=job.handle)] if job.handle >= 0 else None)


def _say(what: Saying) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


def _unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _say(Saying(failed=kind.__name__))
    sys.__excepthook__(kind, error, trace)


def main() -> None:
    """The worker of the job on standard input."""
    sys.setswitchinterval(SWITCH_SECONDS)
    sys.excepthook = _unforeseen
    try:
        listen(msgspec.json.decode(sys.stdin.readline(), type=Job))
    except ShipworthyError as error:
        _say(Saying(failed=" ".join(str(error).split())))
        sys.exit(1)


if __name__ == "__main__":
    main()
