"""One decision tree, shallow enough to be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.program import Link, Program, Term
from shipworthy.core.table import Floats, Ints
from shipworthy.errors import Misuse, nearest
from shipworthy.learning.training.lower_trees import lower_sklearn
from shipworthy.learning.training.orders import ordered, orders
from shipworthy.learning.training.rows import at_most, weighed
from shipworthy.marks import learner

CELLS_A_SECOND = 1_000_000
DRAWN = 5.0


@learner("tree", tasks=("binary", "multiclass", "regression"), glass_box=True, order=20)
def tree(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """A tree of depth 6 with at least 1 % of the rows in a leaf. Settings: max_depth, min_samples_leaf.

    Source: Breiman et al. (1984), as scikit-learn fits it.
    """
    return fit_tree(inputs, truth, job, label="tree", max_depth=6, min_samples_leaf=max(10, len(truth) // 100))


def fit_tree(inputs: Floats, truth: Floats | Ints, job: Job, *, label: str, **default: Any) -> Fitted:
    """A fitted and lowered scikit-learn tree; categories are cut in the order of their outcomes.

    Shares of classes are drawn to the base rate, so that no leaf of ten rows is sure of what it says.
    """
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    settings = known_settings(default, job, label)
    most = max(2_000, int(job.seconds * CELLS_A_SECOND / max(1, inputs.shape[1])))
    weights = weighed(job, most)
    inputs, truth = at_most(inputs, truth, most, job.seed)
    ranks = orders(inputs, truth, job.inputs, len(job.classes))
    kind = DecisionTreeRegressor if job.task == "regression" else DecisionTreeClassifier
    model = kind(random_state=job.seed, **settings).fit(ordered(inputs, ranks), truth, sample_weight=weights)
    if job.task != "regression":
        _smooth(model)
    return share_program([model], model, job, label, settings, ranks=ranks, rows=len(truth))


def _smooth(model: Any) -> None:
    """Draw every leaf's shares of the classes as if `DRAWN` more rows of the base rate lay in it.

    Source: Cestnik (1990), the m-estimate; Provost and Domingos (2003), who find that trees need it to rank and weigh.
    """
    shares, rows = model.tree_.value, model.tree_.n_node_samples[:, None, None]
    shares[...] = (shares * rows + DRAWN * shares[0]) / (rows + DRAWN)


def known_settings(default: Mapping[str, Any], job: Job, label: str) -> dict[str, Any]:
    """The default settings with those of the job over them. Raises Misuse for one that the learner does not have."""
    for name in job.settings:
        if name not in default:
            raise Misuse(f'the learner "{label}" has no setting "{name}"', where=f"learner {label}",
                         hint=nearest(name, default) or f"it has {', '.join(default)}")
    return {**default, **job.settings}


def share_program(
    trees: list[Any],
    model: Any,
    job: Job,
    label: str,
    settings: dict[str, Any],
    *,
    ranks: Sequence[Ints | None],
    rows: int,
) -> Fitted:
    """The lowered form of scikit-learn trees: the mean over trees of leaf means, or of the shares of the classes.

    The margin is a share already, so no link follows.
    """
    seen = [int(code) for code in getattr(model, "classes_", ())]
    positive = seen.index(1) if job.task == "binary" and 1 in seen else None
    term = lower_sklearn(trees, positive=positive, outputs=job.outputs, ranks=ranks)
    if job.task == "multiclass" and seen != list(range(len(job.classes))):
        term = _spread(term, seen, len(job.classes))
    if job.task == "binary" and positive is None:
        term = Term(term.kind, {**term.arrays, "leaf": np.zeros((len(term.arrays["leaf"]), 1))})
    link: Link = "share" if job.task == "multiclass" else "identity"
    program = Program(job.inputs, (term,), link, job.classes, label=label)

    def margin(asked: Floats) -> Floats:
        with np.errstate(over="ignore"):
            narrow = np.ascontiguousarray(ordered(asked, ranks), np.float32)
        regression = job.task == "regression"
        each = [one.predict(narrow, check_input=False).reshape(-1, 1) if regression
                else one.predict_proba(narrow, check_input=False) for one in trees]
        mean = np.asarray(sum(each[1:], each[0]) / len(trees), np.float64)
        if regression or positive is not None:
            return mean[:, [positive or 0]]
        full = np.zeros((len(asked), max(len(job.classes), 2)))
        full[:, seen] = mean
        return full if job.task == "multiclass" else full[:, [1]]

    return Fitted(program, margin, settings, rows=rows)


def _spread(term: Term, codes: list[int], classes: int) -> Term:
    """The term with a zero column for every class that the training rows lack."""
    leaf = np.zeros((len(term.arrays["leaf"]), classes))
    leaf[:, codes] = term.arrays["leaf"]
    return Term(term.kind, {**term.arrays, "leaf": leaf, "base": np.zeros(classes)})
