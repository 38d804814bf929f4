"""`shipworthy serve`: answer requests with the champion."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click
import msgspec

from shipworthy.cli.chosen import chosen
from shipworthy.cli.talk import project_option, say
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.deployment.integration.access.gate import Gate
from shipworthy.deployment.integration.access.tls import ending, tls
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases.example import example
from shipworthy.deployment.integration.releases.fitting import check_release
from shipworthy.deployment.integration.serving.host import become, listening
from shipworthy.deployment.integration.serving.job import Job
from shipworthy.deployment.integration.serving.standing import Standing
from shipworthy.store.workspace import open_workspace


@click.command()
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the champion by default.")
@click.option("--host", default="", help="Address to listen on; from [serve] by default.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port; from [serve] by default.")
@click.option("--keep/--no-keep", default=True,
              help="Run the keeper beside it, which counts what was served and steps rollouts.")
@click.option("--workers", default=0, type=click.IntRange(0, 64), help="Processes; from [serve] by default.")
def command(folder: Path, release_id: str, host: str, port: int, workers: int, *, keep: bool) -> None:
    """Answer records and Open Inference Protocol v2 requests, and log what was served. Stops on Ctrl-C."""
    place = open_workspace(folder)
    release = chosen(place, release_id)
    check_release(place.project, release, served=True)
    told = place.project.serve
    host, port, workers = host or told.host, port or told.port, workers or told.workers
    listening(host, port).close()
    serving = msgspec.structs.replace(told, host=host, port=port, workers=workers)
    if not release_id:
        history.tell(place.store)
    scheme = "https" if tls(serving, place.folder) else "http"
    gate = Gate(place.store.home, serving)
    say(f"serving {release.short} on {scheme}://{host}:{port}; {gate.told()}")
    gate.close()
    say(f"try: {request(release.model, f'{scheme}://{host}:{port}')}")
    if lacking := not_held_back(place.project, None if release_id else history.told(place.store)):
        say(lacking)
    if soon := ending(serving, place.folder):
        say(soon)
    become(Job(str(release.folder), str(place.log), msgspec.structs.replace(place.project, serve=serving), serving,
               str(place.store.home), follow=not release_id, workers=workers,
               beside=("shipworthy.server.keeper", str(place.folder)) if keep and not release_id else ()))


def not_held_back(project: Project, standing: Standing | None) -> str:
    """What to say where a holdback is asked for and there is no earlier champion to answer it; else empty."""
    rules = project.feedback
    if not rules.holdback or rules.policy == "random" or (standing is not None and standing.previous is not None):
        return ""
    return ('nothing is held back yet: [feedback] policy = "previous" asks the champion before this one, and there is '
            'none; it begins with the next promotion, or write policy = "random"')


def request(model: Model, address: str) -> str:
    """A command to paste into a shell that asks the server once; values from data stay inside their quotes."""
    return shlex.join(["curl", "-s", f"{address}/v1/predict", "-d", json.dumps(example(model), ensure_ascii=False)])
