"""`shipworthy watch`: evidence about traffic."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import figure, json_option, project_option, put
from shipworthy.data.collection.read import read
from shipworthy.deployment.integration.log import read_log
from shipworthy.store.workspace import open_workspace


@click.command()
@project_option
@click.option(
    "--log", "address", default="", help="Predictions as a Parquet file or folder; the server's log by default."
)
@click.option("--labels", default="", help="Labels as a table with prediction_id, label, observed_at.")
@json_option
def command(folder: Path, address: str, labels: str, as_json: bool) -> None:
    """What moved since the release, whether it harms, and whether somebody should be called. Exit 1 on a page."""
    place = open_workspace(folder)
    log, known = (read(address, plugins=place.plugins()), None) if address else read_log(place.log)
    watched = flow.watch(place, log=log, labels=read(labels, plugins=place.plugins()) if labels else known)
    if as_json:
        put({"rows": log.rows, "findings": watched.findings, "incidents": watched.incidents})
    elif not log.rows:
        click.echo("no data yet: nothing was served since the promotion; start it with: shipworthy serve")
    else:
        for finding in watched.findings:
            click.echo(f"{finding.verdict:<14} {finding.check}: {finding.sentence}  {figure(finding)}".rstrip())
        for incident in watched.incidents:
            click.echo(f"PAGE: {incident}")
    sys.exit(1 if watched.incidents else 0)
