"""`shipworthy releases`: what is on the shelf, where names point, and releases that come, go and are taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shipworthy import flow
from shipworthy.cli.talk import json_option, project_option, put, say
from shipworthy.core.ledger import Line, moves, released
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases.collect import KEEP, collect, collect_tables
from shipworthy.deployment.integration.releases.folder import digests, read_all
from shipworthy.deployment.integration.releases.parcel import SUFFIX, export_release, import_release
from shipworthy.deployment.integration.releases.release import SIGNER, verify
from shipworthy.deployment.integration.releases.shelf import Shelved, find_release, shelf, size
from shipworthy.deployment.integration.releases.sign import fingerprint, trusted, whose
from shipworthy.store.workspace import Workspace, open_workspace

by_option = click.option("--by", required=True, help="Who does it: a name or address.")
why_option = click.option("--why", required=True, help="The reason, kept in the ledger.")
WHOSE = {"own": "this project's key", "trusted": "a trusted key", "stranger": "a stranger's key"}


@click.group(invoke_without_command=True)
@project_option
@json_option
@click.pass_context
def command(context: click.Context, folder: Path, as_json: bool) -> None:
    """List the releases, newest first: id, time, model, verdict when made, size, signer and the names pointing to it.

    What is listed is what the files say; `shipworthy releases show ID` proves it.
    """
    if context.invoked_subcommand:
        context.default_map = {name: {"folder": folder, "as_json": as_json} for name in command.commands}
        return
    place = open_workspace(folder)
    found = shelf(place.releases, history.ledger(place.store), place.key)
    if as_json:
        put(found)
        return
    for line in _table(found) or ["there is no release yet: shipworthy run"]:
        say(line)


@command.command()
@click.argument("release", default="")
@project_option
@json_option
def show(release: str, folder: Path, as_json: bool) -> None:
    """Prove RELEASE (id, start of one, alias; the newest by default): identity, files, signature, verdict, moves."""
    place = open_workspace(folder)
    about = _about(place, release)
    if as_json:
        put(about)
        return
    identity = about["identity"]
    say(f"{about['name']} {about['id']}")
    say(f"  made     {about['created']}, {about['bytes']:,} bytes in {len(about['files'])} files, at {about['folder']}")
    say(f"  is       code {identity.code[:16]} × model {identity.model[:16]} × data {identity.data[:16]}")
    say(f"  signed   by {WHOSE[about['whose']]}, fingerprint {about['signer']}")
    say(f"  verdict  {about['verdict']} with the waivers, the gate and the code of today")
    say(f"  aliases  {', '.join(about['aliases']) or 'none'}")
    for what, held, sentence in about["proved"]:
        say(f"  {'✓' if held else '✗'} {what}: {sentence}")
    for entry in about["ledger"]:
        say(f"  {_moved(entry)}")


@command.command("history")
@click.option("--alias", default="", help="Only the moves of this name; all names by default.")
@project_option
@json_option
def past(alias: str, folder: Path, as_json: bool) -> None:
    """Every move of a name from release to release: when, who, why, on what evidence; the ledger is checked first."""
    lines = moves(history.unbroken(open_workspace(folder).store), alias)
    if as_json:
        put(lines)
        return
    for entry in lines:
        say(_moved(entry))


@command.command()
@click.argument("alias")
@click.argument("release")
@by_option
@why_option
@project_option
def point(alias: str, release: str, by: str, why: str, folder: Path) -> None:
    """Let ALIAS, such as challenger, point to RELEASE (id, start of one, or another alias)."""
    place = open_workspace(folder)
    found = flow.candidate(place, release)
    history.point(place.store, alias, found, by=by, why=why)
    say(f"{alias} is now {found.short} ({found.manifest.name})")


@command.command()
@click.argument("alias")
@by_option
@why_option
@project_option
def drop(alias: str, by: str, why: str, folder: Path) -> None:
    """Take ALIAS away; the release that it points to stays."""
    history.drop(open_workspace(folder).store, alias, by=by, why=why)
    say(f"{alias} points to nothing")


@command.command()
@click.option("--keep", default=KEEP, show_default=True, type=click.IntRange(min=1),
              help="How many of the newest stay whatever they are.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and take nothing away.")
@click.option("--by", default="gc", show_default=True, help="Who does it: a name or address.")
@project_option
@json_option
def gc(keep: int, dry_run: bool, by: str, folder: Path, as_json: bool) -> None:
    """Take away the releases that nothing needs, and old files of tables; says of each release why it stays."""
    place = open_workspace(folder)
    found = collect(place.store, place.releases, place.log, keep=keep, by=by, dry_run=dry_run)
    files = {} if dry_run else collect_tables(place.store, place.releases)
    gone = [fate for fate in found if not fate.stays]
    if as_json:
        put({"stays": [fate for fate in found if fate.stays], "gone": gone, "dry_run": dry_run, "table_files": files})
        return
    for fate in found:
        told = "; ".join(fate.stays) if fate.stays else "would go" if dry_run else "gone"
        say(f"{fate.folder}  {_bytes(fate.bytes):>8}  {told}")
    say(f"{len(gone)} of {len(found)} releases {'would go' if dry_run else 'are gone'}, "
        f"{_bytes(sum(fate.bytes for fate in gone))}; {sum(files.values())} old files of tables deleted")


@command.command("export")
@click.argument("release", default="")
@click.option("--output", "-o", default=None, type=click.Path(path_type=Path),
              help=f"The file to write; ID{SUFFIX} by default.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@project_option
@json_option
def export_(release: str, output: Path | None, folder: Path, *, force: bool, as_json: bool) -> None:
    """Write RELEASE (id, start of one, alias; the newest by default) as one file; equal releases give equal bytes."""
    place = open_workspace(folder)
    found = find_release(place.releases, history.named(place.store, release))
    path = export_release(found, output or Path(f"{found.id[:16]}{SUFFIX}"), force=force)
    signer = fingerprint((found.folder / SIGNER).read_bytes())
    if as_json:
        put({"release": found.id, "file": str(path), "bytes": path.stat().st_size, "signer": signer})
        return
    say(f"{path}: {found.manifest.name} {found.short}, {_bytes(path.stat().st_size)}")
    say(f"signed by the key with the fingerprint {signer}; tell it to the receiver by another way than the file")


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", default=None, type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="The public key (PEM) that must have signed it; by default anybody may have, and is told.")
@click.option("--by", default="import", show_default=True, help="Who brings it in: a name or address.")
@project_option
@json_option
def import_(file: Path, key: Path | None, by: str, folder: Path, as_json: bool) -> None:
    """Bring in a release from FILE, proved before anything is kept; no code in it is run, whoever sent it."""
    place = open_workspace(folder)
    told = import_release(place.store, place.releases, file, by=by, key=key.read_bytes() if key else None)
    if as_json:
        put(told)
        return
    say(f"{told.name} {told.release[:12]} {'came in' if told.new else 'was here already'}, signed by "
        f"{WHOSE[told.whose]}")
    say(f"fingerprint of the key: {told.signer}")
    if told.whose == "stranger":
        say("it is not promoted unless you trust the key: compare the fingerprint with its owner, then: "
            "shipworthy releases trust KEY --by YOU --why REASON")


@command.command()
@click.argument("key", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@by_option
@why_option
@project_option
def trust(key: Path, by: str, why: str, folder: Path) -> None:
    """Trust another project's public KEY (.shipworthy/keys/signing.pem.pub): what it signed may be promoted here."""
    found = history.trust(open_workspace(folder).store, key.read_bytes(), by=by, why=why)
    say(f"trusted: the key with the fingerprint {found}")


