"""`shipworthy watch`: evidence about traffic."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from shipworthy import runbooks
from shipworthy.cli.talk import figure, json_option, project_option, put, say
from shipworthy.data.collection.read import read
from shipworthy.deployment.alerts.decided import calls, decided
from shipworthy.deployment.alerts.message import told
from shipworthy.deployment.alerts.silence import until_of
from shipworthy.deployment.monitoring.foreign import renamed
from shipworthy.deployment.monitoring.incident import Incident
from shipworthy.deployment.monitoring.late import Cohort
from shipworthy.deployment.monitoring.watch import Watched
from shipworthy.errors import Misuse
from shipworthy.runbooks import Attended
from shipworthy.store.files import write_bytes
from shipworthy.store.workspace import Workspace, open_workspace


@click.command()
@project_option
@click.option("--log", "address", default="",
              help="Predictions as a Parquet file or folder; the server's log by default.")
@click.option("--labels", default="", help="Labels as a table with prediction_id, label, observed_at.")
@click.option("--column", "columns", multiple=True, metavar="NAME=THEIRS",
              help="What a column of these tables is called there, such as at=served_at; as often as needed.")
@click.option("--report", type=click.Path(path_type=Path), help="Write what was seen as one HTML page, too.")
@click.option("--follow", is_flag=True, help="Look again and again until stopped.")
@click.option("--every", default=0.0, type=click.FloatRange(min=0), metavar="MINUTES",
              help="Between two looks with --follow; [watch] every by default, else 60.")
@click.option("--close", "why", default="", help="Close the open incident for this reason instead of looking.")
@click.option("--silence", "hush", default="", help="Let alarms page nobody for this reason; needs --until.")
@click.option("--until", default="", help="When the silence ends: a date, or a time.")
@click.option("--family", default="",
              help="What is silenced: broken, drift, joint, harm, bias, outliers, meter NAME; all by default.")
@click.option("--by", default="", help="Who closes or silences.")
@click.option("--cohorts", "by_day", is_flag=True, help="What has come of every prediction day, as a table.")
@click.option("--try-sinks", is_flag=True, help="Send every [[sink]] a test message instead of looking.")
@json_option
def command(
    folder: Path, address: str, labels: str, *, columns: tuple[str, ...], report: Path | None, follow: bool,
    every: float, why: str, hush: str, until: str, family: str, by: str, by_day: bool, try_sinks: bool, as_json: bool
) -> None:
    """What moved since the release, whether it harms, and whether somebody should be called.

    A look at the server's log goes on from the last one; a table given with --log is judged on its own. An incident
    is a PAGE once and OPEN until it has been quiet for weeks or somebody closes it. Exit 1 while one is open and not
    silenced.
    """
    place = open_workspace(folder)
    if every and not follow:
        raise Misuse("--every says how often --follow looks", where="shipworthy watch", hint="add --follow")
    if columns and not (address or labels):
        raise Misuse("--column names a column of a table that is given", where="shipworthy watch",
                     hint="add --log or --labels; the server's own log needs no names")
    if report is not None and (hush or why or try_sinks):
        raise Misuse("--report is written of a look", where="shipworthy watch", hint="ask for it alone")
    if hush or until or family:
        _hush(place, hush, by=by, until=until, family=family)
    elif why or by:
        incident = runbooks.close(place, by=by, why=why)
        say(f"closed by {by}: {incident.sentence}")
    elif try_sinks:
        sys.exit(_tried(place))
    elif follow:
        _follow(place, every, address or labels or report, partial(_show, as_json=as_json, by_day=by_day, timed=True))
    else:
        table = partial(read, plugins=place.plugins())
        log = renamed(table(address), columns) if address else None
        came = renamed(table(labels), columns, strict=log is None) if labels else None
        found = runbooks.attend(place, log=log, labels=came)
        _show(found, as_json, by_day=by_day)
        if report is not None:
            _written(place, found.watched, report)
        sys.exit(_code(found.watched))


def _code(watched: Watched) -> int:
    return 1 if calls(watched) else 0


def _written(place: Workspace, watched: Watched, path: Path) -> None:
    """The report, whole but for panels that fail. Raises the error of the first of them when it is written."""
    made = runbooks.report(place, watched)
    write_bytes(path, made.text.encode())
    say(f"written: {path}")
    for error in made.errors:
        raise error


def _hush(place: Workspace, why: str, *, by: str, until: str, family: str) -> None:
    if not why or not until:
        raise Misuse("a silence needs a reason and an end", where="shipworthy watch --silence",
                     hint="say --silence REASON --by WHO --until DATE")
    made = runbooks.hush(place, by=by, why=why, until=until_of(until), family=family)
    what = f"{family or 'all alarms'} silenced by {by}"
    over = made.until <= datetime.now(UTC)
    say(f"{what} no longer, since {made.until:%Y-%m-%d %H:%M} UTC is over: {why}" if over else
        f"{what} until {made.until:%Y-%m-%d %H:%M} UTC: {why}")


def _tried(place: Workspace) -> int:
    posted = runbooks.try_sinks(place)
    for letter in posted.delivered:
        say(f"delivered: {letter.sink}: {letter.message.title}")
    for letter in posted.waiting:
        say(f"not delivered: {letter.sink}: {letter.message.title}: {letter.error or 'waits for its turn'}")
    if not place.project.sink:
        say("no sink is named; add [[sink]] to shipworthy.toml")
    return 1 if posted.waiting else 0


def _follow(place: Workspace, every: float, other: object, show: Callable[[Attended], None]) -> None:
    from shipworthy.server.watcher import EVERY_MINUTES, Watcher, until_stopped

    if other:
        raise Misuse("only the server's log can be followed", where="shipworthy watch --follow",
                     hint="leave out --log, --labels and --report")
    stop = until_stopped()
    minutes = every or place.project.watch.every or EVERY_MINUTES
    say(f"looking every {minutes:g} minutes until stopped")
    Watcher(place, say, minutes=minutes).follow(stop, show)


def _show(found: Attended, as_json: bool, *, by_day: bool = False, timed: bool = False) -> None:
    watched = found.watched
    if as_json:
        put({"called": calls(watched), "why": decided(watched), "rows": watched.rows,
             "findings": watched.findings, "figures": watched.figures, "incidents": watched.incidents,
             "open": watched.incident, "silenced": watched.silenced, "done": found.done,
             "undelivered": found.posted.waiting, "cohorts": watched.cohorts, "note": watched.note})
        return
    if timed:
        click.echo(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    for line in (*lines(watched), *(f"DONE  {step}" for step in found.done),
                 *(days(watched.cohorts) if by_day else ()), *([""] if timed else ())):
        click.echo(line)
    for letter in found.posted.waiting:
        say(f"not delivered yet: {letter.sink}: {letter.message.title}: {letter.error or 'waits for its turn'}")


def lines(watched: Watched) -> list[str]:
    """What a person reads: every finding, every incident with what to do about it, and what was decided."""
    if not watched.rows:
        return ["no data yet: nothing was served since the promotion; start it with: shipworthy serve"]
    found = [f"{finding.verdict:<14} {finding.check}: {finding.sentence}  {figure(finding)}".rstrip()
             for finding in watched.findings]
    found += [f"{one.verdict or 'figure':<14} {f'figure {one.sentence}' if one.verdict else one.sentence}"
              for one in watched.figures]
    found += [f"note           {watched.note}"] if watched.note else []
    for incident in watched.incidents:
        found += as_lines("PAGE", incident)
    known = watched.incident
    if known is not None and known.id not in {incident.id for incident in watched.incidents}:
        found += as_lines("SILENT" if watched.silenced else "OPEN", known)
    return [*found, f"{decided(watched)} (exit code {_code(watched)})"]


def days(cohorts: Sequence[Cohort]) -> list[str]:
    """Every prediction day in a line: what came, what share of all labels that is, and the risk where it is known."""
    head = f"{'day':<12}{'predictions':>12}{'labels':>9}{'come by now':>13}{'expected':>10}{'risk':>9}"
    return [head, *(f"{one.day!s:<12}{one.predictions:>12,}{one.labels:>9,}"
                    f"{'unknown' if one.maturity is None else f'{one.maturity:.0%}':>13}"
                    f"{'unknown' if one.expected is None else f'{one.expected:,}':>10}"
                    f"{'unknown' if one.risk is None else f'{one.risk:.3f}':>9}" for one in cohorts)]


def as_lines(what: str, incident: Incident) -> Sequence[str]:
    """An incident in lines: severity and since when, what happened, what it costs where that is known, what to do."""
    first, _, *more = told(incident)
    return [f"{what} ({incident.severity}, since {incident.opened}): {first}", *(f"      {line}" for line in more)]
