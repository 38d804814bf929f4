"""A model served for a moment, on a port of this machine that nobody else knows: what trials ask as a client would.

The application, the short way in and uvicorn are those of `shipworthy serve`; only tokens, rollouts and the keeper are
left out. The release and the log lie in a temporary folder.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec

from shipworthy.core.canon import canonical
from shipworthy.core.evidence import Evidence
from shipworthy.core.found import Contract
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.release import Identity
from shipworthy.deployment.integration.releases.release import write_release
from shipworthy.deployment.integration.releases.shelf import unlock
from shipworthy.deployment.integration.serving.app import app
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.front import config
from shipworthy.errors import StoreError

HOST = "127.0.0.1"


@contextmanager
def loopback(project: Project, model: Model, contract: Contract | None = None) -> Iterator[Connection]:
    """A connection to a server that answers for a model, until the block ends.

    contract: what the training rows promise, as the release would carry it. Raises StoreError where no server can be
    started.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extras = {"project.json": canonical(project)} | ({"contract.json": canonical(contract)} if contract else {})
        release = write_release(folder / "releases", name=project.project.name, model=model, evidence=Evidence(()),
                                identity=Identity("trial", model.digest, "trial"), extras=extras,
                                key=ec.generate_private_key(ec.SECP256R1()))
        try:
            quiet = msgspec.structs.replace(project.serve, log="buffered", traces="", requests="none")
            served = app(release, folder / "log",
                         msgspec.structs.replace(project, serve=quiet))
            with _listening(uvicorn.Server(config(served, lifespan="on", ws="none", access_log=False,
                                                  log_level="critical", server_header=False))) as address:
                with Connection(address) as connection:
                    yield connection
        finally:
            unlock(folder / "releases")


@contextmanager
def _listening(server: uvicorn.Server) -> Iterator[str]:
    """The address of a server that runs in a thread of this process until the block ends."""
    with socket.socket() as own:
        try:
            own.bind((HOST, 0))
        except OSError as error:
            raise StoreError(f"no port of this machine can be listened on: {error}", where=HOST,
                             hint="allow connections to 127.0.0.1") from error
        own.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [own]}, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{own.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
