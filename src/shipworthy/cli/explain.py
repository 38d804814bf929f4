"""`shipworthy explain TABLE --row N`: why a release answers one row as it does."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import json_option, project_option, put
from shipworthy.data.collection.read import read
from shipworthy.deployment.integration.shelf import find_release
from shipworthy.errors import Misuse
from shipworthy.store.workspace import open_workspace


@click.command()
@click.argument("address", metavar="TABLE")
@click.option("--row", default=0, show_default=True, help="Position of the row, from 0.")
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the newest candidate by default.")
@json_option
def command(address: str, row: int, folder: Path, release_id: str, as_json: bool) -> None:
    """Exact shares of the margin of one row of TABLE, compared with the usual row of the training data."""
    model = find_release(open_workspace(folder).releases, release_id).model
    table = read(address)
    if not 0 <= row < table.rows:
        raise Misuse(f"there is no row {row}", where=address, hint=f"rows are 0 to {table.rows - 1}")
    one = table.take([row])
    shares = flow.shares(model, model.inputs(one))[0]
    names = [kind.name for kind in model.features.inputs]
    ranked = sorted(zip(names, map(float, shares), strict=True), key=lambda pair: -abs(pair[1]))
    if as_json:
        put({"answer": model.predict(one)[0], "contributions": dict(ranked)})
        return
    click.echo(f"answer: {model.predict(one)[0]}")
    for name, share in ranked[:12]:
        click.echo(f"  {share:+.4f}  {name}")
