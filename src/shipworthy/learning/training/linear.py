"""Logistic, multinomial or ridge regression over filled, scaled and one-hot inputs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.program import Program
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.lower_linear import design, lower_linear, moments
from shipworthy.learning.training.rows import at_most, weighed
from shipworthy.learning.training.tree import known_settings
from shipworthy.marks import learner

MOST_ROWS = 60_000
CELLS_A_SECOND = 4_000_000


@learner("linear", tasks=("binary", "multiclass", "regression"), glass_box=True, order=10)
def linear(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """Ridge-penalised maximum likelihood on as many rows as fit its time, 60,000 at most, drawn by the seed.

    Settings: alpha for a regression, else C, max_iter and tol. Source: Hoerl and Kennard (1970); Cox (1958).
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    columns = sum(kind.levels or 2 for kind in job.inputs) * job.outputs
    most = max(2_000, int(job.seconds * CELLS_A_SECOND / columns))
    weights = weighed(job, min(MOST_ROWS, most))
    inputs, truth = at_most(inputs, truth, min(MOST_ROWS, most), job.seed)
    usual = moments(inputs, job.inputs)
    matrix = design(inputs, job.inputs, *usual)
    default: dict[str, Any] = {"alpha": 1.0} if job.task == "regression" else {"C": 1.0, "max_iter": 200, "tol": 1e-3}
    settings = known_settings(default, job, "linear")
    model = (Ridge if job.task == "regression" else LogisticRegression)(**settings)
    _fit(model, matrix, truth, weights)
    coefficients = np.atleast_2d(np.asarray(model.coef_, np.float64)).T
    intercept = np.atleast_1d(np.asarray(model.intercept_, np.float64))
    if job.task == "multiclass":
        coefficients, intercept = _every_class(model, coefficients, intercept, len(job.classes))
    terms = lower_linear(job.inputs, usual, coefficients, intercept)
    program = Program(job.inputs, terms, job.link, job.classes, label="linear")

    def margin(rows: Floats) -> Floats:
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(design(rows, job.inputs, *usual) @ coefficients + intercept, np.float64)

    return Fitted(program, margin, settings, rows=len(truth))


def _fit(model: Any, matrix: Floats, truth: Floats | Ints, weights: Floats | None) -> None:
    """Fit for at most `max_iter` rounds; not having converged by then is no fault."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(matrix, truth, sample_weight=weights)


def _every_class(model: Any, coefficients: Floats, intercept: Floats, classes: int) -> tuple[Floats, Floats]:
    """Columns for every class; one that the training rows lack is all but impossible."""
    codes = [int(code) for code in model.classes_]
    if coefficients.shape[1] == 1:
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients], axis=1)
        intercept = np.array([0.0, intercept[0]])
    full, base = np.zeros((len(coefficients), classes)), np.full(classes, -30.0)
    full[:, codes], base[codes] = coefficients, intercept
    return full, base