def _about(place: Workspace, text: str) -> dict[str, Any]:
    release = find_release(place.releases, history.named(place.store, text))
    lines, files = history.ledger(place.store), read_all(release.folder)
    evidence, signer = flow.current_evidence(place, release), whose(place.key, files[SIGNER])
    return {
        "id": release.id, "name": release.manifest.name, "created": release.manifest.created,
        "folder": str(release.folder), "bytes": size(release.folder), "identity": release.manifest.identity,
        "verdict": "fit" if evidence.fit else f"not fit ({', '.join(evidence.refusals)})",
        "aliases": sorted(alias for alias, id in history.aliases(place.store).items() if id == release.id),
        "signer": fingerprint(files[SIGNER]), "whose": signer,
        "proved": verify(release.folder, key=None if signer == "stranger" else trusted(place.key)),
        "files": digests(files),
        "ledger": [entry for entry in lines if release.id in (released(entry), entry["subject"].get("before"))],
    }


def _table(found: list[Shelved]) -> list[str]:
    rows = [[one.folder, one.created[:16].replace("T", " "), one.learner, one.verdict or one.problem,
             _bytes(one.bytes), one.signer, ", ".join(one.aliases)] for one in found]
    head = ["release", "made", "model", "verdict when made", "size", "signer", "aliases"]
    wide = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    every = [head, *rows] if rows else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip() for row in every]


def _moved(entry: Line) -> str:
    """A line of the ledger for a person."""
    subject = entry["subject"]
    ends = [str(subject.get(end, ""))[:12] or "nothing" for end in ("before", "release")]
    way = f" {subject['alias']}: {ends[0]} → {ends[1]}" if "alias" in subject else f" {ends[1]}"
    proof = f", evidence {entry['evidence'][:12]}" if entry.get("evidence") else ""
    why = entry["why"] or "no reason given"
    return f"{entry['at'][:19]}  {entry['action']}{way}, by {entry['actor']}: {why}{proof}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.0f} kB"
