"""`shipworthy serve`: answer requests with the champion."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import project_option, say


@click.command()
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the champion by default.")
@click.option("--host", default="", help="Address to listen on; from [serve] by default.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port; from [serve] by default.")
def command(folder: Path, release_id: str, host: str, port: int) -> None:
    """Answer records and Open Inference Protocol v2 requests, and log what was served. Stops on Ctrl-C."""
    address = flow.serving(folder, release_id=release_id, host=host, port=port)
    say(f"serving {address.release.short} on http://{address.host}:{address.port} (predict API open to whoever reaches it)")
    say(f"try: curl -s http://{address.host}:{address.port}/v1/predict -d '{address.example}'")
    address.run()
