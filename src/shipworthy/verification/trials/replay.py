"""Replaying a stream as production would: batch by batch in time, labels late, and what came of it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from shipworthy.core.amounts import AMOUNTS, Amounts, amounts
from shipworthy.core.case import Steps
from shipworthy.core.found import Contract
from shipworthy.core.grid import Reference
from shipworthy.core.model import Model
from shipworthy.core.project import Value
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.errors import FAULTS, ShipworthyError
from shipworthy.metrics.losses import row_losses
from shipworthy.verification.requirements.worth import decide, declared, nothing, worth
from shipworthy.verification.trials.simulation import World

Outcome = str
HARMED, CRASHED = "harmed in silence", "crashed"
REFUSED, PAGED = "refused by the contract", "paged by monitoring"
WORTH, ABSTAINED, UNREAD = "still worth it", "abstained from", "refused by the model"
MORE = 0.1


class Usual(NamedTuple):
    """What is so without trouble. seen: labels of the learning rows. abstain: share of holdout rows."""

    seen: Floats | Ints
    abstain: float


def lived(world: World, contract: Contract, grid: Reference, steps: Steps, usual: Usual) -> Outcome:
    """What became of a stream: worth deciding all the same, abstained from, noticed by an alarm, or harm in silence."""
    try:
        predictions = world.model.predict(world.rows)
        kept = ~predictions.abstain
        truth = world.model.truth(world.rows)
        if gain(world.value, world.model, usual.seen, truth[kept], predictions.score[kept]) >= 0:
            return WORTH
        if predictions.abstain.mean() >= max(0.5, usual.abstain + MORE):
            return ABSTAINED
        return alarmed(world, contract, grid, steps) or HARMED
    except ShipworthyError:
        return UNREAD
    except FAULTS:
        return CRASHED


def alarmed(world: World, contract: Contract, grid: Reference, steps: Steps) -> Outcome:
    """Which alarm a stream raises: the contract's, at a batch, or else monitoring's; empty if none."""
    if any(steps.validate(contract, batch) for batch in world.batches()):
        return REFUSED
    rows = world.rows
    if rows.schema.one("time") is None:  # then the order of a file says nothing, and monitoring must not read it
        rows = rows.take(np.random.default_rng(0).permutation(rows.rows))
    at = steps.alarm(world.model, grid, rows, delay=world.delay, accepted=world.accepted)
    return PAGED if at is not None else ""


def averaged(value: Value | None, rows: Table) -> Value | None:
    """The value table with numbers for columns, each the mean of its rows: for rows that are not those of the table."""
    if value is None or not declared(value):
        return None
    return msgspec.structs.replace(value, **amounts(value, rows).average.of)


def gain(value: Value | None, model: Model, seen: Floats | Ints, truth: Floats | Ints, score: Floats) -> float:
    """What deciding earns a row beyond doing nothing; without a value table, how much lower its loss is than that of
    always answering the prior. value: its amounts as numbers.
    """
    if not len(truth):
        return 0.0
    if value is not None and declared(value):
        paid = Amounts({name: float(getattr(value, name)) for name in AMOUNTS}, value.capacity)
        own = worth(paid, model, truth, decide(model, score, capacity=value.capacity))
        return float((own - worth(paid, model, truth, nothing(value, model, len(truth), seen))).mean())
    if model.task == "regression":
        prior = np.full(len(truth), float(np.mean(seen)))
    else:
        share = np.bincount(np.asarray(seen, np.int64), minlength=len(model.classes)) / len(seen)
        prior = np.full(len(truth), share[1]) if model.task == "binary" else np.tile(share, (len(truth), 1))
    return float((row_losses(prior, truth, model.task) - row_losses(score, truth, model.task)).mean())
