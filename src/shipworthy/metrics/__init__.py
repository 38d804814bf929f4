"""Metrics: arrays in, numbers out. `METRICS` lists those that a project can name as its target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shipworthy.metrics import classification, regression
from shipworthy.metrics.arrays import Array
from shipworthy.metrics.calibration import expected_calibration_error

Task = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True)
class Metric:
    """A metric that a project can name: what it judges and which way is better.

    task: the tasks it is defined for. needs: what `function(truth, …)` takes second: a probability, (n,) or
    (n, k); a decision, (n,) class codes; or a value, (n,) numbers. It returns NaN where undefined.
    """

    name: str
    task: frozenset[Task]
    direction: Literal["higher", "lower"]
    needs: Literal["probability", "decision", "value"]
    function: Callable[[Array, Array], float]


_TWO: frozenset[Task] = frozenset({"binary"})
_CLASSES: frozenset[Task] = frozenset({"binary", "multiclass"})
_NUMBER: frozenset[Task] = frozenset({"regression"})

# `mean_error` is not here: neither way is better, 0 is.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("auc", _CLASSES, "higher", "probability", classification.auc),
        Metric("average_precision", _TWO, "higher", "probability", classification.average_precision),
        Metric("log_loss", _CLASSES, "lower", "probability", classification.log_loss),
        Metric("brier", _TWO, "lower", "probability", classification.brier),
        Metric("expected_calibration_error", _TWO, "lower", "probability", expected_calibration_error),
        Metric("accuracy", _CLASSES, "higher", "decision", classification.accuracy),
        Metric("balanced_accuracy", _CLASSES, "higher", "decision", classification.balanced_accuracy),
        Metric("precision", _TWO, "higher", "decision", classification.precision),
        Metric("recall", _TWO, "higher", "decision", classification.recall),
        Metric("f1", _TWO, "higher", "decision", classification.f1),
        Metric("false_positive_rate", _TWO, "lower", "decision", classification.false_positive_rate),
        Metric("rmse", _NUMBER, "lower", "value", regression.rmse),
        Metric("mae", _NUMBER, "lower", "value", regression.mae),
        Metric("median_absolute_error", _NUMBER, "lower", "value", regression.median_absolute_error),
        Metric("r2", _NUMBER, "higher", "value", regression.r2),
        Metric("pinball", _NUMBER, "lower", "value", regression.pinball),
    )
}
