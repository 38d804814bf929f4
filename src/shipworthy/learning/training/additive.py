"""The explainable boosting machine: one shape per input and a few pairs, each of which can be drawn."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.program import Program
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.lower_tables import lower_ebm
from shipworthy.learning.training.rows import at_most, weighed
from shipworthy.learning.training.tree import known_settings
from shipworthy.marks import learner

CELLS_A_SECOND = 250_000
LEAST, FEW = 30, 200
STEP, STEP_A_ROW = 45e-6, 5e-9
SAFETY = 0.6


@learner("additive", tasks=("binary", "multiclass", "regression"), glass_box=True, order=30)
def additive(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """An explainable boosting machine on as many rows, and for as many rounds, as its time allows on a usual machine.

    The clock is not asked, so that the same rows and seconds give the same model however busy the machine is.
    Settings: interactions, outer_bags, max_rounds, learning_rate. Several classes have no pairs.
    Source: Nori et al. (2019), InterpretML.
    """
    cells = max(1, inputs.shape[1] * job.outputs)
    most = max(1_000, int(job.seconds * CELLS_A_SECOND / cells))
    job, (inputs, truth) = replace(job, weights=weighed(job, most)), at_most(inputs, truth, most, job.seed)
    pairs = 8 if job.outputs == 1 else 0
    step = STEP + STEP_A_ROW * len(truth) * job.outputs
    rounds = SAFETY * job.seconds / (step * (inputs.shape[1] + pairs))
    bags = 2 if rounds > 2 * FEW else 1
    default = {
        "interactions": pairs,
        "outer_bags": bags,
        "max_rounds": int(min(3_000, max(LEAST, rounds / bags))),
        "learning_rate": 0.04,
    }
    settings = known_settings(default, job, "additive")
    model = _fit(inputs, truth, job, settings)
    program = Program(job.inputs, lower_ebm(model, job.inputs, job.outputs), job.link, job.classes, label="additive")

    levels = np.array([kind.levels or np.inf for kind in job.inputs])
    coded = np.array([kind.categorical for kind in job.inputs])

    def margin(rows: Floats) -> Floats:
        rows = np.where(coded & ((rows < 0) | (rows >= levels)), np.nan, rows)  # as the encoders give unseen values
        raw = model.predict(rows) if job.task == "regression" else model.decision_function(rows)
        return np.asarray(raw, np.float64).reshape(len(rows), job.outputs)

    return Fitted(program, margin, settings, rows=len(truth))


def _fit(inputs: Floats, truth: Floats | Ints, job: Job, settings: dict[str, Any]) -> Any:
    from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor

    kinds = ["nominal" if kind.categorical else "continuous" for kind in job.inputs]
    kind = ExplainableBoostingRegressor if job.task == "regression" else ExplainableBoostingClassifier
    model = kind(feature_types=kinds, n_jobs=1, random_state=job.seed, max_bins=256, max_interaction_bins=32,
                 **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(inputs, truth, sample_weight=job.weights)
