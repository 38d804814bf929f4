"""`shipworthy rollback`: the previous champion becomes the champion again."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import project_option, say
from shipworthy.store.workspace import open_workspace


@click.command()
@project_option
@click.option("--by", required=True, help="Who rolls back.")
@click.option("--why", required=True, help="The reason, kept in the ledger.")
def command(folder: Path, by: str, why: str) -> None:
    """Make the previous champion the champion again; its digests are verified first.

    Anyone may, the trainer too; but who trained what was rolled back may not bring it back.
    """
    release = flow.rollback(open_workspace(folder), by=by, why=why)
    say(f"champion is again {release.short} ({release.manifest.name})")
