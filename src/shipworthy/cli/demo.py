"""`shipworthy demo`: the whole way on bundled data, told step by step."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
import pyarrow.compute as pc

from shipworthy import flow
from shipworthy.cli.discover import as_line
from shipworthy.cli.report import release_page
from shipworthy.cli.talk import progress, say
from shipworthy.core.cleaning import moment
from shipworthy.core.project import FILE
from shipworthy.core.release import Release
from shipworthy.core.table import Table
from shipworthy.data.analysis.profile import profile
from shipworthy.data.collection.collect import collect
from shipworthy.deployment.integration.log.read import read_log
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.replay import replay
from shipworthy.errors import Misuse, NotFit
from shipworthy.exchange.flights import folder as bundled
from shipworthy.learning.training.cost import start as meter_start
from shipworthy.store.files import write_bytes
from shipworthy.store.workspace import Workspace, open_workspace

TABLES = ("flights", "airlines", "airports", "planes", "weather")
APPROVER = "approver@example.org"
MARK = "shipworthy demo"
RENEWED = "2013-12-01T00:00:00Z"
CALENDAR = ("month", "day", "weather.year", "weather.month", "weather.day", "weather.hour")
BATCH = 64
CLOSED = 0.6
Step = Callable[[str], None]


@click.command()
@click.option("--folder", default="shipworthy-demo", show_default=True, type=click.Path(path_type=Path),
              help="Where the demo project is made.")
@click.option("--seconds", default=60.0, show_default=True, help="Learning budget in seconds.")
def command(folder: Path, seconds: float) -> None:
    """From five raw tables of New York flights to a released, served, watched and renewed model."""
    with progress() as step:
        story = Story(step=step)
        page = demo(folder, story, seconds=seconds)
    click.echo("\n".join(story.lines()))
    say()
    click.echo(f"report: {page}")


@dataclass
class Story:
    """What happened, line by line, with the time it took."""

    step: Step
    began: float = field(default_factory=time.monotonic)
    entries: list[tuple[str, str, str]] = field(default_factory=list)

    def tell(self, title: str, text: str) -> None:
        self.entries.append((f"{time.monotonic() - self.began:.0f} s", title, text))

    def lines(self) -> list[str]:
        return [f"{seconds:>6}  {title:<20} {text}" for seconds, title, text in self.entries]


def demo(folder: Path, story: Story, *, seconds: float = 60.0) -> Path:
    """The path of the report, after the whole way was gone in `folder`. Raises Misuse if the folder is someone's."""
    meter = meter_start()
    fresh(folder)
    naive = start(folder / "1-naive", story, {"seconds": min(12.0, seconds), "search": "false"})
    tables = flow.gather(naive)
    aside = refuse(naive, tables, story)
    place = start(folder / "2-honest", story, {"seconds": seconds}, set_aside=(*aside, *CALENDAR))
    release = accept(place, tables, aside, story)
    traffic = to_come(place, tables)
    serve_and_watch(place, release, traffic, story)
    del tables, traffic
    renew(place, story, seconds=seconds)
    cost = meter.cost(place.project.learning)
    story.tell("cost", f"{cost.wall_seconds:.0f} s, {cost.cpu_seconds:.0f} CPU-seconds, at most "
               f"{cost.peak_bytes / 1e9:.1f} GB, {cost.kwh_low * 1e3:.2f} to {cost.kwh_high * 1e3:.2f} Wh, "
               f"{cost.money:.4f} {cost.currency}")
    page = folder / "report.html"
    evidence = flow.current_evidence(place, release)
    write_bytes(page.absolute(), release_page(place, release, evidence, story=story.entries).encode())
    return page


def fresh(folder: Path) -> None:
    """An empty folder; an earlier demo is removed, anything else is left alone. Raises Misuse."""
    if folder.exists() and any(folder.iterdir()) and not (folder / ".demo").exists():
        raise Misuse("the folder is not empty and is not an earlier demo", where=str(folder), hint="choose --folder")
    for path in folder.rglob("*") if folder.exists() else ():
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / ".demo").write_text(MARK)


