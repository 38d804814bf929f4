"""`shipworthy profile TABLE`: one pass over a table."""

from __future__ import annotations

import click

from shipworthy.cli.talk import json_option, put, rows_option, short
from shipworthy.data.analysis.profile import profile as look
from shipworthy.data.collection.read import read


@click.command()
@click.argument("address", metavar="TABLE")
@click.option("--target", default="", help="Look for columns that give this one away.")
@rows_option
@json_option
def command(address: str, target: str, rows: int, as_json: bool) -> None:
    """Look once at every cell of TABLE: types, gaps, distinct values, quantiles, suspects, personal data."""
    profile = look(read(address, rows=rows), target=target)
    if as_json:
        put(profile)
        return
    click.echo(f"{profile.rows:,} rows, {len(profile.columns)} columns, {profile.duplicates:,} duplicate rows")
    for column in profile.columns:
        notes = [f"{column.missing_share:.1%} missing"] if column.nulls else []
        notes += [f"personal: {column.personal}"] if column.personal else []
        notes += list(column.impossible)
        spread = (f"{short(column.minimum)} … {short(column.maximum)}" if column.minimum is not None
                  else ", ".join(f"{value} {share:.0%}" for value, share in column.frequent[:3]))
        click.echo(f"  {column.name:<28} {column.kind:<10} {column.distinct:>9,} distinct  {spread}  "
                   f"{'; '.join(notes)}")
    for suspect in profile.suspects:
        click.echo(f"  suspect: {suspect.column} ({suspect.kind}): {suspect.proof}")
