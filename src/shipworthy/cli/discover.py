"""`shipworthy discover`: tables, keys and joins."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import json_option, put
from shipworthy.core.found import JoinPath
from shipworthy.core.project import FILE, About, Data, Project
from shipworthy.data.collection.discovery import discover, list_sources
from shipworthy.data.collection.read import read
from shipworthy.store.workspace import open_workspace


@click.command()
@click.argument("address", default=".", metavar="[FOLDER]")
@json_option
def command(address: str, as_json: bool) -> None:
    """List every table of a folder (or of the project in it), its keys, and its joins, verified exactly."""
    if (Path(address) / FILE).is_file():
        place = open_workspace(address)
        tables, project = list(flow.gather(place).values()), place.project
    else:
        tables, project = [read(found) for found in list_sources(address)], Project(About("discover"), Data(""))
    catalogue = discover(tables, project)
    if as_json:
        put(catalogue)
        return
    for table in catalogue.tables:
        keys = f", keys {', '.join(table.keys)}" if table.keys else ", no single-column key"
        click.echo(f"{table.name}: {table.rows:,} rows, {len(table.columns)} columns{keys}")
    for join in catalogue.joins:
        click.echo(as_line(join))


def as_line(join: JoinPath) -> str:
    """A join in one line: how much it finds, and what it does not."""
    on = ", ".join(f"{left} = {right}" for left, right in join.on.items())
    orphans = f"; {join.orphan_rows:,} rows with {join.orphans:,} keys find nothing" if join.orphan_rows else ""
    chance = " (by chance?)" if join.by_chance else ""
    return f"{join.left} → {join.right} on {on}: {join.coverage:.2%} found{orphans}{chance}"
