"""`shipworthy report`: the release report as one self-contained page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from shipworthy import flow
from shipworthy.cli.talk import project_option
from shipworthy.core.evidence import Evidence
from shipworthy.core.release import Release
from shipworthy.exchange.report import page
from shipworthy.store.files import write_bytes
from shipworthy.store.workspace import Place, Workspace, opened


@click.command()
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the newest candidate by default.")
@click.option("-o", "--output", default="report.html", show_default=True, type=click.Path(path_type=Path),
              help="HTML file to write.")
def command(folder: Path, release_id: str, output: Path) -> None:
    """Write one HTML page: verdict first, then every row with its evidence. No network, prints well."""
    click.echo(str(report(folder, output, release_id=release_id)))


def report(place: Place, output: Path | str = "report.html", *, release_id: str = "") -> Path:
    """The file that the report of a release, the newest if none is named, is written to: one page, complete in itself.

    Raises Misuse when there is no such release, BadRelease when it is not what this project made and signed.
    """
    place, output = opened(place), Path(output)
    release = flow.candidate(place, release_id)
    write_bytes(output.absolute(), release_page(place, release, flow.current_evidence(place, release)).encode())
    return output


def release_page(place: Workspace, release: Release, evidence: Evidence, **more: Any) -> str:
    """The page of a release; more: further facts, such as the story of a demo."""
    about = place.project.project
    ladder = msgspec.json.decode((release.folder / "ladder.json").read_bytes())
    facts = {"purpose": about.purpose, "owner": about.owner, **ladder, **more}
    return page(evidence, release.manifest, facts=facts)
