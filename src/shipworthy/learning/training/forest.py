"""A random forest: many trees averaged, the strong baseline with few settings."""

from __future__ import annotations

import time
from typing import Any

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.orders import ordered, orders
from shipworthy.learning.training.rows import at_most
from shipworthy.learning.training.tree import known_settings, share_program
from shipworthy.marks import learner

MOST_ROWS = 30_000
STEP = 5


@learner("forest", tasks=("binary", "multiclass", "regression"), order=40)
def forest(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """Up to 60 trees with at least 0.1 % of the rows in a leaf, on at most 30,000 rows; fewer trees if time is up.

    Settings: n_estimators, min_samples_leaf. Categories are cut in the order of their outcomes.
    Source: Breiman (2001), as scikit-learn fits it.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    end = time.monotonic() + 0.85 * job.seconds
    inputs, truth = at_most(inputs, truth, MOST_ROWS, job.seed)
    default: dict[str, Any] = {"n_estimators": 60, "min_samples_leaf": max(3, len(truth) // 1_000)}
    settings = known_settings(default, job, "forest")
    ranks = orders(inputs, truth, job.inputs, len(job.classes))
    matrix = ordered(inputs, ranks)
    kind = RandomForestRegressor if job.task == "regression" else RandomForestClassifier
    share = {"max_features": 0.5} if job.task == "regression" else {}
    wanted, longest, made = int(settings["n_estimators"]), 0.0, 0
    model = kind(random_state=job.seed, n_jobs=1, warm_start=True, **{**settings, "n_estimators": 1}, **share)
    while made < wanted and (not made or time.monotonic() + longest < end):
        begun = time.monotonic()
        made = min(wanted, made + (STEP if made else 1))
        model.set_params(n_estimators=made)
        model.fit(matrix, truth)
        longest = max(longest if made > 1 else 0.0, (time.monotonic() - begun) * (1 if made > 1 else STEP))
    settings["n_estimators"] = made
    return share_program(list(model.estimators_), model, job, "forest", settings, ranks=ranks, rows=len(truth))
