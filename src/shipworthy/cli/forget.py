"""`shipworthy forget`: remove rows that have expired."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy.cli.talk import json_option, project_option, put, say
from shipworthy.deployment.integration.erasure.expire import forget
from shipworthy.store.workspace import open_workspace


@click.command()
@project_option
@click.option("--by", default="keeper", show_default=True, help="Who does it.")
@json_option
def command(folder: Path, by: str, as_json: bool) -> None:
    """Remove every row older than [data] retention_days from tables, log and labels, with the versions that held it.

    A server's keeper does the same once a day. Rows of releases stay with them: shipworthy releases clears those away.
    """
    done = forget(open_workspace(folder), by=by)
    if as_json:
        put(done)
        return
    for name, count in done.rows.items():
        click.echo(f"{count:,} rows of {name}")
    say(f"removed {sum(done.rows.values()):,} rows from before {done.before}")
    for reason in done.pinned:
        say(f"an old version stays for {reason}")
