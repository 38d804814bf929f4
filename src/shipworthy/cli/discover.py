"""`shipworthy discover`: tables, keys and joins."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import json_option, put


@click.command()
@click.argument("address", default=".")
@json_option
def command(address: str, as_json: bool) -> None:
    """List every table of a folder (or of the project in it), its keys, and the joins between them, verified exactly."""
    catalogue = flow.look_around(Path(address))
    if as_json:
        put(catalogue)
        return
    for table in catalogue.tables:
        keys = f", keys {', '.join(table.keys)}" if table.keys else ", no single-column key"
        click.echo(f"{table.name}: {table.rows:,} rows, {len(table.columns)} columns{keys}")
    for join in catalogue.joins:
        on = ", ".join(f"{left} = {right}" for left, right in join.on.items())
        notes = " (by chance?)" if join.by_chance else ""
        orphans = f"; {join.orphan_rows:,} rows with {join.orphans:,} keys find nothing" if join.orphan_rows else ""
        click.echo(f"{join.left} → {join.right} on {on}: {join.coverage:.2%} found{orphans}{notes}")
