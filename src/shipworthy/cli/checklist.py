"""`shipworthy checklist`: every row of the survey with its evidence, or one row in depth."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli import depth
from shipworthy.cli.talk import changes, checklist, conclusion, json_option, project_option, put
from shipworthy.core.evidence import Evidence
from shipworthy.core.registry import Marked
from shipworthy.errors import Misuse, one_of
from shipworthy.store.workspace import open_workspace
from shipworthy.survey import BY_ID


@click.command()
@click.argument("row", required=False, default="")
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the newest candidate by default.")
@click.option("--all", "everything", is_flag=True, help="Also why nothing has judged the rows that nothing judged.")
@json_option
def command(row: str, folder: Path, release_id: str, everything: bool, as_json: bool) -> None:
    """Every row: pass, fail, unknown, attested or not applicable; number, limit, and the one command that helps.

    With ROW, such as ethics.bias, that row in depth: what each check judges, its settings and figures, a counterexample
    and the figures of its chart. Exit 0 if the release (or ROW) holds or is accepted by name, 1 if not.
    """
    if row and row not in BY_ID:
        raise Misuse(f'there is no row "{row}"', where="ROW", hint=one_of(row, BY_ID))
    place = open_workspace(folder)
    evidence = flow.checklist(place, release_id)
    if row:
        sys.exit(_one(evidence, row, place.registry.checks, as_json=as_json))
    if as_json:
        put(evidence.as_data())
    else:
        click.echo("\n".join(checklist(evidence, unjudged=everything)))
        click.echo("\n".join(["", *changes(evidence), "* required for promotion", conclusion(evidence)]))
    sys.exit(0 if evidence.fit else 1)


def _one(evidence: Evidence, row: str, checks: dict[str, Marked], *, as_json: bool) -> int:
    """Tell one row; 0 if it holds or is accepted, 1 if not."""
    if as_json:
        put(depth.as_data(evidence, row, checks))
    else:
        click.echo("\n".join(depth.as_lines(evidence, row, checks)))
    return 0 if row in evidence.waived() or evidence.holds(row) else 1
