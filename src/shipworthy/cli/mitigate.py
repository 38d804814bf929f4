"""`shipworthy mitigate`: what closing a gap between groups would cost, before anything is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from shipworthy import flow
from shipworthy.assurance.groups import came_true, wished
from shipworthy.cli.talk import json_option, progress, project_option, put, say
from shipworthy.core.groups import Grouping, groupings
from shipworthy.core.learned import Job, Parts
from shipworthy.core.ledger import criterion_of
from shipworthy.core.model import Model
from shipworthy.core.progress import Progress
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.deployment.integration.releases import history
from shipworthy.errors import Misuse
from shipworthy.learning.selection.mitigation import PLAIN, WITHOUT, Fit, Margin, Price, Rows, prices
from shipworthy.learning.training.boosted import boosted
from shipworthy.store.workspace import Place, opened

TREES, SMALL, LEAVES = 100, 40, 15
HEAD = ("method", "accuracy", "gap of rates", "ratio", "gap of odds", "needs the attribute at serving")


@click.command()
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the newest candidate by default.")
@json_option
def command(folder: Path, release_id: str, as_json: bool) -> None:
    """Accuracy and gaps of every way to close a gap between groups, beside the model as it is; on tune rows.

    Nothing is changed. Boosted trees are fitted with each method; the criterion goes on record first.
    """
    with progress() as step:
        found = mitigate(folder, release_id=release_id, progress=step)
    if as_json:
        put(found)
        return
    rows = [(one.method, f"{one.accuracy:.3f}", f"{one.gap:.3f}", f"{one.ratio:.2f}", f"{one.odds:.3f}",
             "yes" if one.attribute else "no") for one in found]
    wide = [max(len(row[at]) for row in (HEAD, *rows)) for at in range(len(HEAD))]
    for row in (HEAD, *rows):
        click.echo("  ".join(cell.ljust(wide[at]) for at, cell in enumerate(row)).rstrip())
    for line in lessons(found):
        say(line)


def mitigate(place: Place, *, release_id: str = "", progress: Progress = flow.quiet) -> tuple[Price, ...]:
    """What each way to close a gap between groups costs, the model as it is first: accuracy, gap and ratio of selection
    rates, gap of odds, on the tune rows of a release, the newest if none is named. Groups are those of all protected
    columns together, of 50 rows or more.

    Raises Misuse where no criterion was chosen, nothing is protected, or the model is not of two classes.
    """
    place = opened(place)
    if not criterion_of(place.project):
        raise Misuse("no fairness criterion is chosen, so no group may be measured yet", where="[fairness]",
                     hint='name columns, [data] protected = ["…"], and choose one: criterion = "impact-ratio"')
    case = flow.stored(flow.candidate(place, release_id))
    parts, model = case["parts"], case["model"]
    if model.task != "binary":
        raise Misuse(f"the release answers a {model.task}, not one of two classes", where="shipworthy mitigate",
                     hint="state the decision as two classes: [data.target_rule]")
    history.measuring(place.store, place.project, parts.tune.digest)
    return tuple(_priced(place.project, model, parts, progress))


def lessons(found: tuple[Price, ...]) -> list[str]:
    """What the table shows, in a sentence each."""
    by_name = {one.method: one for one in found}
    plain, told = by_name[PLAIN], []
    if WITHOUT in by_name:
        bare = by_name[WITHOUT]
        told.append(f"leaving the protected columns out moves the gap of rates from {plain.gap:.3f} to {bare.gap:.3f}: "
                    "other columns stand in for them")
    equal = by_name["thresholds by group, equal rates"]
    told.append(f"equal rates by thresholds move the gap of odds from {plain.odds:.3f} to {equal.odds:.3f}; "
                "choose by the criterion that you declared, not by both")
    told.append("a method that needs the attribute at serving asks every person for it, and treats groups by name: "
                "have that looked at by whoever answers for the law")
    return told


def _priced(project: Project, model: Model, parts: Parts, progress: Progress) -> list[Price]:
    wish = wished(project, model)
    ways = [groupings(part, depth=len(part.schema.protected))[-1] for part in (parts.learn, parts.tune)]
    names = sorted(set(ways[0].label[ways[0].kept]) & set(ways[1].label[ways[1].kept]))
    if len(names) < 2:
        raise Misuse("no two groups have 50 rows each", where="[data] protected", hint="name columns of larger groups")
    learn, tune = (_rows(model, part, way, names, wish) for part, way in zip((parts.learn, parts.tune), ways,
                                                                              strict=True))
    protected = {column.name for column in parts.learn.schema.protected}
    without = [place for place, encoder in enumerate(model.features.encoders) if encoder.column in protected]
    job = Job("binary", model.classes, model.features.inputs, seconds=60.0, threads=project.learning.threads)
    edge = model.sheet.threshold if wish else 1 - model.sheet.threshold
    return prices(learn, tune, without, (_fit(job, TREES), _fit(job, SMALL)), threshold=float(np.clip(edge, 1e-6,
                  1 - 1e-6)), progress=progress)


def _rows(model: Model, table: Table, way: Grouping, names: list[str], wish: int) -> Rows:
    kept = np.isin(way.label, names)
    some = table.take(np.flatnonzero(kept))
    return Rows(model.inputs(some), came_true(model, model.truth(some), wish),
                np.searchsorted(names, way.label[kept]).astype(np.int64))


def _fit(job: Job, trees: int) -> Fit:
    def fit(inputs: Floats, outcome: Ints, weights: Floats) -> Margin:
        settings = {"rounds": trees, "num_leaves": LEAVES, "learning_rate": 0.1}
        program = boosted(inputs, outcome, replace(job, weights=weights, settings=settings)).program
        return lambda asked: np.asarray(program.margin(asked)[:, 0], np.float64)

    return fit
