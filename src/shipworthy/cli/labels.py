"""`shipworthy labels FILE`: what came true, from a table, kept as the server keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from shipworthy.cli.chosen import chosen
from shipworthy.cli.talk import json_option, project_option, put, say
from shipworthy.core.cleaning import DATES, NAIVE
from shipworthy.core.clock import micros
from shipworthy.core.release import Release
from shipworthy.core.table import Table, to_words
from shipworthy.data.collection.read import read
from shipworthy.deployment.integration.log.labels import Label, LabelLog
from shipworthy.deployment.integration.log.read import predictions, waiting
from shipworthy.deployment.integration.log.tables import entity_text, stored_labels
from shipworthy.deployment.integration.log.told import Rules, read_rows
from shipworthy.deployment.integration.releases.declared import declared
from shipworthy.deployment.integration.serving.record import Shape
from shipworthy.errors import BadData
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
@click.argument("table")
@project_option
@click.option("--release", "release_id", default="", help="Release whose answers these are; the champion by default.")
@click.option("--source", default="", help="Who says so, for rows without a source of their own.")
@json_option
def command(table: str, folder: Path, release_id: str, source: str, as_json: bool) -> None:
    """Keep what came true: TABLE has label and observed_at (UTC), and prediction_id or an entity's columns and at.

    Any source that can be read will do. All rows are checked before the first is kept, and the same file twice
    changes nothing. A label of an entity is of its last answer up to at; since bounds how far back.
    """
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
