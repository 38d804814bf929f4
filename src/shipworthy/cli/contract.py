"""`shipworthy contract [BATCH]`: what every batch must hold, and whether one does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from shipworthy.cli.talk import json_option, project_option, put
from shipworthy.core.found import Breach, Contract
from shipworthy.core.table import Table
from shipworthy.data.analysis.contract import validate
from shipworthy.data.analysis.history import from_batches
from shipworthy.data.analysis.spoken import spoken
from shipworthy.data.collection.read import read
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases.release import stored
from shipworthy.deployment.integration.releases.shelf import find_release
from shipworthy.store.workspace import Place, opened


@click.command()
@click.argument("batch", metavar="[BATCH]", default="")
@click.option("--after", multiple=True, metavar="TABLE",
              help="A batch that was accepted, oldest first: learn from these, at least four, instead of a release.")
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the newest candidate by default.")
@json_option
def command(batch: str, after: tuple[str, ...], folder: Path, release_id: str, as_json: bool) -> None:
    """The rules that a batch must keep, those of a release or learnt from accepted batches; and which BATCH breaks.

    Exit 1 if it breaks any.
    """
    promised, table = promises(folder, batch, after=after, release_id=release_id)
    if table is None:
        rules = spoken(promised)
        if as_json:
            put([{"column": column, "kind": kind, "says": says} for column, kind, says in rules])
        else:
            click.echo("\n".join(f"{column or '(rows)':<28} {kind:<13} {says}" for column, kind, says in rules))
        return
    breaches = validate(promised, table)
    if as_json:
        put([{"column": one.rule.column, "kind": one.rule.kind, "says": one.sentence} for one in breaches])
    else:
        click.echo("\n".join(_lines(promised, breaches)))
    sys.exit(1 if breaches else 0)


def promises(
    place: Place, batch: Any = "", *, after: tuple[Any, ...] = (), release_id: str = ""
) -> tuple[Contract, Table | None]:
    """The rules of a release, the newest if none is named, or of accepted batches; and the batch, read as they read.

    after: addresses or tables, oldest first. Raises Misuse for fewer than four of them, or when there is no release.
    """
    if after:
        return from_batches([read(one) for one in after]), read(batch) if batch else None
    place = opened(place)
    release = find_release(place.releases, history.named(place.store, release_id))
    table = read(batch, plugins=place.plugins()) if batch else None
    return stored(release)["contract"], release.model.cleaned(table) if table is not None else None


def _lines(promised: Contract, breaches: tuple[Breach, ...]) -> list[str]:
    told = [f"✗ {one.sentence}" for one in breaches]
    return [*told, f"{len(breaches)} of {len(promised.rules)} rules are broken" if breaches else
            f"✓ all {len(promised.rules)} rules are kept"]
