"""`shipworthy watch`: evidence about traffic."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import figure, json_option, project_option, put, say
from shipworthy.data.collection.read import read
from shipworthy.deployment.monitoring.incident import Incident
from shipworthy.deployment.monitoring.late import Cohort
from shipworthy.deployment.monitoring.memory import closed
from shipworthy.deployment.monitoring.watch import Watched
from shipworthy.store.workspace import open_workspace


@click.command()
@project_option
@click.option("--log", "address", default="",
              help="Predictions as a Parquet file or folder; the server's log by default.")
@click.option("--labels", default="", help="Labels as a table with prediction_id, label, observed_at.")
@click.option("--close", "why", default="", help="Close the open incident for this reason instead of looking.")
@click.option("--by", default="", help="Who closes it.")
@click.option("--cohorts", "by_day", is_flag=True, help="What has come of every prediction day, as a table.")
@json_option
def command(folder: Path, address: str, labels: str, *, why: str, by: str, by_day: bool, as_json: bool) -> None:
    """What moved since the release, whether it harms, and whether somebody should be called.

    A look at the server's log goes on from the last one; a table given with --log is judged on its own. An incident
    is a PAGE once and OPEN until it has been quiet for weeks or somebody closes it. Exit 1 while one is open.
    """
    place = open_workspace(folder)
    if why or by:
        release = flow.champion(place)
        incident = closed(place.store, release.id if release else "", by=by, why=why)
        say(f"closed by {by}: {incident.sentence}")
        return
    table = partial(read, plugins=place.plugins())
    watched = flow.watch(place, log=table(address) if address else None, labels=table(labels) if labels else None)
    if as_json:
        put({"rows": watched.rows, "findings": watched.findings, "incidents": watched.incidents,
             "open": watched.incident, "cohorts": watched.cohorts})
    else:
        for line in [*lines(watched), *(days(watched.cohorts) if by_day else ())]:
            click.echo(line)
    sys.exit(1 if watched.incidents or watched.incident else 0)


def lines(watched: Watched) -> list[str]:
    """What a person reads: every finding, then every incident with what to do about it."""
    if not watched.rows:
        return ["no data yet: nothing was served since the promotion; start it with: shipworthy serve"]
    found = [f"{finding.verdict:<14} {finding.check}: {finding.sentence}  {figure(finding)}".rstrip()
             for finding in watched.findings]
    for incident in watched.incidents:
        found += as_lines("PAGE", incident)
    known = watched.incident
    if known is not None and known.id not in {incident.id for incident in watched.incidents}:
        found += as_lines("OPEN", known)
    return found


def days(cohorts: Sequence[Cohort]) -> list[str]:
    """Every prediction day in a line: what came, what share of all labels that is, and the risk where it is known."""
    head = f"{'day':<12}{'predictions':>12}{'labels':>9}{'come by now':>13}{'expected':>10}{'risk':>9}"
    return [head, *(f"{one.day!s:<12}{one.predictions:>12,}{one.labels:>9,}"
                    f"{'unknown' if one.maturity is None else f'{one.maturity:.0%}':>13}"
                    f"{'unknown' if one.expected is None else f'{one.expected:,}':>10}"
                    f"{'unknown' if one.risk is None else f'{one.risk:.3f}':>9}" for one in cohorts)]


def as_lines(what: str, incident: Incident) -> list[str]:
    """An incident in lines: severity and since when, what happened, what it costs where that is known, what to do."""
    lost = f" Extra errors cost {incident.loss:,.2f} {incident.currency} per 1,000 decisions." if incident.loss else ""
    return [f"{what} ({incident.severity}, since {incident.opened}): {incident.sentence}{lost}",
            f"      → {incident.action}"]
