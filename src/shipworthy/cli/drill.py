"""`shipworthy drill`: attack a release as an enemy would, or erase made-up people; what came of it, and what helps."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from shipworthy import drills, flow
from shipworthy.assurance.backdoors import triggers_found
from shipworthy.assurance.law.drilled import erasure_drill
from shipworthy.assurance.remedy import remedied
from shipworthy.cli.chosen import chosen
from shipworthy.cli.depth import told
from shipworthy.cli.talk import SIGNS, json_option, progress, project_option, put, say
from shipworthy.core.evidence import Finding, Judged
from shipworthy.core.judge import run
from shipworthy.data.preprocessing.same import joined_labels
from shipworthy.deployment.integration.access.live import one_too_many
from shipworthy.deployment.integration.access.tokens import most_rows_a_day
from shipworthy.deployment.integration.log.drain import drained_log
from shipworthy.deployment.monitoring.loop_drill import loop_drill
from shipworthy.store.workspace import Workspace, open_workspace

release_option = click.option("--release", "release_id", default="",
                              help="Release to attack, by id, its start, alias or folder; the champion by default.")


@click.group()
def command() -> None:
    """Attack a release as an enemy would, or erase made-up people: what came of it, and what helps.

    Exit 1 if a drill fails.
    """


@command.command()
@project_option
@release_option
@click.option("--remedy", is_flag=True, help="Also train small trees that remember little, and attack those.")
@json_option
def membership(folder: Path, release_id: str, remedy: bool, as_json: bool) -> None:
    """Tell who was in the training data, by 24 shadow models on 6,000 rows; a minute at most.

    With --remedy the exit code is that of the remedied model, and what it costs is printed.
    """
    place, case = opened(folder, release_id)
    found = drilled(place, case, "membership", rows=6_000, shadows=24)
    if remedy:
        if not as_json:
            show(found)
        case = {**case, **remedied(case)}
        found = drilled(place, case, "membership", rows=6_000, shadows=24)
        say(f'{case["price"]}; to keep it: [learning] cautious = true, learners = ["boosted"], then: shipworthy run')
    conclude([found], as_json)


@command.command()
@project_option
@release_option
@json_option
def attributes(folder: Path, release_id: str, as_json: bool) -> None:
    """Guess every protected and personal column with and without asking the model."""
    place, case = opened(folder, release_id)
    conclude([drilled(place, case, "attributes", rows=20_000)], as_json)


@command.command()
@project_option
@release_option
@json_option
def extraction(folder: Path, release_id: str, as_json: bool) -> None:
    """Copy the model from as many answers as one caller may have, ask a server for one row too many, and see whether
    secret rows would show a copy for what it is."""
    place, case = opened(folder, release_id)
    case = {**case, "quota": most_rows_a_day(place.store.home, place.project.serve)}
    found = [drilled(place, case, "extraction", queries=10_000), drilled(place, case, "ownership")]
    live = one_too_many(place.project, case["release"], case["parts"])
    conclude([*found, replace(live, check="quota-live", row="security.stealing")], as_json)


@command.command()
@project_option
@release_option
@json_option
def flips(folder: Path, release_id: str, as_json: bool) -> None:
    """Turn 3 % of the labels and look for them among the most suspicious 5 % of rows."""
    place, case = opened(folder, release_id)
    conclude([drilled(place, case, "flips-found", rows=8_000)], as_json)


@command.command()
@project_option
@release_option
@json_option
def triggers(folder: Path, release_id: str, as_json: bool) -> None:
    """Plant backdoors in a copy of half of the learning rows, and search it as every new batch is searched."""
    _, case = opened(folder, release_id)
    with progress() as step:
        step("drill: triggers")
        found = triggers_found(case["model"], case["parts"])
    conclude([replace(found, check="triggers-found", row="security.poisoning")], as_json)


@command.command()
@project_option
@release_option
@click.option("--by", default="", help="Column that names the source of a row; by default shares in the order of time.")
@json_option
def influence(folder: Path, release_id: str, by: str, as_json: bool) -> None:
    """Train again without each source or batch, and see how far protected groups are moved."""
    place, case = opened(folder, release_id)
    conclude([drilled(place, case, "source-influence", rows=20_000, batches=8, **({"by": by} if by else {}))], as_json)


@command.command()
@project_option
@release_option
@click.option("--rows", default=0, help="Labelled rows a week that are simulated; by default as many as the log has.")
@click.option("--noise", default=0.0, help="Of the simulated scores; by default [feedback] randomise, else 0.05.")
@json_option
def feedback(folder: Path, release_id: str, rows: int, noise: float, as_json: bool) -> None:
    """Rehearse a loop from answers to labels, and see what the rows held back teach otherwise than all rows do."""
    place, case = opened(folder, release_id)
    with progress() as step:
        step("drill: feedback")
        log, labels = drained_log(place.log, place.store.tables, release=case["release"].id)
        found = loop_drill(case, log, joined_labels(labels, place.project), rows=rows, scale=noise)
    conclude(found, as_json)


@command.command()
@project_option
@json_option
def erasure(folder: Path, as_json: bool) -> None:
    """200 people go the whole way in a small project, are erased, and are searched for in every byte.

    Rows, serving, labels, caches, a backup and the model are all real; the next `shipworthy run` judges the outcome.
    Under a minute. Exit 0 if no trace was left.
    """
    place = open_workspace(folder)
    with progress() as step:
        found = drills.erasure(progress=step)
    kept = drills.keep(place, found)
    finding = erasure_drill((found,))
    if as_json:
        put(found)
    else:
        click.echo(f"{SIGNS[finding.verdict]}  {finding.sentence}")
        for hit in found.hits[:20]:
            click.echo(f"  {hit}")
    say(f"kept: {kept}")
    sys.exit(0 if finding.verdict == "pass" else 1)


def opened(folder: Path, release_id: str) -> tuple[Workspace, dict[str, Any]]:
    """The workspace of a folder, and what a release carries, with its project as it is today."""
    place = open_workspace(folder)
    release = chosen(place, release_id)
    return place, {**flow.stored(release, place.registry), "project": place.project}


def drilled(place: Workspace, case: Mapping[str, Any], check: str, **settings: Any) -> Finding:
    """The finding of a check at the strength of a drill; settings of the project go before those given here."""
    with progress() as step:
        step(f"drill: {check}")
        return run(place.registry.checks[check], case, {**settings, **place.project.checks.get(check, {})}, Judged())


def conclude(findings: Sequence[Finding], as_json: bool) -> None:
    """Print findings with all that is behind them, and leave: 0 if they are fine, else 1."""
    if as_json:
        put(findings)
    else:
        for finding in findings:
            show(finding)
    sys.exit(0 if all(finding.fine for finding in findings) else 1)


def show(finding: Finding) -> None:
    """Print a finding for a person."""
    for line in told(finding):
        click.echo(line)
