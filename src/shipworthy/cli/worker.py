"""`shipworthy worker`: does the runs that were asked for over the control API."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import click

from shipworthy.cli.talk import say
from shipworthy.server.worker import Worker
from shipworthy.store.jobs import LEASE_SECONDS
from shipworthy.store.workspace import open_workspace


@click.command()
@click.option("--project", "-p", "folders", multiple=True, default=(".",), show_default=True,
              type=click.Path(path_type=Path), help="Folder that holds shipworthy.toml; may be repeated.")
@click.option("--lease", default=LEASE_SECONDS, show_default=True, type=click.FloatRange(min=1),
              help="Seconds after which the run of a worker that fell silent is taken up by another.")
@click.option("--drain", is_flag=True, help="End once no run is open any more, instead of waiting for the next.")
def command(folders: tuple[Path, ...], lease: float, drain: bool) -> None:
    """Take queued runs one after another, each done in a process of its own. Several workers may share a project.

    SIGTERM and Ctrl-C give the run under way back to the queue; what it has finished so far is not done again.
    """
    worker = Worker([open_workspace(folder) for folder in folders], lease=lease, say=say)

    def stop(number: int, frame: Any) -> None:
        worker.stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    say(f"worker {worker.name} waits for runs")
    worker.work(drain=drain)
