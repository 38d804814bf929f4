"""One decision tree, shallow enough to be read."""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.program import Program, Term
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.lower_trees import lower_sklearn
from shipworthy.marks import learner


@learner("tree", tasks=("binary", "multiclass", "regression"), glass_box=True, order=20)
def tree(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """A tree of depth 6 with at least 1 % of the rows in a leaf."""
    return fit_tree(inputs, truth, job, label="tree", max_depth=6, min_samples_leaf=max(10, len(truth) // 100))


def fit_tree(inputs: Floats, truth: Floats | Ints, job: Job, *, label: str, **settings: Any) -> Fitted:
    """A fitted and lowered scikit-learn tree; category codes are taken as ordered numbers."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeRegressor if job.task == "regression" else DecisionTreeClassifier
    model = kind(random_state=job.seed, **settings).fit(inputs, truth)
    return share_program([model], model, job, label, settings, rows=len(truth))


def share_program(
    trees: list[Any], model: Any, job: Job, label: str, settings: dict[str, Any], *, rows: int
) -> Fitted:
    """The lowered form of scikit-learn trees: leaf means of a regression, log shares through the link of a class.

    Shares are averaged over trees, so the program's margin is a share; an identity link leaves it a probability.
    """
    seen = list(getattr(model, "classes_", ()))
    codes = [int(code) for code in seen]
    term = lower_sklearn(trees, positive=None if job.task != "binary" else seen.index(1), outputs=job.outputs)
    if job.task == "multiclass" and codes != list(range(len(job.classes))):
        term = _spread(term, codes, len(job.classes))
    link = "share" if job.task == "multiclass" else "identity"
    program = Program(job.inputs, (term,), link, job.classes, label=label)

    def margin(rows: Floats) -> Floats:
        if job.task == "regression":
            return np.asarray(model.predict(rows), np.float64).reshape(-1, 1)
        shares = np.asarray(model.predict_proba(rows), np.float64)
        if job.task == "binary":
            return shares[:, [seen.index(1)]]
        full = np.zeros((len(rows), len(job.classes)))
        full[:, codes] = shares
        return full

    return Fitted(program, margin, settings, rows=rows)


def _spread(term: Term, codes: list[int], classes: int) -> Term:
    """The term with a zero column for every class that the training rows lack."""
    leaf = np.zeros((len(term.arrays["leaf"]), classes))
    leaf[:, codes] = term.arrays["leaf"]
    return Term(term.kind, {**term.arrays, "leaf": leaf, "base": np.zeros(classes)})
