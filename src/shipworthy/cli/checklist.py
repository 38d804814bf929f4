"""`shipworthy checklist`: every row of the survey with its evidence."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import changes, checklist, conclusion, json_option, project_option, put
from shipworthy.store.workspace import open_workspace


@click.command()
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the newest candidate by default.")
@json_option
def command(folder: Path, release_id: str, as_json: bool) -> None:
    """Every row: pass, fail, unknown, attested or not applicable; number, limit, and the one command that helps."""
    place = open_workspace(folder)
    evidence = flow.checklist(place, release_id)
    if as_json:
        put(
            {
                "fit": evidence.fit,
                "refusals": evidence.refusals,
                "required": evidence.required,
                "missing": evidence.missing,
                "changes": evidence.changes,
                "waivers": evidence.waivers,
                "stale": {finding.id: evidence.staleness(finding) for finding in evidence.stale()},
                "rows": [
                    {"row": row.id, "verdict": verdict, "findings": findings}
                    for row, verdict, findings in evidence.rows()
                ],
            }
        )
    else:
        click.echo("\n".join(checklist(evidence)))
        click.echo("\n".join(["", *changes(evidence), "* required for promotion", conclusion(evidence)]))
    sys.exit(0 if evidence.fit else 1)
