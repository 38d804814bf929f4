"""`shipworthy attest`: sign what only a person can say."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy.assurance.attest import asked, duties
from shipworthy.assurance.attest import attest as put_on_record
from shipworthy.cli.talk import project_option, say
from shipworthy.core.signed import new_key
from shipworthy.deployment.integration.releases import history
from shipworthy.store.files import write_bytes
from shipworthy.store.workspace import Place, opened


@click.command()
@click.argument("row")
@project_option
@click.option("--topic", default="", help="Which of the row's statements, such as impact-assessment.")
@click.option("--by", required=True, help="Who says so; not the trainer.")
@click.option("--role", required=True, help="In which role, such as legal or owner.")
@click.option("--sentence", required=True, help="What is attested.")
@click.option("--until", required=True, help="Last day it holds, as 2027-01-31.")
def command(row: str, folder: Path, *, topic: str, by: str, role: str, sentence: str, until: str) -> None:
    """Attest ROW: signed, dated, expiring, and reported apart from what was proved."""
    attest(folder, row, by=by, role=role, sentence=sentence, until=until, topic=topic)
    say(f"{row} is attested by {by} until {until}; it is judged at the next run")


def attest(place: Place, row: str, *, by: str, role: str, sentence: str, until: str, topic: str = "") -> None:
    """Sign what only a person can say of a row, until a day (UTC); it is judged at the next build.

    topic: which of the row's statements, such as impact-assessment. Raises Misuse; NotFit when `by` trained the newest
    release; StoreError in a copy without its keys.
    """
    place = opened(place)
    history.must_sign(place.store)
    asked(row, topic, duties(place.registry.checks, place.project.checks))
    history.not_by_trainer(place.store, by, trainer=place.project.project.trainer, act="attest a row of it")
    path = place.store.home / "keys" / "attest.key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, new_key())
        path.chmod(0o600)
    put_on_record(place.folder, row, by, role, sentence, expires=until, key=path.read_bytes(), topic=topic)
