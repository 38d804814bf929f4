"""Mutants that change nothing anybody could see: no contract can be blamed for letting them pass.

An escaped mutant is equivalent if a learner, shown the struck rows and the same rows unstruck, labels included, cannot
tell them apart on rows it has not seen. Source: Offutt and Pan (1997), equivalent mutants; the test by a learner is
that of Lopez-Paz and Oquab (2017).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from shipworthy.core.case import Steps
from shipworthy.core.model import Model
from shipworthy.core.program import logistic
from shipworthy.core.table import Ints, Mask, Table
from shipworthy.errors import ShipworthyError
from shipworthy.metrics.intervals import auc_interval

OUTCOME = "__outcome"


def equivalent(model: Model, steps: Steps, clean: Table, struck: Table, seed: int) -> bool:
    """Whether a learner cannot tell struck rows from clean ones: the lower end of its AUC is at most one half.

    clean, struck: the same rows in the same order, before and after. A table of another shape is never equivalent.
    """
    if struck.schema.names != clean.schema.names or struck.rows != clean.rows:
        return False
    if any(struck.data[name].type != clean.data[name].type for name in clean.schema.names):
        return False
    half = np.random.default_rng(seed).random(clean.rows) < 0.5
    try:
        told: Model = steps.train(_both(model, clean, struck, half), learner="boosted", seed=seed, settings={})
        asked = _both(model, clean, struck, ~half)
        score = logistic(told.program.margin(told.inputs(asked))[:, 0])
    except ShipworthyError:
        return False
    sides: Ints = np.repeat([0, 1], int((~half).sum())).astype(np.int64)
    return not auc_interval(sides, score)[0] > 0.5


def _both(model: Model, clean: Table, struck: Table, kept: Mask) -> Table:
    """Some rows before and after, with the outcome as a feature and the side as the target, in the model's words."""
    pair = [clean.take(kept), struck.take(kept)]
    joined = Table(pa.concat_tables([one.data for one in pair]), clean.schema, "both")
    schema = joined.schema
    for column in schema.columns:
        if column.role == "time":
            schema = schema.replace(column.name, role="feature")
    words = [(model.classes[0], model.classes[-1])[side] if model.classes else float(side)
             for side, one in enumerate(pair) for _ in range(one.rows)]
    outcome = joined.column(model.sheet.target)
    return joined.with_schema(schema).with_column(model.sheet.target, pa.array(words)).with_column(OUTCOME, outcome)
