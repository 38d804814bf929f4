"""Logistic, multinomial or ridge regression over filled, scaled and one-hot inputs."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.program import Program
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.lower_linear import design, lower_linear, moments
from shipworthy.learning.training.rows import at_most
from shipworthy.learning.training.tree import known_settings
from shipworthy.marks import learner

MOST_ROWS = 60_000
CELLS_A_SECOND = 6_000_000
STEP = 20


@learner("linear", tasks=("binary", "multiclass", "regression"), glass_box=True, order=10)
def linear(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """Ridge-penalised maximum likelihood on as many rows as fit its time, 60,000 at most, drawn by the seed.

    Settings: alpha for a regression, else C, max_iter and tol. Source: Hoerl and Kennard (1970); Cox (1958).
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    begun = time.monotonic()
    columns = sum(kind.levels or 2 for kind in job.inputs) * job.outputs
    most = max(2_000, int(job.seconds * CELLS_A_SECOND / columns))
    inputs, truth = at_most(inputs, truth, min(MOST_ROWS, most), job.seed)
    usual = moments(inputs, job.inputs)
    matrix = design(inputs, job.inputs, *usual)
    default: dict[str, Any] = {"alpha": 1.0} if job.task == "regression" else {"C": 1.0, "max_iter": 200, "tol": 1e-3}
    settings = known_settings(default, job, "linear")
    model = (Ridge if job.task == "regression" else LogisticRegression)(**settings)
    if job.task == "regression":
        model.fit(matrix, truth)
    else:
        _in_steps(model, matrix, truth, begun + job.seconds)
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


def _in_steps(model: Any, matrix: Floats, truth: Floats | Ints, end: float) -> None:
    """Fit from where the last step ended, 20 rounds at a time, until it converged or the time is up."""
    from sklearn.exceptions import ConvergenceWarning

    rounds = int(model.max_iter)
    model.set_params(warm_start=True, max_iter=STEP)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for done in range(STEP, rounds + STEP, STEP):
            begun = time.monotonic()
            model.fit(matrix, truth)
            now = time.monotonic()
            if int(np.max(model.n_iter_)) < STEP or done >= rounds or now + (now - begun) > end:
                return


def _every_class(model: Any, coefficients: Floats, intercept: Floats, classes: int) -> tuple[Floats, Floats]:
    """Columns for every class; one that the training rows lack is all but impossible."""
    codes = [int(code) for code in model.classes_]
    if coefficients.shape[1] == 1:
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients], axis=1)
        intercept = np.array([0.0, intercept[0]])
    full, base = np.zeros((len(coefficients), classes)), np.full(classes, -30.0)
    full[:, codes], base[codes] = coefficients, intercept
    return full, base
