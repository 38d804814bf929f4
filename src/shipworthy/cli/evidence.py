"""`shipworthy evidence`: what was found, for other people's tools; and why some of it counts no longer."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from shipworthy import flow
from shipworthy.assurance.law.packs import chosen
from shipworthy.cli.talk import json_option, project_option, put, say
from shipworthy.deployment.integration.releases.shelf import project_key
from shipworthy.deployment.integration.releases.sign import envelope, fingerprint, public_bytes
from shipworthy.exchange.attestations import declarations, result_statement, summary_statement
from shipworthy.store.files import write_bytes
from shipworthy.store.workspace import open_workspace

release_option = click.option("--release", "release_id", default="",
                              help="Release id or folder; the newest candidate by default.")
FILES = ("test-result.intoto.json", "verification-summary.intoto.json", "declarations.cdx.json")


@click.group()
def command() -> None:
    """Give the evidence about a release to other tools, or say why some of it counts no longer."""


@command.command()
@project_option
@release_option
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path, file_okay=False),
              help="The folder to write into.")
def export(folder: Path, release_id: str, output: Path) -> None:
    """Write an in-toto test result and a verification summary, both signed (DSSE), and CycloneDX declarations.

    They say what the checklist says today, with its waivers and what is stale: unknown and attested are warnings, and
    a clause of a rule pack is as much of a requirement as a row.
    """
    place = open_workspace(folder)
    release = flow.candidate(place, release_id)
    evidence, manifest = flow.current_evidence(place, release), release.manifest
    key = project_key(place.key)
    statements = [result_statement(evidence, manifest), summary_statement(evidence, manifest)]
    name = fingerprint(public_bytes(key))
    files = [envelope(one, key=key, keyid=name) for one in statements]
    files.append(declarations(evidence, manifest, packs=chosen(place.project, place.folder),
                              by=place.project.project.owner))
    output.mkdir(parents=True, exist_ok=True)
    for file, content in zip(FILES, files, strict=True):
        write_bytes(output / file, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
        click.echo(output / file)
    say(f"signed by the key with the fingerprint {name}")


@command.command()
@project_option
@release_option
@json_option
def stale(folder: Path, release_id: str, as_json: bool) -> None:
    """Say which findings count no longer, by cause: other code, model, data or rule packs, or age."""
    evidence = flow.checklist(open_workspace(folder), release_id)
    causes = evidence.causes()
    if as_json:
        put({cause: [finding.id for finding in findings] for cause, findings in causes.items()})
        return
    for cause, findings in causes.items():
        click.echo(f"{cause}: {len(findings)} findings")
        for finding in findings:
            click.echo(f"  {finding.id}: {evidence.staleness(finding)}")
    say("judge again: shipworthy run" if causes else f"all {len(evidence.findings)} findings count")
