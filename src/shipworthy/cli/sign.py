"""`shipworthy sign`: say who sent a table, so that its reader can refuse what nobody sent."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy.cli.talk import say
from shipworthy.core.signed import new_key, public_of
from shipworthy.data.collection.signatures import sign_table
from shipworthy.store.files import write_bytes


@click.command()
@click.argument("tables", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--key", required=True, type=click.Path(path_type=Path),
              help="File of the private key; made, readable by its owner only, where there is none.")
@click.option("--by", required=True, help="Who sends it: a name or address.")
def command(tables: tuple[Path, ...], key: Path, by: str) -> None:
    """Sign TABLES, each in a file beside it; the public key is printed for [[source]] signer."""
    if not key.exists():
        write_bytes(key, new_key())
        key.chmod(0o600)
    secret = key.read_bytes()
    for table in tables:
        say(f"{table} is signed by {by}: {sign_table(table, key=secret, by=by).name}")
    click.echo(public_of(secret))
