"""What the serving benchmark serves, made in a process of its own.

    python -m benchmarks.served SOURCE FOLDER            the table, two releases, a project's home with a token, records
    python -m benchmarks.served alone RELEASE BODY       seconds of decoding a body and scoring its rows, best of 40
    python -m benchmarks.served tell HOME RELEASE TURN   tells the servers of a project who answers
"""

from __future__ import annotations

import csv
import json
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq

from shipworthy.core.evidence import Evidence
from shipworthy.core.features import Category, Features, Number
from shipworthy.core.model import Model, Sheet
from shipworthy.core.program import Program
from shipworthy.core.project import parse
from shipworthy.core.release import Identity
from shipworthy.core.schema import Column, Schema
from shipworthy.deployment.integration.access.issue import create
from shipworthy.deployment.integration.releases import sign
from shipworthy.deployment.integration.releases.release import open_release, write_release
from shipworthy.deployment.integration.serving.job import Job
from shipworthy.deployment.integration.serving.standing import Stand, Standing, write_standing
from shipworthy.learning.training.lower_trees import lower_lightgbm
from shipworthy.store import open_store

RECORDS = 2_000
PROJECT = '[project]\nname = "adult"\nowner = "o@example.org"\n[data]\ntarget = "income"\n'


def make(source: Path, folder: Path) -> None:
    """Write adult.csv and made.json, and what they name, into a folder."""
    from benchmarks.peers import model as shared

    table = pq.read_table(source).drop_columns(["part"]).to_pandas()
    names = [name for name in table.columns if name != "income"]
    table["income"] = table["income"].str.rstrip(".")
    table[[*names, "income"]].to_csv(folder / "adult.csv", index=False, quoting=csv.QUOTE_MINIMAL)
    fitted = shared.pipeline(folder / "adult.csv")
    numbers, words = shared.columns(folder / "adult.csv")
    rows = table.sample(RECORDS, random_state=0)[[*numbers, *words]]
    records = [{**{name: float(row[name]) for name in numbers}, **{name: str(row[name]) for name in words}}
               for row in rows.to_dict("records")]
    expected = fitted.predict_proba(rows)[:, 1].tolist()
    home = folder / "project" / ".shipworthy"
    key = sign.make_key(_folder(home / "keys") / "signing.pem")
    releases = [_release(fitted, (numbers, words), home.parent / "releases", key, turn) for turn in range(2)]
    project = parse(PROJECT)
    job = Job(str(releases[0]), str(home / "log"), project, project.serve, str(home))
    (folder / "made.json").write_text(json.dumps({
        "records": records, "expected": expected, "positive": str(fitted.classes_[1]), "token": _token(home),
        "job": msgspec.to_builtins(job), "releases": [str(each) for each in releases], "home": str(home)}))


def _release(fitted: Any, columns: tuple[list[str], list[str]], folder: Path, key: sign.Key, turn: int) -> Path:
    numbers, words = columns
    encoder = fitted.named_steps["ready"].named_transformers_["words"].named_steps["code"]
    levels = [tuple(map(str, each)) for each in encoder.categories_]
    features = Features((*map(Number, numbers),
                         *(Category(name, each) for name, each in zip(words, levels, strict=True))))
    booster = fitted.named_steps["trees"].booster_.model_to_string()
    classes = tuple(map(str, fitted.classes_))
    program = Program(features.inputs, (lower_lightgbm(booster),), "logistic", classes)
    schema = Schema((*(Column(name, "number") for name in numbers), *(Column(name, "category") for name in words),
                     Column("income", "category", "target")))
    model = Model(Sheet(features, schema, "binary", "income", classes, 0.5, 0.7 + turn / 100,
                        reference=tuple([0.0] * len(features.inputs))), program)
    made = write_release(folder, name="adult", model=model, evidence=Evidence(()), key=key,
                         identity=Identity("c0de", model.digest, "da7a"), extras={"card.md": b"# adult\n"})
    return made.folder


def _token(home: Path) -> str:
    """A token that may ask, with budgets that count and do not bind."""
    store = open_store(home.parent)
    return create(store, holder="bench", scopes=("predict",), by="bench", rows_a_minute=10**9, rows_a_day=10**12)[0]


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def alone(folder: Path, body: Path) -> float:
    """Seconds of decoding the rows of a body and of scoring as many by the kernel, the best of 40."""
    from shipworthy.deployment.integration.serving.record import Shape

    model, raw = open_release(folder).model, body.read_bytes()
    shape = Shape(model)
    inputs = model.rows(shape.columns(shape.decode(raw)[0]))
    best = float("inf")
    for _ in range(40):
        began = time.perf_counter()
        shape.decode(raw)
        model.program.score(np.ascontiguousarray(inputs))
        best = min(best, time.perf_counter() - began)
    return best


def tell(home: Path, folder: Path, turn: int) -> None:
    """Tell the servers of a project who answers."""
    release = open_release(folder)
    write_standing(home, Standing(turn, Stand(release.id, str(folder))))


if __name__ == "__main__":
    if sys.argv[1] == "alone":
        print(alone(Path(sys.argv[2]), Path(sys.argv[3])))
    elif sys.argv[1] == "tell":
        tell(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    else:
        make(Path(sys.argv[1]), Path(sys.argv[2]))
