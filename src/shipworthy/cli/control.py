"""`shipworthy control`: the control API, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy.cli.talk import say
from shipworthy.deployment.integration.access.gate import Gate, local
from shipworthy.deployment.integration.access.tls import tls
from shipworthy.server.app import MOST_BYTES, app
from shipworthy.server.host import serve
from shipworthy.store.workspace import open_workspace


@click.command()
@click.option("--project", "-p", "folders", multiple=True, default=(".",), show_default=True,
              type=click.Path(path_type=Path), help="Folder that holds shipworthy.toml; may be repeated.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes any.")
@click.option("--max-megabytes", default=MOST_BYTES / 2**20, show_default=True, type=click.FloatRange(min=0.001),
              help="Of a table that is sent with a run.")
def command(folders: tuple[Path, ...], host: str, port: int, max_megabytes: float) -> None:
    """Runs, releases, evidence and promotion over HTTP. Closed without a token. Stops on Ctrl-C."""
    places = [open_workspace(folder) for folder in folders]
    made = app(places, lambda place: Gate(place.store.home), most_bytes=int(max_megabytes * 2**20))
    say(f"control of {', '.join(made.projects.hosted)}; the runs it queues are done by: shipworthy worker")
    secure = tls(places[0].project.serve, places[0].folder)
    if not local(host) and not secure:
        say("this address can be reached from afar, and tokens go there in the clear: name a certificate in [serve]")
    serve(made, host, port, told=lambda address: say(f"listening on {address}"), **secure)
