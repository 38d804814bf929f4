"""`shipworthy run`: table to release candidate."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import checklist, conclusion, json_option, progress, project_option, put, say
from shipworthy.store.workspace import open_workspace


@click.command()
@project_option
@json_option
def command(folder: Path, as_json: bool) -> None:
    """Table to release candidate: progress, cost, and the checklist at the end. Exit 0 if it is fit, 1 if not."""
    place = open_workspace(folder)
    with progress() as step:
        built = flow.build(place, progress=step)
    if as_json:
        put({"release": built.release.id, "fit": built.release.evidence.fit, "evidence": built.release.evidence,
             "cost": built.learned.cost})
    else:
        for line in checklist(built.release.evidence, everything=False):
            say(line)
        cost = built.learned.cost
        say()
        say(f"chosen: {built.learned.why}")
        say(f"cost: {cost.wall_seconds:.0f} s, {cost.cpu_seconds:.0f} CPU-s, {cost.peak_bytes / 1e9:.1f} GB, "
            f"{cost.kwh_low * 1000:.2f} to {cost.kwh_high * 1000:.2f} Wh, {cost.money:.4f} {cost.currency}")
        say(conclusion(built.release.evidence))
        click.echo(str(built.release.folder))
        if not place.project.project.trainer.strip():
            say('it cannot be promoted before [project] trainer = "…" says who made it, and another run')
        refused = built.release.evidence.refusals
        say(f"next: mend what is refused, see shipworthy checklist {refused[0]} · shipworthy report" if refused else
            "next: shipworthy checklist · shipworthy report · shipworthy promote --by NAME --why REASON")
    sys.exit(0 if built.release.evidence.fit else 1)
