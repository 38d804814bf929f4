"""`shipworthy waive`: a named person accepts a row for a limited time; the row keeps its verdict."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import project_option, say
from shipworthy.store.workspace import open_workspace


@click.command()
@click.argument("row")
@project_option
@click.option("--by", required=True, help="Who accepts it.")
@click.option("--reason", required=True, help="Why.")
@click.option("--until", required=True, help="Last day it holds, as 2027-01-31; at most a year ahead.")
def command(row: str, folder: Path, by: str, reason: str, until: str) -> None:
    """Accept ROW although it is not proved. It stays what it is, and the release says so first."""
    flow.waive(open_workspace(folder), row=row, by=by, reason=reason, until=until)
    say(f"{row} is accepted by {by} until {until}; it keeps its verdict, and every report names the waiver")