def start(folder: Path, story: Story, learning: dict[str, Any], *, set_aside: tuple[str, ...] = ()) -> Workspace:
    """A project folder with the five tables and a project file."""
    folder.mkdir()
    for name in TABLES:
        shutil.copy(bundled() / f"{name}.parquet", folder)
    text = (bundled() / "naive.toml").read_text("utf-8")
    text = text.replace("seconds = 60.0", "\n".join(f"{key} = {value}" for key, value in learning.items()))
    if set_aside:
        names = ", ".join(f'"{name}"' for name in set_aside)
        text = text.replace('positive = "yes"', f'positive = "yes"\n# known only afterwards\nset_aside = [{names}]')
        text = text.replace("late-arrivals-naive", "late-arrivals")
    (folder / FILE).write_text(text, encoding="utf-8")
    return open_workspace(folder)


def refuse(place: Workspace, tables: dict[str, Table], story: Story) -> tuple[str, ...]:
    """The first attempt, with every column: it must be refused, and for the true reason."""
    built = flow.build(place, tables, progress=story.step)
    case, evidence = built.case, built.release.evidence
    used = [join for join in case["catalogue"].joins if join.used]
    story.tell("discover", f"{len(tables)} tables; " + "; ".join(as_line(join) for join in used))
    story.tell("collect", f"{case['raw'].rows:,} flights, {len(case['raw'].schema.columns)} columns")
    weather = profile(tables["weather"])
    odd = [f"{column.name}: {words}" for column in weather.columns for words in column.impossible]
    story.tell("analyse", "; ".join(odd) or "nothing impossible")
    ledger = case["ledger"]
    aside = ", ".join(f"{name} ({why})" for name, why in ledger.dropped_columns)
    story.tell("clean", f"{len(ledger.changes):,} of {ledger.cells:,} cells changed; set aside: {aside}")
    best = max(built.learned.candidates, key=lambda candidate: candidate.figures.metric)
    story.tell("first attempt", f"every column: {best.learner} reaches AUC {best.figures.metric:.4f}")
    leak = evidence.find("no-leak")
    story.tell("finding", leak.sentence if leak else "no leak was found")
    try:
        flow.promote(place, by=APPROVER, why="it looks perfect")
        story.tell("promotion", "ACCEPTED, which should not have happened")
    except NotFit as no:
        story.tell("promotion", f"refused: {no.problem}")
    return tuple(suspect.column for suspect in case["profile"].suspects)


def accept(place: Workspace, tables: dict[str, Table], aside: tuple[str, ...], story: Story) -> Release:
    """The second attempt, with the suspects set aside: judged, released, promoted."""
    built = flow.build(place, tables, progress=story.step)
    story.tell("second attempt", f"set aside {', '.join(aside)}; and the calendar, of which half a year shows half")
    story.tell("learn", "; ".join(f"{c.learner} {c.figures.metric:.4f}" for c in built.learned.candidates))
    story.tell("choice", built.learned.why)
    counts = flow.current_evidence(place, built.release).counts()
    story.tell("checklist", ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count))
    required = built.release.evidence.find("requirements")
    if required:
        story.tell("verify", required.sentence)
    release = flow.promote(place, by=APPROVER, why="the checklist holds")
    story.tell("release", f"{release.short} signed, promoted by {APPROVER}")
    return release


def to_come(place: Workspace, tables: dict[str, Table]) -> Table:
    """October to December: the rows after the holdout, as they will be asked and as they came true."""
    raw = collect(tables, place.project)
    seconds = raw.numbers("time_hour")
    rows = np.flatnonzero(seconds >= moment(place.project.split.holdout_until).timestamp())
    return raw.take(rows[np.argsort(seconds[rows], kind="stable")])


