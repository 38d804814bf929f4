"""`shipworthy party`: answer for rows that another project learns from, with masked sums only."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy.cli.talk import say
from shipworthy.learning.privacy.federated.lines import address, context, make_key
from shipworthy.learning.privacy.federated.party import join as join_in


@click.group()
def command() -> None:
    """Answer for rows that another project learns from, with masked sums only."""


@command.command()
@click.argument("name")
def key(name: str) -> None:
    """Make NAME.pem, which stays here, and NAME.crt, by which the other end will know you."""
    secret, public = make_key(name, Path.cwd())
    click.echo(public)
    say(f"keep {secret.name} for yourself; hand {public.name} to the other end by a way that nobody can change")


@command.command()
@click.option("--data", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Your rows: Parquet.")
@click.option("--connect", required=True, help="Where the project listens: host:port.")
@click.option("--key", "own", required=True, type=click.Path(path_type=Path), help="Your NAME.pem.")
@click.option("--project", "other", required=True, type=click.Path(path_type=Path), help="The project's .crt file.")
@click.option("--seconds", default=600.0, show_default=True, help="End when the project has not listened for so long.")
def join(*, data: Path, connect: str, own: Path, other: Path, seconds: float) -> None:
    """Call the project and answer, training after training; the number that ended as they should goes to stdout."""
    click.echo(join_in(data, address(connect, "--connect"), context(own, [other], server=False), seconds=seconds,
                       told=say))
