"""`shipworthy doctor`: what this installation can do."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import project_option


@click.command()
@project_option
@click.option("--rebuild", is_flag=True, help="Make the metadata index again from the files.")
def command(folder: Path, rebuild: bool) -> None:
    """Versions, kernel, extras, store; with --rebuild, the SQLite index is made again from the files."""
    for line in flow.doctor(folder, rebuild=rebuild):
        click.echo(line)
