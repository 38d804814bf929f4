"""`shipworthy demo`: the whole way on bundled data."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy.cli.talk import progress, say


@click.command()
@click.option("--folder", default="shipworthy-demo", show_default=True, type=click.Path(path_type=Path),
              help="Where the demo project is made.")
@click.option("--seconds", default=60.0, show_default=True, help="Learning budget in seconds.")
def command(folder: Path, seconds: float) -> None:
    """From five raw tables of New York flights to a released, served, watched and renewed model."""
    from shipworthy.flow.demo import demo

    with progress() as step:
        screen, report = demo(folder, seconds=seconds, progress=step)
    click.echo(screen)
    say()
    click.echo(f"report: {report}")
