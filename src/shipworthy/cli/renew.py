"""`shipworthy renew`: a challenger that must earn its place."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy import renewals
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
@click.option("--if-due", is_flag=True, help="Only where the champion is too old, does harm or is outgrown.")
def command(folder: Path, by: str, address: str, labels: str, *, if_due: bool) -> None:
    """Try candidates on newer labelled traffic, the cheapest first; the winner is judged by the same checklist.

    Promoted, or sent to a rollout where [renew] says so, only if it is better and --by names who. Exit 1 if not.
    """
    place = open_workspace(folder)
    if address and not labels:
        raise Misuse("a log of your own needs its labels", where="--log", hint="give them too: --labels TABLE")
    log, known = (read(one, plugins=place.plugins()) if one else None for one in (address, labels))
    found = renewals.due(place, log=log, labels=known)
    say(f"{found.verdict:<14} {found.sentence}")
    if if_due and found.verdict != "fail":
        click.echo("not due: the champion stays")
        return
    with progress() as step:
        renewal = renewals.renew(place, by=by, progress=step, log=log, labels=known)
    for finding in renewal.findings:
        say(f"{finding.verdict:<14} {finding.sentence}")
    click.echo(renewal.sentence)
    sys.exit(0 if renewal.won else 1)
