"""A small network: one or two layers over held, scaled numbers and one-hot categories."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.program import Program
from shipworthy.core.table import Floats, Ints
from shipworthy.errors import Misuse
from shipworthy.kernels.dense import MOST_UNITS, MOST_WEIGHTS
from shipworthy.learning.training.lower_network import lower_network, scaled
from shipworthy.learning.training.rows import at_most
from shipworthy.learning.training.tree import known_settings
from shipworthy.marks import learner
from shipworthy.metrics.losses import row_losses

STEP, CELL = 4e-4, 1e-9
SAFETY = 0.6
FEW, MANY, PATIENCE = 20, 200, 12
HELD_BACK, LEAST_ROWS, MOST_CELLS = 0.1, 500, 30_000_000


@learner("network", tasks=("binary", "multiclass", "regression"), order=45, by_name=True)
def network(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """A perceptron of one or two hidden layers, stopped early on job.valid or a tenth of the rows held back.

    Rows and rounds are those that its time allows on a usual machine; the clock is not asked. Numbers beyond the range
    of the training rows count as its ends. Settings: units (of the first layer; the second has half), layers (1 or 2),
    activation (relu, tanh or logistic), alpha, learning_rate, batch, rounds.
    Source: Rumelhart, Hinton and Williams (1986); Kingma and Ba (2015), Adam; Prechelt (1998), early stopping.
    """
    columns = sum(kind.levels or 2 for kind in job.inputs)
    default: dict[str, Any] = {"units": 32, "layers": 2, "activation": "tanh", "alpha": 1e-3, "learning_rate": 2e-3,
                               "batch": 128, "rounds": 0}
    settings = known_settings(default, job, "network")
    shape = _shape(settings, columns, job.outputs)
    weights = sum(a * b for a, b in zip((columns, *shape), (*shape, job.outputs), strict=True))
    a_row = STEP / max(1, int(settings["batch"])) + CELL * weights
    most = min(MOST_CELLS // max(1, columns), int(SAFETY * job.seconds / (FEW * a_row)))
    inputs, truth = at_most(inputs, truth, max(LEAST_ROWS, most), job.seed)
    if not settings["rounds"]:
        settings["rounds"] = int(min(MANY, max(FEW, SAFETY * job.seconds / (a_row * len(truth)))))
    reading, centre, spread, valid = scaled(inputs, job.inputs), 0.0, 1.0, job.valid
    if job.task == "regression":
        centre, spread = float(truth.mean()), float(truth.std()) or 1.0
        truth, valid = _standard(truth, centre, spread), valid and (valid[0], _standard(valid[1], centre, spread))
    model = _fit(reading(inputs), truth, job, settings, shape=shape, valid=valid and (reading(valid[0]), valid[1]))
    term = lower_network(model, reading, centre=centre, spread=spread)
    raw = copy(model)
    raw.out_activation_ = "identity"

    def margin(rows: Floats) -> Floats:
        if job.task == "regression":
            return np.asarray(model.predict(reading(rows)) * spread + centre, np.float64).reshape(len(rows), 1)
        found = raw.predict_proba(reading(rows))
        return np.asarray(found if job.task == "multiclass" else found[:, [1]], np.float64)

    return Fitted(Program(job.inputs, (term,), job.link, job.classes, label="network"), margin, settings,
                  rows=len(truth))


def _shape(settings: dict[str, Any], columns: int, outputs: int) -> tuple[int, ...]:
    """The units of every hidden layer, fewer where so many columns would make too many weights."""
    units, deep = int(settings["units"]), int(settings["layers"])
    if not (1 <= units <= MOST_UNITS and deep in (1, 2)):
        raise Misuse(f"a network of {deep} layers of {units} units is not made here", where="learner network",
                     hint=f"one or two layers, of 1 to {MOST_UNITS} units")
    units = max(1, min(units, MOST_WEIGHTS // (columns + units + outputs)))
    return (units,) if deep == 1 else (units, max(1, units // 2))


def _standard(truth: Floats | Ints, centre: float, spread: float) -> Floats:
    return np.asarray((truth - centre) / spread, np.float64)


def _fit(
    matrix: Floats, truth: Floats | Ints, job: Job, settings: dict[str, Any], *, shape: tuple[int, ...],
    valid: tuple[Floats, Floats | Ints] | None,
) -> Any:
    """The model with the weights of the round that was best on the rows held back."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    if valid is None:
        order = np.random.default_rng(job.seed).permutation(len(truth))
        back, kept = np.split(order, [max(1, int(HELD_BACK * len(truth)))])
        valid, matrix, truth = (matrix[back], truth[back]), matrix[kept], truth[kept]
    kind = MLPRegressor if job.task == "regression" else MLPClassifier
    model = kind(hidden_layer_sizes=shape, activation=settings["activation"], alpha=settings["alpha"],
                 batch_size=min(settings["batch"], len(truth)), learning_rate_init=settings["learning_rate"],
                 random_state=job.seed)
    more: dict[str, Any] = {} if job.task == "regression" else {"classes": np.arange(max(2, len(job.classes)))}
    best, since = np.inf, 0
    weights: list[list[Floats]] = []
    for _ in range(settings["rounds"]):
        try:
            model.partial_fit(matrix, truth, **more)
        except ValueError as error:
            raise Misuse(f"the network cannot be fitted: {error}", where="learner network",
                         hint="take other settings, such as a smaller learning_rate") from error
        loss, since = _loss(model, *valid, job.task), since + 1
        if loss < best or not weights:
            best, since, weights = loss, 0, [[one.copy() for one in side] for side in (model.coefs_, model.intercepts_)]
        if since >= PATIENCE:
            break
    model.coefs_, model.intercepts_ = weights
    return model


def _loss(model: Any, matrix: Floats, truth: Floats | Ints, task: str) -> float:
    found = model.predict(matrix) if task == "regression" else model.predict_proba(matrix)
    return float(row_losses(found[:, 1] if task == "binary" else found, truth, task).mean())
