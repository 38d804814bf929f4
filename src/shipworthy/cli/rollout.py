"""`shipworthy rollout`: a challenger takes over stage by stage, or is taken back."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy import rollouts
from shipworthy.cli.talk import SIGNS, json_option, project_option, put, say
from shipworthy.deployment.integration.rollout.rollout import Decision, Rolling, stages
from shipworthy.store.workspace import open_workspace

by_option = click.option("--by", required=True, help="Who says so: a name or address.")
why_option = click.option("--why", required=True, help="The reason, kept in the ledger.")


@click.group()
def command() -> None:
    """Let a challenger take over share by share, as [rollout] plans it, and take it back by itself if it harms."""


@command.command()
@click.argument("release_id", metavar="RELEASE", default="")
@project_option
@by_option
@why_option
@json_option
def start(release_id: str, folder: Path, *, by: str, why: str, as_json: bool) -> None:
    """Begin with a release, by id or its start; the newest candidate by default.

    Refused (exit 1) until it could be promoted. Who begins promotes it in the end: not its trainer.
    """
    known = rollouts.start(open_workspace(folder), by=by, why=why, release_id=release_id)
    if as_json:
        put(known)
    else:
        say(f"{_stage(known)}; then one look at a time: shipworthy rollout step")


@command.command()
@project_option
@json_option
def status(folder: Path, as_json: bool) -> None:
    """Say where the rollout is, what each guardrail finds, and what a step would do. Moves nothing."""
    known, found = rollouts.status(open_workspace(folder))
    if as_json:
        put({"rollout": known, "decision": found})
        return
    click.echo(_stage(known) if known else
               "there was no rollout yet; begin one: shipworthy rollout start --by NAME --why REASON")
    for line in lines(found) if found else ():
        click.echo(line)


@command.command()
@project_option
@json_option
def step(folder: Path, as_json: bool) -> None:
    """Look once and do what follows: go on, wait, take back, or promote. For a scheduler. Exit 1 when taken back."""
    found = rollouts.step(open_workspace(folder))
    if as_json:
        put(found)
    else:
        for line in lines(found):
            click.echo(line)
    sys.exit(1 if found.action in ("back", "timeout") else 0)


@command.command()
@project_option
@by_option
@why_option
def stop(folder: Path, by: str, why: str) -> None:
    """End it by hand: the champion answers everything."""
    known = rollouts.stop(open_workspace(folder), by=by, why=why)
    say(f"stopped by {by}: {why}; {known.champion.release[:12]} answers everything")


def lines(found: Decision) -> list[str]:
    """What a person reads: what was decided and why, then every guardrail."""
    told = {"advance": f"ADVANCE to {found.share:.0%}", "hold": f"HOLD at {found.share:.0%}", "back": "TAKEN BACK",
            "timeout": "TAKEN BACK", "stop": "STOPPED", "done": "DONE", "none": "NOTHING TO DO"}[found.action]
    return [f"{told}: {found.reason}",
            *(f"  {SIGNS[each.verdict]:<10} {each.check.removeprefix('rollout-'):<14} {each.sentence}"
              for each in found.findings)]


def _stage(known: Rolling) -> str:
    who = f"rollout of {known.challenger.release[:12]} by {known.by}"
    if known.ended:
        return f"{who}: ended ({known.ended.removeprefix('rollout ')}): {known.reason}"
    mode, share = stages(known.plan)[known.stage]
    asked = "asked beside the champion, its answers are kept" if mode == "shadow" else f"answers {share:.0%}"
    return f"{who}: stage {known.stage + 1} of {len(stages(known.plan))}, {asked}"
