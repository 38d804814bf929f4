"""`shipworthy law`: every clause of the chosen rule packs, its evidence, and where it stands."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from shipworthy import flow
from shipworthy.assurance.law.clauses import Standing, standings
from shipworthy.assurance.law.packs import chosen, load, shipped
from shipworthy.assurance.law.purpose import seems, suggested
from shipworthy.cli.talk import json_option, project_option, put, say
from shipworthy.core.evidence import Judged
from shipworthy.core.pack import Pack
from shipworthy.store.workspace import open_workspace

SIGNS = {"answered": "✓", "attested": "✎", "open": "…", "unanswered": "?", "failed": "✗"}
HOLDS = ("answered", "attested", "repealed", "not yet in force", "does not apply")


@click.command()
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the newest candidate by default.")
@click.option("--packs", "listing", is_flag=True, help="Only list the rule packs there are.")
@click.option("--all", "everything", is_flag=True, help="Also the clauses that do not apply or are not in force.")
@json_option
def command(folder: Path, release_id: str, *, listing: bool, everything: bool, as_json: bool) -> None:
    """Every clause of the rule packs in [law]: evidence, verdict, owner and due date of what is open.

    Exit 0 if every clause in force that applies is answered by fresh evidence of the release, 1 if not. A rule pack is
    what we understood, in our words: it needs legal review, and it is not legal advice.
    """
    if listing:
        _list([load(name) for name in shipped()], as_json=as_json)
        return
    place = open_workspace(folder)
    packs = chosen(place.project, place.folder)
    if not packs:
        reasons = "; ".join(f"{use} ({words})" for use, words in seems(place.project).items())
        say(f"no rule pack is chosen; the purpose speaks of {reasons or 'nothing in particular'}")
        say(f"look at: {', '.join(suggested(place.project))}, then in [law] write packs = […]")
        sys.exit(1)
    release = flow.candidate(place, release_id)
    made = release.manifest.identity
    found = standings(place.project, packs, release.evidence, Judged(made.code, made.model, made.data))
    shown = [one for one in found if everything or one.state in SIGNS]
    if as_json:
        put({"release": release.id, "packs": packs, "clauses": shown})
    else:
        for pack in packs:
            click.echo("\n".join(_lines(pack, [one for one in shown if one.pack == pack.id])))
        count = Counter[str](one.state for one in found)
        click.echo(", ".join(f"{count[state]} {state}" for state in (*SIGNS, *HOLDS[2:]) if count[state]))
    drafts = any(pack.status == "draft" for pack in packs)
    sys.exit(0 if not drafts and all(one.state in HOLDS for one in found) else 1)


def _lines(pack: Pack, found: Sequence[Standing]) -> list[str]:
    checked = "checked against the official text" if pack.checked_against_official else "needs legal review"
    lines = [f"{pack.id} · {pack.title} · {pack.status}, as of {pack.as_of}, fresh until {pack.fresh_until}, {checked}"]
    for one in found:
        due = f" (due {one.due}, {one.owner})" if one.due else ""
        lines += [f"  {SIGNS.get(one.state, '·')} {one.state:<12} {one.ref:<20} {one.text}",
                  f"      {', '.join(one.evidence)}: {one.why}{due}"]
    return [*lines, ""]


def _list(packs: Sequence[Pack], *, as_json: bool) -> None:
    if as_json:
        put(packs)
        return
    for pack in packs:
        click.echo(f"{pack.id:<18} {pack.status:<8} as of {pack.as_of}, from {pack.effective_from}  {pack.title}")
