"""`shipworthy labels FILE`: what came true, from a table, kept as the server keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from shipworthy.cli.chosen import chosen
from shipworthy.cli.talk import json_option, project_option, put, say
from shipworthy.core.chosen import level_of, levels
from shipworthy.core.cleaning import DATES, NAIVE
from shipworthy.core.clock import micros
from shipworthy.core.release import Release
from shipworthy.core.table import Table, to_words
from shipworthy.data.collection.read import read
from shipworthy.deployment.integration.log.drain import drained_log
from shipworthy.deployment.integration.log.labels import Label, LabelLog
from shipworthy.deployment.integration.log.read import predictions, waiting
from shipworthy.deployment.integration.log.tables import entity_text, stored_labels
from shipworthy.deployment.integration.log.told import Rules, read_rows
from shipworthy.deployment.integration.releases.declared import declared
from shipworthy.deployment.integration.serving.record import Shape
from shipworthy.errors import BadData, Misuse
from shipworthy.store.workspace import Place, Workspace, opened

TIMES = ("observed_at", "at", "since")
AT_ONCE = 10_000


@dataclass(frozen=True)
class Taken:
    """What became of a file of labels. unmatched: of all labels told in it, those that no logged answer fits yet."""

    kept: int
    corrected: int
    known: int
    unmatched: int


@click.command()
@click.argument("table", required=False)
@project_option
@click.option("--release", "release_id", default="", help="Release whose answers these are; the champion by default.")
@click.option("--source", default="", help="Who says so, for rows without a source of their own.")
@click.option("--audit", is_flag=True, help="List the answers of the audit sample that lack a label, instead.")
@json_option
def command(
    table: str | None, folder: Path, *, release_id: str, source: str, audit: bool, as_json: bool
) -> None:
    """Keep what came true: TABLE has label and observed_at (UTC), and prediction_id or an entity's columns and at.

    Any source that can be read will do. All rows are checked before the first is kept, and the same file twice
    changes nothing. A label of an entity is of its last answer up to at; since bounds how far back.

    With --audit no TABLE is read: answers chosen by chance, [watch] audit of all, are listed that nobody has labelled
    yet. Label all of them, whatever they say.
    """
    if audit:
        listed = unlabelled(folder, release_id=release_id)
        if as_json:
            put(listed)
        for one in listed if not as_json else ():
            click.echo(f"{one['at']}  {one['prediction_id']}")
        return
    if table is None:
        raise Misuse("no table of labels was named", where="shipworthy labels", hint="shipworthy labels TABLE")
    taken = take_labels(folder, table, release_id=release_id, source=source)
    if as_json:
        put({"kept": taken.kept, "corrected": taken.corrected, "known": taken.known, "unmatched": taken.unmatched})
        return
    say(f"{taken.kept:,} labels kept, {taken.corrected:,} of them corrections; {taken.known:,} were known already")
    say(f"{taken.unmatched:,} wait for their answer{'; they are joined when it is logged' if taken.unmatched else ''}")


def take_labels(place: Place, address: str, *, release_id: str = "", source: str = "") -> Taken:
    """Keep the labels of a table in the project's log. Raises BadData naming row and column, Misuse, StoreError."""
    place = opened(place)
    release = chosen(place, release_id)
    table = read(address, plugins=place.plugins())
    labels = rows(table, _rules(place, release), source=source)
    log = LabelLog(place.log, mode=place.project.serve.log, known=stored_labels(place.store.tables))
    try:
        parts = [log.keep(labels[start : start + AT_ONCE]) for start in range(0, len(labels), AT_ONCE)]
    finally:
        log.close()
    new, corrected, known = (sum(part) for part in zip(*parts, strict=True))
    return Taken(new + corrected, corrected, known, _unmatched(place, labels))


def unlabelled(place: Place, *, release_id: str = "") -> list[dict[str, str]]:
    """prediction_id and at of the audited answers of a release that have no label yet, oldest first.

    Raises Misuse where the project declares no audit.
    """
    place = opened(place)
    level = level_of(place.project.watch.audit)
    if level < 0:
        raise Misuse("no audit sample is declared", where="[watch] audit", hint="set its share: audit = 0.01")
    release = chosen(place, release_id)
    served, labels = drained_log(place.log, place.store.tables, release=release.id)
    known = set(labels.words("prediction_id")) if labels.rows else set()
    ids, at = served.words("prediction_id"), served.column("at").to_pylist()
    found = [(when.isoformat(), str(one)) for one, when, least in zip(ids, at, levels(ids), strict=True)
             if least <= level and one not in known]
    return [{"at": when, "prediction_id": one} for when, one in sorted(found)]


def rows(table: Table, rules: Rules, *, source: str = "") -> list[Label]:
    """The labels of a table. Raises BadData naming row and column."""
    names = list(table.schema.names)
    for name in TIMES:
        if table.notes.get(name) in (DATES, NAIVE):
            raise BadData(f'the times in "{name}" have no zone', where=table.origin,
                          hint="write them as 2024-07-09T08:00:00Z")
    columns = [_values(table, name, numbers=name == "label" and not rules.classes) for name in names]
    if source and "source" not in names:
        names, columns = [*names, "source"], [*columns, [source] * table.rows]
    elif source:
        place = names.index("source")
        columns[place] = [value or source for value in columns[place]]
    try:
        return read_rows(names, zip(*columns, strict=True), rules, most=max(table.rows, 1))
    except BadData as error:
        raise BadData(error.problem, where=f"{table.origin}, {error.where}", hint=error.hint) from error


def _values(table: Table, name: str, *, numbers: bool) -> list[Any]:
    column = table.column(name)
    times = name in TIMES and table.schema[name].kind == "timestamp"
    return list(column.to_pylist() if times or numbers else to_words(column))


def _rules(place: Workspace, release: Release) -> Rules:
    told = declared(release, place.project)
    return Rules(release.model.classes, told.same, Shape(release.model, told.columns).entity,
                 place.project.serve.label_days)


def _unmatched(place: Workspace, labels: list[Label]) -> int:
    served = predictions(place.log, place.store.tables)
    known = set(served.words("prediction_id"))
    left = {(row["entity"], micros(row["since"]), micros(row["until"]))
            for row in waiting(place.log, place.store.tables, served=served).records()}
    return sum((entity_text(label), label.since, label.until) in left if label.entity
               else label.prediction_id not in known for label in labels)
