"""Drills: acts too costly or too destructive for every run, done on a project of their own and kept as evidence.

Erasure: people with unique words in every column go the whole way, are erased, and are then searched for in every byte.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from shipworthy import __version__, flow
from shipworthy.assurance.law.drilled import FOLDER
from shipworthy.assurance.shadows import ratio, signal
from shipworthy.core.absence import search
from shipworthy.core.canon import canonical
from shipworthy.core.drill import Drill
from shipworthy.core.table import Mask, Table
from shipworthy.deployment.integration.backups.backup import back_up
from shipworthy.deployment.integration.erasure.erase import Erasure, erase
from shipworthy.deployment.integration.log.drain import drain
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.replay import replay
from shipworthy.metrics.intervals import auc_interval
from shipworthy.store.files import write_bytes
from shipworthy.store.workspace import Workspace, open_workspace
from shipworthy.survey import ROWS

PLANTED = CHOSEN = 100
SIZE, SHADOWS, SHOWN = 1_600, 12, 200
TOWNS = ("Aa", "Bath", "Cork", "Delft", "Eger")
PROJECT = """[project]
name = "erasure-drill"
purpose = "ground for the drill of erasure"
trainer = "trainer"
approver = "approver"
subject = "person"
[data]
target = "outcome"
positive = "yes"
identifiers = ["person"]
personal = ["email", "note", "town"]
set_aside = ["email", "note"]
[[source]]
address = "people.csv"
[learning]
seconds = 2.0
search = false
learners = ["trivial", "linear"]
[gate]
without = [{rows}]
"""
Eraser = Callable[..., Erasure]
quiet: Callable[[str], None] = lambda name: None  # noqa: E731 - progress that nobody watches


@dataclass(frozen=True)
class People:
    """The table of the drill. marker: begins every planted word. ids: of the planted people, then of the chosen."""

    table: pa.Table
    marker: str
    ids: tuple[str, ...]


def erasure(
    folder: Path | None = None, *, progress: Callable[[str], None] = quiet, eraser: Eraser = erase, seed: int = 0
) -> Drill:
    """What came of the drill of erasure in a new folder, a temporary one by default: no trace, or where one was found.

    eraser: the erasure that is tried; another than the product's is for showing that the drill can fail.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as home:
            found = erasure(Path(home) / "drill", progress=progress, eraser=eraser, seed=seed)
            for path in Path(home).rglob("*"):
                path.chmod(0o755 if path.is_dir() else 0o644)
        return found
    people = drawn(seed)
    progress("the whole way with the people in it")
    place = _project(folder, people.table)
    before = _champion(place, flow.build(place))
    progress("serving, labels, backup")
    _served(place, people.table)
    backup = folder.parent / f"{folder.name}.backup.tar"
    back_up(place, backup, keys=True)
    progress("the whole way without them")
    stay = np.isin(people.table["person"].to_numpy(zero_copy_only=False), people.ids, invert=True)
    pyarrow.csv.write_csv(people.table.filter(pa.array(stay)), folder / "people.csv")  # what the owner of a source does
    started = time.perf_counter()
    eraser(place, people.ids, by="operator", why="drill", backups=[backup])
    built = flow.build(place)
    after = _champion(place, built)
    done = eraser(place, people.ids, by="operator", why="drill", backups=[backup])
    seconds = time.perf_counter() - started
    progress("searching every byte")
    seen = search(folder, [people.marker, *people.ids[PLANTED:]], also=[backup])
    progress("asking who was in the training data")
    auc, low, high = recognised(built, people.table.filter(pa.array(~stay)))
    first = {hit.file: f"{hit.file}: {hit.word[:8]}… ({hit.how})" for hit in reversed(seen.hits)}
    return Drill("erasure", datetime.now(UTC).isoformat(timespec="seconds"), __version__, len(people.ids), seen.files,
                 tuple(sorted(first.values()))[:SHOWN], len(seen.hits), before != after, auc, low, high,
                 (*done.retrain, *done.waiting, *done.left, *seen.unread), round(seconds, 2))


