"""The explainable boosting machine: one shape per input and a few pairs, each of which can be drawn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.program import Program
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.lower_tables import lower_ebm
from shipworthy.learning.training.rows import at_most
from shipworthy.marks import learner

CELLS_A_SECOND = 130_000


@learner("additive", tasks=("binary", "multiclass", "regression"), glass_box=True, order=30)
def additive(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """An explainable boosting machine on as many rows as fit its time, with pairs where there are under 20,000.

    Source: Nori et al. (2019), InterpretML.
    """
    from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor

    most = max(1_000, int(job.seconds * CELLS_A_SECOND / inputs.shape[1] / max(1, job.outputs)))
    pairs = 8 if len(truth) < 20_000 and job.outputs == 1 and job.seconds >= 3 else 0
    inputs, truth = at_most(inputs, truth, most, job.seed)
    settings: dict[str, Any] = {"interactions": pairs, "outer_bags": 2, "max_rounds": 2_000, "learning_rate": 0.04,
                                "max_bins": 256}
    kinds = ["nominal" if kind.categorical else "continuous" for kind in job.inputs]
    kind = ExplainableBoostingRegressor if job.task == "regression" else ExplainableBoostingClassifier
    model = kind(feature_types=kinds, n_jobs=1, random_state=job.seed, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(inputs, truth)
    program = Program(job.inputs, lower_ebm(model, job.inputs, job.outputs), job.link, job.classes, label="additive")

    def margin(rows: Floats) -> Floats:
        raw = model.predict(rows) if job.task == "regression" else model.decision_function(rows)
        return np.asarray(raw, np.float64).reshape(len(rows), job.outputs)

    return Fitted(program, margin, settings, rows=len(truth))
