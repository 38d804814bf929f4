"""`shipworthy explain TABLE --row N`: why a release answers one row as it does."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import json_option, project_option, put


@click.command()
@click.argument("address")
@click.option("--row", default=0, show_default=True, help="Position of the row, from 0.")
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the champion by default.")
@json_option
def command(address: str, row: int, folder: Path, release_id: str, as_json: bool) -> None:
    """Exact shares of the margin of one row of TABLE, compared with the usual row of the training data."""
    answer, shares = flow.explain(folder, address, row, release_id=release_id)
    if as_json:
        put({"answer": answer, "contributions": dict(shares)})
        return
    click.echo(f"answer: {answer}")
    for name, share in shares[:12]:
        click.echo(f"  {share:+.4f}  {name}")
