"""A random forest: many trees averaged, the strong baseline with few settings."""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.orders import ordered, orders
from shipworthy.learning.training.rows import at_most, weighed
from shipworthy.learning.training.tree import known_settings, share_program
from shipworthy.marks import learner

MOST_ROWS = 30_000
CELLS_A_SECOND = 1_000_000
TREES = 60


@learner("forest", tasks=("binary", "multiclass", "regression"), order=40)
def forest(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """60 trees with at least 0.1 % of the rows in a leaf, on as many rows as its time allows, 30,000 at most.

    Settings: n_estimators, min_samples_leaf. Categories are cut in the order of their outcomes.
    Source: Breiman (2001), as scikit-learn fits it.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    width = inputs.shape[1]
    tried = width / 2 if job.task == "regression" else np.sqrt(width)
    most = max(1_000, int(job.seconds * CELLS_A_SECOND / (TREES * max(1.0, tried))))
    weights = weighed(job, min(MOST_ROWS, most))
    inputs, truth = at_most(inputs, truth, min(MOST_ROWS, most), job.seed)
    default: dict[str, Any] = {"n_estimators": TREES, "min_samples_leaf": max(3, len(truth) // 1_000)}
    settings = known_settings(default, job, "forest")
    ranks = orders(inputs, truth, job.inputs, len(job.classes))
    kind = RandomForestRegressor if job.task == "regression" else RandomForestClassifier
    share = {"max_features": 0.5} if job.task == "regression" else {}
    model = kind(random_state=job.seed, n_jobs=1, **settings, **share)
    model.fit(ordered(inputs, ranks), truth, sample_weight=weights)
    return share_program(list(model.estimators_), model, job, "forest", settings, ranks=ranks, rows=len(truth))
