"""`shipworthy predict TABLE -o OUT`: score a table with a release."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import project_option, say


@click.command()
@click.argument("address")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Parquet file to write.")
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the champion by default.")
def command(address: str, output: Path, folder: Path, release_id: str) -> None:
    """Score every row of TABLE and write decision, score, interval or set, and abstention next to it."""
    rows = flow.predict(folder, address, output, release_id=release_id)
    say(f"{rows:,} rows scored into {output}")
