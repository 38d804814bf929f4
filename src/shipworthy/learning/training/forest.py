"""A random forest: many trees averaged, the strong baseline with few settings."""

from __future__ import annotations

from typing import Any


from shipworthy.core.learned import Fitted, Job
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.rows import at_most
from shipworthy.learning.training.tree import share_program
from shipworthy.marks import learner

MOST_ROWS = 30_000


@learner("forest", tasks=("binary", "multiclass", "regression"), order=40)
def forest(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """60 trees with at least 0.1 % of the rows in a leaf, on at most 30,000 rows drawn by the seed.

    Source: Breiman (2001).
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    inputs, truth = at_most(inputs, truth, MOST_ROWS, job.seed)
    settings: dict[str, Any] = {"n_estimators": 60, "min_samples_leaf": max(3, len(truth) // 1_000)}
    kind = RandomForestRegressor if job.task == "regression" else RandomForestClassifier
    share = {"max_features": 0.5} if job.task == "regression" else {}
    model = kind(random_state=job.seed, n_jobs=job.threads, **settings, **share).fit(inputs, truth)
    return share_program(list(model.estimators_), model, job, "forest", settings, rows=len(truth))


