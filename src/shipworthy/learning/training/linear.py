"""Logistic, multinomial or ridge regression over filled, scaled and one-hot inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.program import Program
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.lower_linear import design, lower_linear, moments
from shipworthy.learning.training.rows import at_most
from shipworthy.marks import learner

MOST_ROWS = 60_000


@learner("linear", tasks=("binary", "multiclass", "regression"), glass_box=True, order=10)
def linear(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """Ridge-penalised maximum likelihood on at most 60,000 rows drawn by the seed."""
    from sklearn.linear_model import LogisticRegression, Ridge

    inputs, truth = at_most(inputs, truth, MOST_ROWS, job.seed)
    usual = moments(inputs, job.inputs)
    matrix = design(inputs, job.inputs, *usual)
    settings: dict[str, Any] = {"alpha": 1.0} if job.task == "regression" else {"C": 1.0, "max_iter": 200, "tol": 1e-3}
    model = (Ridge if job.task == "regression" else LogisticRegression)(**settings).fit(matrix, truth)
    coefficients = np.atleast_2d(np.asarray(model.coef_, np.float64)).T
    intercept = np.atleast_1d(np.asarray(model.intercept_, np.float64))
    if job.task == "multiclass":
        coefficients, intercept = _every_class(model, coefficients, intercept, len(job.classes))
    terms = lower_linear(job.inputs, usual, coefficients, intercept)
    program = Program(job.inputs, terms, job.link, job.classes, label="linear")

    def margin(rows: Floats) -> Floats:
        return np.asarray(design(rows, job.inputs, *usual) @ coefficients + intercept, np.float64)

    return Fitted(program, margin, settings, rows=len(truth))


def _every_class(model: Any, coefficients: Floats, intercept: Floats, classes: int) -> tuple[Floats, Floats]:
    """Columns for every class; one that the training rows lack is all but impossible."""
    codes = [int(code) for code in model.classes_]
    if coefficients.shape[1] == 1:
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients], axis=1)
        intercept = np.array([0.0, intercept[0]])
    full, base = np.zeros((len(coefficients), classes)), np.full(classes, -30.0)
    full[:, codes], base[codes] = coefficients, intercept
    return full, base
