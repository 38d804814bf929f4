"""`shipworthy report`: the release report as one self-contained page."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import project_option


@click.command()
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the newest candidate by default.")
@click.option("-o", "--output", default="report.html", show_default=True, type=click.Path(path_type=Path))
def command(folder: Path, release_id: str, output: Path) -> None:
    """Write one HTML page: verdict first, then every row with its evidence. No network, prints well."""
    flow.report(folder, output, release_id=release_id)
    click.echo(str(output))
