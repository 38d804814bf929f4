"""`shipworthy adapt`: the champion corrected for shifted traffic, without new labels."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy import updates
from shipworthy.cli.talk import json_option, progress, project_option, put, say
from shipworthy.data.collection.read import read
from shipworthy.deployment.updating.adapt import Shift
from shipworthy.store.workspace import open_workspace


@click.command()
@project_option
@click.option("--log", "address", default="",
              help="Predictions as a Parquet file or folder; the server's log by default.")
@click.option("--shift", default="auto", type=click.Choice(["auto", "labels", "rows"]),
              help="What is assumed: classes come more or less often (labels), or other rows come (rows).")
@json_option
def command(folder: Path, address: str, shift: Shift, *, as_json: bool) -> None:
    """Correct the champion for shifted traffic without new labels: a candidate, judged by the same checklist.

    Nothing is promoted. Where labels come, renew is better: no correction cures a changed relation. Exit 1 if no
    candidate is made.
    """
    place = open_workspace(folder)
    with progress() as step:
        found = updates.adapt(place, log=read(address, plugins=place.plugins()) if address else None, shift=shift,
                              progress=step)
    if as_json:
        put({"sentence": found.sentence, "findings": found.findings,
             "release": found.release.id if found.release else None})
    else:
        for finding in found.findings:
            say(f"{finding.verdict:<14} {finding.sentence}")
        click.echo(found.sentence)
        if found.release:
            say(f"candidate {found.release.short}; next: shipworthy checklist, then: shipworthy rollout start")
    sys.exit(0 if found.release else 1)
