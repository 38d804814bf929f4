"""`shipworthy drill`: do an act on purpose, on a project of its own, and keep what it proved."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy import drills
from shipworthy.assurance.law.drilled import erasure_drill
from shipworthy.cli.talk import SIGNS, json_option, progress, project_option, put, say
from shipworthy.store.workspace import open_workspace


@click.command()
@click.argument("act", type=click.Choice(["erasure"]))
@project_option
@json_option
def command(act: str, folder: Path, as_json: bool) -> None:
    """Erasure: 200 people go the whole way in a small project, are erased, and are searched for in every byte.

    Rows, serving, labels, caches, a backup and the model are all real; the next `shipworthy run` judges the outcome.
    Under a minute. Exit 0 if no trace was left.
    """
    place = open_workspace(folder)
    with progress() as step:
        found = drills.erasure(progress=step)
    kept = drills.keep(place, found)
    finding = erasure_drill((found,))
    if as_json:
        put(found)
    else:
        click.echo(f"{SIGNS[finding.verdict]}  {finding.sentence}")
        for hit in found.hits[:20]:
            click.echo(f"  {hit}")
    say(f"kept: {kept}")
    sys.exit(0 if finding.verdict == "pass" else 1)
