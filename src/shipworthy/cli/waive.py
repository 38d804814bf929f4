"""`shipworthy waive`: a named person accepts a row for a limited time; the row keeps its verdict."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from shipworthy.cli.talk import project_option, say
from shipworthy.core.evidence import WAIVED_DAYS
from shipworthy.deployment.integration.releases import history
from shipworthy.errors import Misuse, one_of
from shipworthy.store.workspace import Place, opened
from shipworthy.survey import BY_ID


@click.command()
@click.argument("row")
@project_option
@click.option("--by", required=True, help="Who accepts it; not the trainer.")
@click.option("--reason", required=True, help="Why.")
@click.option("--until", required=True, help="Last day it holds, as 2027-01-31; at most a year ahead.")
def command(row: str, folder: Path, by: str, reason: str, until: str) -> None:
    """Accept ROW although it is not proved. It stays what it is, and the release says so first."""
    waive(folder, row, by=by, reason=reason, until=until)
    say(f"{row} is accepted by {by} until {until}; it keeps its verdict, and every report names the waiver")


def waive(place: Place, row: str, *, by: str, reason: str, until: str) -> None:
    """Accept a row by name until a day (UTC) at most a year ahead, on record; it keeps its verdict.

    Raises Misuse; NotFit when `by` trained the newest release.
    """
    place = opened(place)
    if row not in BY_ID:
        raise Misuse(f'there is no row "{row}"', where="ROW", hint=one_of(row, BY_ID))
    try:
        last = date.fromisoformat(until)
    except ValueError as error:
        raise Misuse(f"{until!r} is not a day", where="--until", hint="write it as 2027-01-31") from error
    if not (by.strip() and reason.strip()):
        raise Misuse("a row is accepted only with a name and a reason", where="shipworthy waive",
                     hint="say --by and --reason")
    today = datetime.now(UTC).date()
    if not today <= last <= today + timedelta(days=WAIVED_DAYS):
        raise Misuse("a waiver ends between today and a year from now", where=f"--until {until}",
                     hint="choose a day within a year")
    history.not_by_trainer(place.store, by, trainer=place.project.project.trainer, act="accept a row of it")
    history.record(place.store, actor=by, role="accepter", action="waive",
                   subject={"row": row, "until": last.isoformat()}, why=reason)
