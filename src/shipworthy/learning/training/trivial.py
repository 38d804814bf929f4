"""The trivial rule: the base rate, moved by the one split that explains most."""

from __future__ import annotations

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.tree import fit_tree
from shipworthy.marks import learner


@learner("trivial", tasks=("binary", "multiclass", "regression"), glass_box=True, order=0)
def trivial(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """A tree with one split: the least that any other model must beat."""
    return fit_tree(inputs, truth, job, label="trivial", max_depth=1, min_samples_leaf=max(20, len(truth) // 200))
