"""`shipworthy sabotage`: plant every fault and see whether its check catches it."""

from __future__ import annotations

import sys

import click

from shipworthy import flow
from shipworthy.cli.talk import json_option, progress, put


@click.command()
@click.argument("address", default="")
@click.option("--target", default="", help="Target column, when a TABLE is given.")
@click.option("--twins", default=20, show_default=True, type=click.IntRange(1, 200), help="Clean twins per check.")
@click.option("--check", "only", multiple=True, help="Only this check; may be repeated.")
@json_option
def command(address: str, target: str, twins: int, only: tuple[str, ...], as_json: bool) -> None:
    """Run the bank on the clean world, or on TABLE: caught or missed, and false alarms over the clean twins."""
    with progress() as step:
        results = flow.bank(address, target=target, twins=twins, only=only, progress=step)
    caught = sum(result.caught for result in results)
    if as_json:
        put({"checks": results, "caught": caught, "planted": len(results)})
    else:
        for result in results:
            mark = "✓ caught" if result.caught else "✗ MISSED"
            click.echo(f"{mark}  {result.row:<32} {result.check:<26} {result.sabotage:<32} "
                       f"false alarms {result.false_alarms}/{result.twins}")
        click.echo(f"caught {caught} of {len(results)} ({caught / max(1, len(results)):.1%})")
    sys.exit(0 if caught == len(results) else 1)
