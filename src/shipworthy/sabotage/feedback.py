"""Planted loops: traffic whose answers make their own labels, simulated with a known gain, and twins without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from shipworthy.core.model import Model
from shipworthy.core.table import Table
from shipworthy.errors import BadData
from shipworthy.marks import sabotage, twin
from shipworthy.metrics.loops import simulated
from shipworthy.sabotage.deployment_monitoring import served, tallied

Case = Mapping[str, Any]
TIMES, SCALE, GAIN, SHARE = 16, 0.1, 0.5, 0.05


@twin("loop-gain")
def answers_change_nothing(case: Case, seed: int) -> Case:
    """Noise on the scores, and labels that do not heed them."""
    return noisy(case, seed, gain=0.0)


@sabotage("answers-come-true", check="loop-gain")
def answers_come_true(case: Case) -> Case:
    """Half of what the answers say more than they know comes true because they say it."""
    return noisy(case, 0, gain=GAIN)


@twin("holdback")
def held_back_alike(case: Case, seed: int) -> Case:
    """One entity in twenty is held back, and what comes true of it is what would have come true anyway."""
    return held_back(case, seed, gain=0.0)


@sabotage("alarms-come-true", check="holdback")
def alarms_come_true(case: Case) -> Case:
    """Half of the rows for which the model decides on the last class get it, whatever they are; none held back does."""
    return held_back(case, 0, gain=GAIN)


@sabotage("only-the-accepted-are-labelled", check="holdback")
def only_the_accepted_are_labelled(case: Case) -> Case:
    """Rows that the model decided against come back without a label, those held back with one."""
    found = held_back(case, 0, gain=0.0)
    model, log, labels = case["model"], found["log"], found["labels"]
    score = log.numbers("score")
    gone = (log.words("arm") == "champion") & (score < (model.sheet.threshold if model.classes else np.median(score)))
    return parted(found, log, labels.take(~gone))


@sabotage("answers-change-the-rows", check="holdback")
def answers_change_the_rows(case: Case) -> Case:
    """Whoever the model answers comes with another figure from then on, and nothing else differs; others stay."""
    found = held_back(case, 0, gain=0.0)
    log, grid = found["log"], found["grid"]
    name = next((cells.name for cells in grid.plan.columns if cells.kind == "number" and cells.name in log.schema), "")
    if not name:
        raise BadData("no column is a number", where="the log", hint="the fault needs one")
    values = log.numbers(name)
    moved = values + np.nanstd(values) * (log.words("arm") == "champion")
    return parted(found, log.with_column(name, pa.array(moved, mask=np.isnan(moved))), found["labels"])


def noisy(case: Case, seed: int, *, gain: float) -> Case:
    """The case with sixteen times its traffic, noise on the scores, and labels that heed it with a gain."""
    found, random = many(case, seed), np.random.default_rng([13, seed])
    model: Model = case["model"]
    log, labels = found["log"], found["labels"]
    score = log.numbers("score")
    if len(model.classes) > 2:
        raise BadData("the scores of many classes get no noise", where="[feedback] randomise",
                      hint="the fault needs a number or two classes")
    if model.classes:
        noise, came = simulated(score, random, gain=gain, scale=SCALE)
        labels = labels.with_column("label", named(model, came))
    else:
        scale = float(np.std(labels.numbers("label") - score))
        noise = np.clip(random.standard_normal(log.rows), -3, 3) * scale
        labels = labels.with_column("label", labels.numbers("label") + gain * noise)
    return tallied(found, log=log.with_column("noise", pa.array(noise, mask=noise == 0)), labels=labels)


def held_back(case: Case, seed: int, *, gain: float) -> Case:
    """The case with sixteen times its traffic, one row in twenty held back, and alarms about others that come true."""
    found, random = many(case, seed), np.random.default_rng([17, seed])
    model: Model = case["model"]
    log, labels = found["log"], found["labels"]
    held = random.random(log.rows) < SHARE
    if gain and not model.classes:
        raise BadData("no alarm about a number comes true", where="the label", hint="the fault needs classes")
    if gain:
        turned = ~held & (log.words("decision") == model.classes[-1]) & (random.random(log.rows) < gain)
        label = np.where(turned, model.classes[-1], labels.words("label"))
        labels = labels.with_column("label", pa.array(label.tolist(), pa.string()))
    return parted(found, log.with_column("arm", pa.array(np.where(held, "holdback", "champion").tolist())), labels)


def parted(case: Case, log: Table, labels: Table) -> Case:
    """The case with a log of which some is held back, each part counted by itself."""
    held = log.words("arm") == "holdback"
    rest, beside = (tallied(case, log=log.take(some), labels=labels)["tallies"] for some in (~held, held))
    return {**case, "log": log, "labels": labels, "tallies": rest, "beside": beside}


def many(case: Case, seed: int) -> Case:
    """The clean traffic sixteen times over, each row with an id of its own."""
    found = served(case, seed)
    return {**found, "log": _repeated(found["log"]), "labels": _repeated(found["labels"])}


def _repeated(table: Table) -> Table:
    rows = table.take(np.tile(np.arange(table.rows), TIMES))
    which = np.repeat(np.arange(TIMES), table.rows)
    ids = [f"{word}-{time}" for word, time in zip(rows.words("prediction_id"), which, strict=True)]
    return rows.with_column("prediction_id", pa.array(ids))


def named(model: Model, came: Any) -> pa.Array:
    """The classes of a binary model for what came true."""
    return pa.array(np.where(came, model.classes[1], model.classes[0]).tolist(), pa.string())
