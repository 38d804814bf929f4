"""`shipworthy erase`: take people out of everything that a project keeps."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import json_option, progress, project_option, put, say
from shipworthy.deployment.integration.erasure.erase import Erasure, erase
from shipworthy.deployment.integration.erasure.subjects import wanted
from shipworthy.errors import NotFit
from shipworthy.store.workspace import Workspace, open_workspace


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@project_option
@click.option("--from", "file", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="A file with one id a line.")
@click.option("--column", "columns", multiple=True, help="A further column in which ids stand; may be repeated.")
@click.option("--backup", "backups", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
              help="A backup to be written again without them; may be repeated.")
@click.option("--by", required=True, help="Who does it.")
@click.option("--why", required=True, help="On what ground; never name the person.")
@click.option("--retrain", is_flag=True, help="Train anew where what answers learnt from them.")
@click.option("--approve", default="", metavar="NAME", help="Who promotes the model trained anew; not the trainer.")
@json_option
def command(
    ids: tuple[str, ...], folder: Path, *, file: Path | None, columns: tuple[str, ...], backups: tuple[Path, ...],
    by: str, why: str, retrain: bool, approve: str, as_json: bool,
) -> None:
    """Erase people by ID: of theirs, as in [data] identifiers, or of predictions made for them.

    Rows go from every version of every table, with what the tables' logs say of them; caches are cleared; releases that
    learnt from them are removed, and the champion is to be replaced. Sources are yours: delete there too, though rows
    of the erased are never learnt from again. Safe to repeat. Exit 0 if nothing is left, 1 if something waits.
    """
    place = open_workspace(folder)
    people = wanted(ids, file)

    def done() -> Erasure:
        return erase(place, people, by=by, why=why, columns=columns, backups=backups)

    found = done()
    if found.retrain and retrain:
        with progress() as step:
            release = flow.build(place, progress=step).release
        if approve:
            try:
                flow.promote(place, by=approve, why=f"erasure {found.request}", release_id=release.id)
                found = done()
            except NotFit as error:
                say(f"{release.short} is not promoted: {error.problem}")
    put(found) if as_json else _tell(place, found)
    sys.exit(0 if found.done else 1)


def _tell(place: Workspace, found: Erasure) -> None:
    rows = ", ".join(f"{count:,} rows of {name}" for name, count in found.rows.items()) or "no row that was still there"
    click.echo(f"request {found.request}: {rows}, {len(found.removed)} releases, {found.caches} caches, "
               f"{len(found.backups)} backups")
    for name in found.retrain:
        click.echo(f"? release {name[:16]} answers and learnt from them: promote another and erase again, or --retrain")
    for text in found.waiting:
        click.echo(f"? {text}")
    for name in found.left:
        click.echo(f"✗ still in {name}: delete it there, and erase again")
    if set(place.project.data.identifiers) <= set(place.project.data.personal):
        say("the log keeps no personal identifier: give the ids of predictions to reach what was answered")
    if found.done:
        click.echo("✓ nothing is left of them in this project")
