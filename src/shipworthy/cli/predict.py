"""`shipworthy predict TABLE -o OUT`: score a table of any size with a release."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from shipworthy import __version__
from shipworthy.cli.chosen import chosen
from shipworthy.cli.talk import project_option, say
from shipworthy.core.predictions import Predictions
from shipworthy.core.progress import counted
from shipworthy.core.release import Release
from shipworthy.data.collection.read import read
from shipworthy.data.collection.size import PIECE
from shipworthy.data.collection.stream import Piece, Wanted, pieces, rows_of, stamp_of
from shipworthy.deployment.integration.batch import answered, words_of
from shipworthy.errors import BadData, Misuse, ShipworthyError, StoreError
from shipworthy.store.files import told
from shipworthy.store.journal import Journal
from shipworthy.store.sheets import SHEETS, Sheet
from shipworthy.store.workspace import Place, opened

GROUP = 1 << 19  # rows that are kept together: what a killed run loses at most


@click.command()
@click.argument("address", metavar="TABLE")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path),
              help="File to write: .parquet, .csv, .jsonl, .ndjson or .arrow.")
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the champion by default.")
@click.option("--fresh", is_flag=True, help="Start over where an earlier run was interrupted.")
def command(address: str, output: Path, folder: Path, release_id: str, fresh: bool) -> None:
    """Score every row of TABLE and write identifiers, decision, score, interval or set, and abstention, in its order.

    The identifiers are the columns of TABLE that the project names so. In CSV a set is a JSON list. Parquet, Arrow,
    CSV and JSON files are scored piece by piece, whatever their size. The output is there when it is whole; a run that
    was interrupted goes on where it stopped, as long as TABLE and the release are the same.
    """
    rows = predict_into(folder, address, output, release_id=release_id, fresh=fresh, tell=say)
    say(f"{rows:,} rows scored into {output}")


def predict(place: Place, table: Any, *, release_id: str = "") -> Predictions:
    """Answers of a release, the champion if none is named, for every row of a table, in its order.

    table: an address, or anything that speaks Arrow, as it arrived; it is read as training read its own.
    Raises Misuse when there is no such release, BadData when a column is missing or cannot be read so.
    """
    place = opened(place)
    return chosen(place, release_id).model.predict(read(table, plugins=place.plugins()))


def predict_into(
    place: Place, table: Any, output: str | Path, *, release_id: str = "", fresh: bool = False, every: int = GROUP,
    progress: Callable[[int], None] | None = None, tell: Callable[[str], None] = lambda sentence: None,
) -> int:
    """Score a table of any size into a file, as `shipworthy predict` does; the number of rows.

    table: as for `predict`; files are read piece by piece. output: its suffix says what is written. fresh: start over
    where an earlier run was interrupted. every: rows between two places to go on from. progress: is told how many rows
    more are done; by default a bar. tell: is told what else happens.
    Raises Misuse when another table or release is meant than in the run that was interrupted, BadData naming the row
    and column that cannot be read, StoreError when the disk refuses.
    """
    output = Path(output).absolute()
    if output.suffix.lower() not in SHEETS:
        raise Misuse(f'nothing writes "{output.suffix or output.name}"', where=str(output),
                     hint=f"end its name with one of {', '.join(SHEETS)}")
    if not output.parent.is_dir():
        raise Misuse("there is no such folder to write into", where=str(output.parent), hint="make it first")
    place, stamp = opened(place), stamp_of(table)
    release = chosen(place, release_id)
    identifiers = tuple(place.project.data.identifiers)
    job = {"release": release.id, "table": stamp, "version": __version__, "identifiers": identifiers}
    with Journal(output, job, fresh=fresh or stamp is None) as journal:
        if journal.rows:
            tell(f"going on after {journal.rows:,} rows that were scored before")
        try:
            wanted = Wanted(release.model.features.columns, identifiers, words_of(release.model))
            found = pieces(table, wanted, plugins=place.plugins(), skip=journal.rows, most=min(PIECE, every), told=tell)
            with counted(rows_of(table), progress, start=journal.rows) as count:
                new = _grouped(_scored(release, found, identifiers, count), every)
                rows = _write(chain(journal.tables(), new), journal, SHEETS[output.suffix.lower()],
                              kept=every if stamp is not None else 0)
            journal.finish()
        except ShipworthyError as error:
            if not isinstance(error, StoreError):  # what is wrong stays wrong; a full disk does not
                journal.forget()
            raise
    return rows


def _scored(
    release: Release, found: Iterable[Piece], identifiers: tuple[str, ...], count: Callable[[int], None]
) -> Iterator[pa.Table]:
    for each in answered(release.model, found, identifiers=identifiers):
        yield each
        count(each.num_rows)


def _grouped(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The tables joined to at least so many rows."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(each.num_rows for each in held) >= rows:
            yield _joined(held)
            held = []
    if held:
        yield _joined(held)


def _joined(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables([_as(tables[0].schema, table) for table in tables])


def _as(schema: pa.Schema, table: pa.Table) -> pa.Table:
    """A table with the column types of the first; other files may give identifiers other types."""
    if table.schema.equals(schema):
        return table
    try:
        if table.schema.names == schema.names:
            return table.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    raise BadData("the files disagree about the identifiers", where=", ".join(schema.names),
                  hint="make them one type in all files, or score the files one by one")


def _write(
    tables: Iterable[pa.Table], journal: Journal, make: Callable[[Path, pa.Schema], Sheet], kept: int
) -> int:
    """Write all tables into the journal's file; the rows. kept: those that the journal keeps are so long; 0 is none."""
    sheet, schema, rows, before = None, None, 0, journal.rows
    try:
        for table in tables:
            with told(journal.path):
                schema = schema or table.schema
                sheet = sheet or make(journal.path, schema)
                sheet.write(_as(schema, table))
            rows += table.num_rows
            if kept and rows > before and table.num_rows >= kept:
                journal.add(table)
    finally:
        if sheet is not None:
            with told(journal.path):
                sheet.close()
    return rows
