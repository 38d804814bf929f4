"""Trees grown on top of a model that is there: what it still gets wrong is learnt from newer rows."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.program import Program
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.boosted import DEFAULT, dataset, fitted, grow

ROUNDS = 60
SETTINGS = {**DEFAULT, "num_leaves": 15, "learning_rate": 0.05, "rounds": ROUNDS}


def warm(program: Program, inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted | None:
    """The program with up to 60 rounds of trees added; None for one whose margin is a share already.

    program: of any learner; its calibration is left out, for the sum has to be calibrated anew. Of the rows the newest
    fifth says when to stop. Source: Friedman (2001): boosting goes on from any first guess; LightGBM, `init_score`.
    """
    if program.link != job.link or len(truth) < 50:
        return None
    base, kept = program.calibrated(None), len(truth) - len(truth) // 5
    start = base.margin(inputs)
    before = dataset(inputs[:kept], truth[:kept], job.only(np.arange(kept)))
    after = dataset(inputs[kept:], truth[kept:], job, reference=before)
    for data, rows in ((before, slice(None, kept)), (after, slice(kept, None))):
        data.set_init_score(start[rows].ravel(order="F"))
    grown = grow(before, job, SETTINGS, end=time.monotonic() + job.seconds, valid=after)
    more = fitted(grown.booster, grown.rounds, job, SETTINGS, rows=len(truth))
    whole = replace(base, terms=(*base.terms, *more.program.terms), label=f"{base.label} + trees")

    def margin(asked: Floats) -> Floats:
        return base.margin(asked) + more.margin(asked)

    return Fitted(whole, margin, more.settings, rows=len(truth))
