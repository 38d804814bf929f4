"""`shipworthy attest`: sign what only a person can say."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import project_option, say


@click.command()
@click.argument("row")
@project_option
@click.option("--by", required=True, help="Who says so; not the trainer.")
@click.option("--role", required=True, help="In which role, such as legal or owner.")
@click.option("--sentence", required=True, help="What is attested.")
@click.option("--until", required=True, help="Last day it holds, as 2027-01-31.")
def command(row: str, folder: Path, by: str, role: str, sentence: str, until: str) -> None:
    """Attest ROW: signed, dated, expiring, and reported apart from what was proved."""
    flow.attest(folder, row=row, by=by, role=role, sentence=sentence, until=until)
    say(f"{row} is attested by {by} until {until}; run again to judge it")
