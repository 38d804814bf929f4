"""`shipworthy promote`: make a candidate the champion."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import json_option, project_option, put, say
from shipworthy.store.workspace import open_workspace


@click.command()
@project_option
@click.option("--by", required=True, help="Who promotes: a name or address; not the trainer.")
@click.option("--why", required=True, help="The reason, kept in the ledger.")
@click.option("--release", "release_id", default="", help="Release id or its start; the newest candidate by default.")
@json_option
def command(folder: Path, by: str, why: str, release_id: str, as_json: bool) -> None:
    """Make a release candidate the champion. Refused (exit 1) until every required row holds or is waived."""
    release = flow.promote(open_workspace(folder), by=by, why=why, release_id=release_id)
    if as_json:
        put({"champion": release.id, "by": by, "why": why})
    else:
        say(f"champion is now {release.short} ({release.manifest.name}), promoted by {by}: {why}")
