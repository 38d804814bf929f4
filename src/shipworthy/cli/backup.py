"""`shipworthy backup`: a project as one file."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy.cli.talk import project_option, say
from shipworthy.deployment.integration.backups.backup import back_up
from shipworthy.store.workspace import open_workspace


@click.command()
@project_option
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help="The file to write; it must not exist.")
@click.option("--with-keys", "keys", is_flag=True, help="With the private keys: keep the file as you keep them.")
def command(folder: Path, output: Path, keys: bool) -> None:
    """Copy a project into one file while servers answer: every answer acknowledged before is in it.

    In it: project file, plugins, releases, attestations, ledger, tokens (hashed), records, tables and log. Not in it:
    the sources of data, certificates, and private keys unless asked for.
    """
    made = back_up(open_workspace(folder), output, keys=keys)
    click.echo(output)
    say(f"{len(made.files):,} files, {made.size / 2**20:,.1f} MB, {'with' if keys else 'without'} private keys; "
        f"as of {made.at}")
    say(f"try: shipworthy restore {output} --into FOLDER")
