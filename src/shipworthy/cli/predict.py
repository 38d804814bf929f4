"""`shipworthy predict TABLE -o OUT`: score a table with a release."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shipworthy import flow
from shipworthy.cli.talk import project_option, say
from shipworthy.core.predictions import Predictions
from shipworthy.data.collection.read import read
from shipworthy.deployment.integration.shelf import find_release
from shipworthy.errors import Misuse
from shipworthy.store.files import temporary, told
from shipworthy.store.workspace import open_workspace


@click.command()
@click.argument("address", metavar="TABLE")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Parquet file to write.")
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the champion by default.")
def command(address: str, output: Path, folder: Path, release_id: str) -> None:
    """Score every row of TABLE and write decision, score, interval or set, and abstention, in the order of the rows."""
    place = open_workspace(folder)
    release = find_release(place.releases, release_id) if release_id else flow.champion(place)
    if release is None:
        raise Misuse("nothing is in production", where=str(place.folder),
                     hint="shipworthy promote first, or name one: --release ID")
    answers = release.model.predict(read(address))
    output = output.absolute()
    if not output.parent.is_dir():
        raise Misuse("there is no such folder to write into", where=str(output.parent), hint="make it first")
    part = temporary(output)
    with told(output):
        try:
            pq.write_table(columns(answers), part)
            part.replace(output)
        finally:
            part.unlink(missing_ok=True)
    say(f"{len(answers):,} rows scored into {output}")


def columns(answers: Predictions) -> pa.Table:
    """Predictions as columns: decision, score or one score per class, low and high, abstain."""
    found = {"decision": pa.array(list(answers.decision))}
    if answers.score.ndim == 2:
        found |= {f"score.{name}": pa.array(answers.score[:, place]) for place, name in enumerate(answers.classes)}
    else:
        found["score"] = pa.array(answers.score)
    if answers.low is not None and answers.high is not None:
        found |= {"low": pa.array(answers.low), "high": pa.array(answers.high)}
    return pa.table({**found, "abstain": pa.array(np.asarray(answers.abstain))})
