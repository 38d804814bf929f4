"""`shipworthy renew`: a challenger that must earn its place."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy import renewals
from shipworthy.cli.talk import json_option, progress, project_option, put, say
from shipworthy.data.collection.read import read
from shipworthy.errors import Misuse
from shipworthy.renewal.renew import Renewal
from shipworthy.store.workspace import open_workspace


@click.command()
@project_option
@click.option("--by", default="", help="Who promotes the challenger if it wins; without it, it stays a candidate.")
@click.option("--log", "address", default="",
              help="Predictions as a Parquet file or folder; the server's log by default.")
@click.option("--labels", default="", help="Labels as a table with prediction_id, label, observed_at.")
@click.option("--if-due", is_flag=True, help="Only where the champion is too old, does harm or is outgrown.")
@json_option
def command(folder: Path, by: str, address: str, labels: str, *, if_due: bool, as_json: bool) -> None:
    """Try candidates on newer labelled traffic, the cheapest first; the winner is judged by the same checklist.

    Promoted, or sent to a rollout where [renew] says so, only if it is better and --by names who. Exit 1 if not.
    """
    place = open_workspace(folder)
    if address and not labels:
        raise Misuse("a log of your own needs its labels", where="--log", hint="give them too: --labels TABLE")
    log, known = (read(one, plugins=place.plugins()) if one else None for one in (address, labels))
    due = renewals.due(place, log=log, labels=known)
    say(f"{due.verdict:<14} {due.sentence}")
    came = Renewal(False, "not due: the champion stays", ())
    left = if_due and due.verdict != "fail"
    if not left:
        with progress() as step:
            came = renewals.renew(place, by=by, progress=step, log=log, labels=known)
    if as_json:
        put({"won": came.won, "sentence": came.sentence, "due": due, "findings": came.findings,
             "release": came.release.id if came.release else None})
    else:
        for finding in came.findings:
            say(f"{finding.verdict:<14} {finding.sentence}")
        click.echo(came.sentence)
    sys.exit(0 if came.won or left else 1)
