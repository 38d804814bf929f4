"""`shipworthy serve`: answer requests with the champion."""

from __future__ import annotations

import json
import shlex
import socket
from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import project_option, say
from shipworthy.core.model import Model
from shipworthy.deployment.integration.releases.example import example
from shipworthy.deployment.integration.releases.shelf import find_release
from shipworthy.deployment.integration.serving.host import serve
from shipworthy.errors import Misuse
from shipworthy.store.workspace import open_workspace


@click.command()
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the champion by default.")
@click.option("--host", default="", help="Address to listen on; from [serve] by default.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port; from [serve] by default.")
def command(folder: Path, release_id: str, host: str, port: int) -> None:
    """Answer records and Open Inference Protocol v2 requests, and log what was served. Stops on Ctrl-C."""
    place = open_workspace(folder)
    release = find_release(place.releases, release_id) if release_id else flow.champion(place)
    if release is None:
        raise Misuse("nothing is in production", where=str(place.folder),
                     hint="shipworthy promote first, or name one: --release ID")
    host, port = host or place.project.serve.host, port or place.project.serve.port
    _may_listen(host, port)
    say(f"serving {release.short} on http://{host}:{port}; whoever reaches this address may ask")
    say(f"try: {request(release.model, f'http://{host}:{port}')}")
    serve(release, place.log, place.project, host, port, contributions=flow.shares)


def request(model: Model, address: str) -> str:
    """A command to paste into a shell that asks the server once; values from data stay inside their quotes."""
    return shlex.join(["curl", "-s", f"{address}/v1/predict", "-d", json.dumps(example(model), ensure_ascii=False)])


def _may_listen(host: str, port: int) -> None:
    """Said before anything starts. Raises Misuse when the address is taken or is none of this machine's."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise Misuse(f"nothing can listen there: {error.strerror or error}", where=f"{host}:{port}",
                     hint="choose another: --host 127.0.0.1 --port 8001") from error