def serve_and_watch(place: Workspace, release: Release, traffic: Table, story: Story) -> None:
    """Real requests to a real server, labels a day late; then what the watch says, as is and with a planted fault."""
    story.step("serving October to December")
    with Server(release, place.log, place.project) as server:
        single = replay(traffic.head(2_000), server.address)
        story.tell("serve", f"one row a request: {single}")
        result = replay(traffic, server.address, label="late", delay=timedelta(days=1), time="time_hour", batch=BATCH)
    story.tell("replay", str(result))
    story.step("watching")
    log, labels = read_log(place.log, place.store.tables, time="time_hour")
    tried = set(single.ids)
    log = log.take(np.array([one not in tried for one in log.words("prediction_id")]))
    seen = flow.watch(place, log=log, labels=labels)
    story.tell("watch", f"{_pages(seen.pages)}; " + " ".join(f.sentence for f in seen.findings if f.check in WATCHED))
    broken = log.with_column("weather.temp", pc.multiply(pc.subtract(log.column("weather.temp"), 32.0), 5 / 9))
    alarmed = flow.watch(place, log=broken, labels=labels)
    story.tell("planted fault", f"temperature in Celsius: {_pages(alarmed.pages)}"
               + "".join(f"; {page(incident)}" for incident in alarmed.incidents[:1]))


WATCHED = ("column-drift", "harm")


def page(incident: Any) -> str:
    """An incident in one line."""
    return str(getattr(incident, "sentence", incident))[:240]


def renew(place: Workspace, story: Story, *, seconds: float) -> None:
    """As of December: a poisoned batch is refused before training, honest rows replace no champion that is as good, and
    rows of a world that changed make a challenger that is better; then a rollback.
    """
    log, labels = read_log(place.log, place.store.tables, time="time_hour")
    known = set(labels.words("prediction_id"))
    early = log.numbers("at") < moment(RENEWED).timestamp()
    log = log.take(early & np.array([one in known for one in log.words("prediction_id")]))
    asked = set(log.words("prediction_id"))
    labels = labels.take(np.array([one in asked for one in labels.words("prediction_id")]))
    flipped, random = labels.words("label"), np.random.default_rng(0)
    bad = random.random(len(flipped)) < 0.4
    flipped[bad] = np.where(flipped[bad] == "yes", "no", "yes")
    poisoned = flow.renew(place, log=log, labels=labels.with_column("label", list(flipped)), progress=story.step)
    story.tell("poisoned batch", poisoned.sentence)
    rules = place.project
    place = replace(place, project=msgspec.structs.replace(
        rules, learning=msgspec.structs.replace(rules.learning, seconds=min(30.0, seconds)),
        renew=msgspec.structs.replace(rules.renew, search="never")))
    story.tell("renew", flow.renew(place, by=APPROVER, log=log, labels=labels, progress=story.step).sentence)
    changed = labels.with_column("label", list(_other_runways(log, labels, random)))
    renewal = flow.renew(place, by=APPROVER, log=log, labels=changed, progress=story.step)
    story.tell("planted change", "Newark lost a runway, LaGuardia won one: " + renewal.sentence)
    if renewal.won:
        back = flow.rollback(place, by=APPROVER, why="the runways are as they were")
        story.tell("rollback", f"champion is again {back.short}")
    else:
        story.tell("rollback", "none: the champion was never replaced")


def _other_runways(log: Table, labels: Table, random: np.random.Generator) -> Any:
    """The labels, had Newark's afternoons mostly been late and LaGuardia's mornings never."""
    origin, hour = log.words("origin"), log.numbers("sched_dep_time") // 100
    ids = log.words("prediction_id")
    late = set(ids[(origin == "EWR") & (hour >= 15) & (random.random(log.rows) < CLOSED)])
    punctual = set(ids[(origin == "LGA") & (hour < 12)])
    pairs = zip(labels.words("prediction_id"), labels.words("label"), strict=True)
    return np.array(["yes" if one in late else "no" if one in punctual else told for one, told in pairs])


def _pages(count: int) -> str:
    return "1 page" if count == 1 else f"{count} pages"
