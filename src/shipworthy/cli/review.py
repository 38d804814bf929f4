"""`shipworthy review`: what users said about the requirements, on record; and the record itself."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy.assurance.involvement import ACTION, OUTCOMES, subject
from shipworthy.cli.talk import json_option, project_option, put, say
from shipworthy.core.tickets import read_tickets
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases.book import LEDGER
from shipworthy.errors import Misuse
from shipworthy.store.workspace import open_workspace


@click.group()
def command() -> None:
    """Put on record what users said about the requirements, and read what they posted to the server."""


@command.command()
@project_option
@click.option("--requirement", required=True, help="Which: its metric, or metric:column=value, as auc:sex=female.")
@click.option("--with", "participant", required=True, help="The user, or the group of users.")
@click.option("--outcome", required=True, type=click.Choice(OUTCOMES), help="What became of the requirement.")
@click.option("--words", required=True, help="What was said, in a sentence.")
@click.option("--by", required=True, help="Who held the review.")
@click.option("--ticket", default="", help="Id of the feedback that it answers.")
def record(folder: Path, *, requirement: str, participant: str, outcome: str, words: str, by: str,
           ticket: str) -> None:
    """Record one review with a user, linked to a requirement; it is judged at the next run."""
    place = open_workspace(folder)
    known = {one.id for one in read_tickets(place.log)}
    if ticket and ticket not in known:
        raise Misuse(f'there is no ticket "{ticket}"', where="--ticket", hint="see: shipworthy review tickets")
    line = history.record(place.store, actor=by, role="reviewer", action=ACTION, why=words,
                          subject=subject(place.project, requirement, participant, outcome, ticket))
    say(f"line {line['n']} of the ledger: {requirement} {outcome} with {participant}")


@command.command()
@project_option
@json_option
def tickets(folder: Path, as_json: bool) -> None:
    """List what was posted to the server, oldest first, and which review answers it."""
    place = open_workspace(folder)
    answered = {line["subject"].get("ticket"): line["n"] for line in history.ledger(place.store)
                if line.get("action") == ACTION}
    found = read_tickets(place.log)
    if as_json:
        put([{"ticket": one, "answered": answered.get(one.id)} for one in found])
        return
    for one in found:
        mark = f"answered in line {answered[one.id]}" if one.id in answered else "open"
        click.echo(f"{one.id}  {one.at[:16]}  {mark}  {one.by or one.caller or 'somebody'}: {one.words}")
    if not found:
        say("nobody has posted anything to /v1/feedback")


@command.command()
@project_option
def ledger(folder: Path) -> None:
    """Print the ledger, a line of JSON each; `python -m shipworthy.core.chain FILE` verifies it without any library."""
    path = open_workspace(folder).store.home / LEDGER
    click.echo(path.read_text("utf-8") if path.is_file() else "", nl=False)
