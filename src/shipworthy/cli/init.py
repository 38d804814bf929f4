"""`shipworthy init TABLE --target COLUMN`: a project file with every guess and its reason."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import say


@click.command()
@click.argument("address")
@click.option("--target", required=True, help="The column to predict.")
@click.option("--project", "-p", "folder", default=".", type=click.Path(path_type=Path), help="Where to write the file.")
@click.option("--force", is_flag=True, help="Overwrite an existing project file.")
def command(address: str, target: str, folder: Path, force: bool) -> None:
    """Guess task, roles, time, groups and protected columns of TABLE, and write shipworthy.toml with each reason."""
    path, reasons = flow.start(address, target=target, folder=folder, force=force)
    for setting, value, reason in reasons:
        say(f"  {setting} = {value}  ({reason})")
    click.echo(str(path))
    say("read it, correct what is wrong, then: shipworthy run")
