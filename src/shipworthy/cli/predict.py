"""`shipworthy predict TABLE -o OUT`: score a table with a release."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from shipworthy import flow
from shipworthy.cli.talk import project_option, say
from shipworthy.core.predictions import Predictions
from shipworthy.core.release import Release
from shipworthy.core.table import Table
from shipworthy.data.collection.read import read
from shipworthy.deployment.integration.releases.shelf import find_release
from shipworthy.errors import Misuse
from shipworthy.store.files import temporary, told
from shipworthy.store.workspace import Place, Workspace, opened

Writer = Callable[[pa.Table, Path], Any]


def _lines(table: pa.Table, path: Path) -> None:
    pl.DataFrame(table).write_ndjson(path)


WRITERS: Mapping[str, Writer] = {".parquet": pq.write_table, ".csv": pyarrow.csv.write_csv, ".jsonl": _lines,
                                 ".ndjson": _lines}


@click.command()
@click.argument("address", metavar="TABLE")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path),
              help="File to write: .parquet, .csv, .jsonl or .ndjson.")
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the champion by default.")
def command(address: str, output: Path, folder: Path, release_id: str) -> None:
    """Score every row of TABLE and write identifiers, decision, score, interval or set, and abstention, in its order.

    The identifiers are the columns of TABLE that the project names so.
    """
    write = WRITERS.get(output.suffix.lower())
    if write is None:
        raise Misuse(f'nothing writes "{output.suffix or output.name}"', where=str(output),
                     hint=f"end its name with one of {', '.join(WRITERS)}")
    output = output.absolute()
    if not output.parent.is_dir():
        raise Misuse("there is no such folder to write into", where=str(output.parent), hint="make it first")
    place = opened(folder)
    table = read(address, plugins=place.plugins())
    answers = _release(place, release_id).model.predict(table)
    part = temporary(output)
    with told(output):
        try:
            write(columns(answers, table, place.project.data.identifiers), part)
            part.replace(output)
        finally:
            part.unlink(missing_ok=True)
    say(f"{len(answers):,} rows scored into {output}")


def predict(place: Place, table: Any, *, release_id: str = "") -> Predictions:
    """Answers of a release, the champion if none is named, for every row of a table, in its order.

    table: an address, or anything that speaks Arrow, as it arrived; it is read as training read its own.
    Raises Misuse when there is no such release, BadData when a column is missing or cannot be read so.
    """
    place = opened(place)
    return _release(place, release_id).model.predict(read(table, plugins=place.plugins()))


def _release(place: Workspace, release_id: str) -> Release:
    release = find_release(place.releases, release_id) if release_id else flow.champion(place)
    if release is None:
        raise Misuse("nothing is in production", where=str(place.folder),
                     hint="promote a release first, or name one: --release ID, in Python release_id")
    return release


def columns(answers: Predictions, table: Table | None = None, identifiers: Iterable[str] = ()) -> pa.Table:
    """Predictions as columns: identifiers of the table, decision, score or one a class, low and high, abstain.

    An identifier that is called as an answer's column is written as "given.score".
    """
    found = {"decision": pa.array(list(answers.decision))}
    if answers.score.ndim == 2:
        found |= {f"score.{name}": pa.array(answers.score[:, place]) for place, name in enumerate(answers.classes)}
    else:
        found["score"] = pa.array(answers.score)
    if answers.low is not None and answers.high is not None:
        found |= {"low": pa.array(answers.low), "high": pa.array(answers.high)}
    found["abstain"] = pa.array(np.asarray(answers.abstain))
    given = {} if table is None else {name: table.data[name] for name in identifiers if name in table.schema}
    return pa.table({**{f"given.{name}" if name in found else name: values for name, values in given.items()}, **found})
