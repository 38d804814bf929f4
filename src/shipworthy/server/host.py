"""Runs the control API: one process, never on the way of a prediction."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from shipworthy.deployment.integration.serving.host import listening
from shipworthy.server.app import App
from shipworthy.server.patience import Patient

DRAIN_SECONDS = 10
TICKS = 10  # of a tenth of a second


def serve(
    made: App, host: str, port: int, *, told: Callable[[str], None] = lambda address: None, **tls: Any
) -> None:
    """Answer until SIGTERM or Ctrl-C; streams of events end first. port: 0 takes a free one.

    told: given the address once it answers. tls: what uvicorn needs to answer by https. Raises StoreError when the
    address is taken or is none of this machine's.
    """
    with listening(host, port) as found:
        begin = f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}"
        Listener(made, lambda: told(f"{begin}:{found.getsockname()[1]}"), **tls).run([found])


class Listener(uvicorn.Server):
    """uvicorn, whose application knows from the first signal on that it is to end, and whose connections must ask."""

    def __init__(self, made: App, told: Callable[[], None], **tls: Any) -> None:
        super().__init__(uvicorn.Config(
            made, loop="auto", http=Patient, ws="none", lifespan="on", access_log=False, log_level="warning",
            server_header=False, timeout_graceful_shutdown=DRAIN_SECONDS, **tls))
        self._app, self._told = made, told

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._told()

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, Patient):
                    connection.look()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.draining = True
        super().handle_exit(sig, frame)
