"""`shipworthy renew`: a challenger that must earn its place."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import progress, project_option, say
from shipworthy.data.collection.read import read
from shipworthy.errors import Misuse
from shipworthy.store.workspace import open_workspace


@click.command()
@project_option
@click.option("--by", default="", help="Who promotes the challenger if it wins; without it, it stays a candidate.")
@click.option("--log", "address", default="",
              help="Predictions as a Parquet file or folder; the server's log by default.")
@click.option("--labels", default="", help="Labels as a table with prediction_id, label, observed_at.")
def command(folder: Path, by: str, address: str, labels: str) -> None:
    """Train on newer labelled traffic, judge by the same checklist, promote only if better. Exit 1 if not."""
    place = open_workspace(folder)
    if address and not labels:
        raise Misuse("a log of your own needs its labels", where="--log", hint="give them too: --labels TABLE")
    with progress() as step:
        renewal = flow.renew(place, by=by, progress=step, log=read(address) if address else None,
                             labels=read(labels) if labels else None)
    for finding in renewal.findings:
        say(f"{finding.verdict:<14} {finding.sentence}")
    click.echo(renewal.sentence)
    sys.exit(0 if renewal.won else 1)