def drawn(seed: int = 0) -> People:
    """People of whom the last hundred have words of their own in every column, and a hundred are chosen at random."""
    random = np.random.default_rng([2_016_679, seed])
    marker = "zq" + secrets.token_hex(5)
    ids = np.array([f"p{secrets.token_hex(6)}" for _ in range(SIZE)], object)
    planted = np.arange(SIZE) >= SIZE - PLANTED
    income, age = random.normal(size=SIZE).round(4), random.integers(18, 90, SIZE)
    true = random.random(SIZE) < 1 / (1 + np.exp(-1.6 * income + 0.02 * (age - 50)))
    columns = {"person": ids, "email": np.array([f"{one}@example.org" for one in ids], object),
               "note": np.array([f"called on day {n % 28}" for n in range(SIZE)], object),
               "town": random.choice(TOWNS, SIZE).astype(object)}
    for name, words in columns.items():
        words[planted] = [f"{marker}{name}{n}" for n in range(PLANTED)]
    order = random.permutation(SIZE)
    table = pa.table({**{name: pa.array(words, pa.string()) for name, words in columns.items()}, "income": income,
                      "age": age, "outcome": np.where(true, "yes", "no")}).take(pa.array(order))
    chosen = random.choice(columns["person"][~planted], CHOSEN, replace=False)
    return People(table, marker, (*columns["person"][planted].tolist(), *chosen.tolist()))


def recognised(built: flow.Built, people: pa.Table) -> tuple[float, float, float]:
    """AUC with its 95 % interval by which likelihood ratios tell the erased from rows that were never learnt from."""
    case, model = built.case, built.release.model
    holdout: Table = case["parts"].holdout
    erased = Table.of(people, name="erased").data.select(holdout.schema.names).cast(holdout.data.schema)
    pool = Table(pa.concat_tables([erased, holdout.data]), holdout.schema, "pool")
    chosen = built.learned.chosen
    random = np.random.default_rng(0)
    halves = np.stack([_half(pool.rows, random) for _ in range(SHADOWS)])
    told = np.stack([signal(case["steps"].train(pool.take(half), learner=chosen.learner, seed=seed,
                                                settings=dict(chosen.settings)), pool)
                     for seed, half in enumerate(halves)])
    score = ratio(signal(model, pool), told, halves)
    truth = (np.arange(pool.rows) < len(people)).astype(np.int64)
    low, high = auc_interval(truth, score)
    return (low + high) / 2, low, high


def keep(place: Workspace, drill: Drill) -> Path:
    """The file that now holds what a drill found; the next run judges it."""
    path = place.store.home / FOLDER / f"{drill.name}-{drill.at.replace(':', '')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, canonical(drill))
    return path


def _half(rows: int, random: np.random.Generator) -> Mask:
    mask = np.zeros(rows, np.bool_)
    mask[random.permutation(rows)[: rows // 2]] = True
    return mask


def _project(folder: Path, table: pa.Table) -> Workspace:
    folder.mkdir(parents=True)
    pyarrow.csv.write_csv(table, folder / "people.csv")
    rows = ", ".join(f'"{row.id}"' for row in ROWS if row.required)
    (folder / "shipworthy.toml").write_text(PROJECT.format(rows=rows), encoding="utf-8")
    return open_workspace(folder)


def _champion(place: Workspace, built: flow.Built) -> str:
    """The digest of the model that answers from now on."""
    flow.promote(place, by="approver", why="drill", release_id=built.release.id)
    return built.release.model.digest


def _served(place: Workspace, table: pa.Table) -> None:
    """Everybody is asked about, labels come in, half of it is drained."""
    release = flow.in_production(place)
    people = Table.of(table, name="people")
    with Server(release, place.log, place.project) as server:
        replay(people, server.address, label="outcome", batch=50)
    drain(place.log, place.store.tables)
