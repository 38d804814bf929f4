"""`shipworthy explain TABLE --row N`: why a release answers one row as it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shipworthy.cli.talk import json_option, project_option, put
from shipworthy.core.explained import Explanation, explained
from shipworthy.data.collection.read import read
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases.shelf import find_release
from shipworthy.store.workspace import Place, opened


@click.command()
@click.argument("address", metavar="TABLE")
@click.option("--row", default=0, show_default=True, help="Position of the row, from 0.")
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the newest candidate by default.")
@json_option
def command(address: str, row: int, folder: Path, release_id: str, as_json: bool) -> None:
    """Exact shares of the margin of one row of TABLE, compared with the usual row of the training data."""
    found = explain(folder, address, row, release_id=release_id)
    if as_json:
        put(found.as_plain())
    else:
        click.echo(str(found))


def explain(place: Place, table: Any, row: int = 0, *, release_id: str = "") -> Explanation:
    """Why a release, the newest if none is named, answers one row of a table as it does: exact shares of the margin.

    table: an address, or anything that speaks Arrow, as it arrived. row: its position, from 0.
    Raises Misuse when there is no such row or release, BadData when the row cannot be read as training read its own.
    """
    place = opened(place)
    model = find_release(place.releases, history.named(place.store, release_id)).model
    return explained(model, read(table, plugins=place.plugins()), row,
                     unit=place.project.data.units.get(model.sheet.target, ""))
