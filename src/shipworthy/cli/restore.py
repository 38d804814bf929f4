"""`shipworthy restore`: a project made again from a backup."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy.cli.talk import say
from shipworthy.deployment.integration.backups.backup import restore


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--into", required=True, type=click.Path(path_type=Path), help="A new or empty folder.")
def command(file: Path, into: Path) -> None:
    """Make the project of the backup FILE again, once every byte is what it was; else nothing is written.

    Exit 1 if the copy is exact, but its ledger or its champion does not hold.
    """
    found = restore(file, into)
    click.echo(into)
    say(f"{len(found.manifest.files):,} files of {found.manifest.project} as of {found.manifest.at}")
    for doubt in found.doubts:
        say(f"! {doubt}")
    say(f"try: shipworthy serve -p {into}" if not found.doubts else "try: shipworthy doctor")
    sys.exit(1 if found.doubts else 0)
