"""Searching settings of boosted trees under a wall-clock budget: ask, fit, tell; stopped when it no longer gains.

Source: Akiba et al. (2019), Optuna; tree-structured Parzen estimator, Bergstra et al. (2011).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from shipworthy.core.learned import Fitted, Gain, Job
from shipworthy.core.table import Floats, Ints

PATIENCE = 12
LEAST_GAIN = 0.0005
LOGS = ("learning_rate", "num_leaves", "min_data_in_leaf", "lambda_l2")
BOUNDS: dict[str, tuple[float, float]] = {
    "learning_rate": (0.015, 0.2), "num_leaves": (4, 63), "min_data_in_leaf": (3, 300), "feature_fraction": (0.25, 1.0),
    "bagging_fraction": (0.5, 1.0), "lambda_l2": (1e-3, 30.0),
}
WHOLE = ("num_leaves", "min_data_in_leaf")

Fit = Callable[[Floats, Floats | Ints, Job], Fitted]
Loss = Callable[[Fitted], float]


@dataclass
class Course:
    """How a search went: the best fit, its loss, the steps that gained, how many were tried, and why it stopped."""

    best: Fitted | None = None
    loss: float = float("inf")
    gains: list[Gain] = field(default_factory=list)
    trials: int = 0
    seconds: float = 0.0
    stopped: str = ""


def search(
    fit: Fit, inputs: Floats, truth: Floats | Ints, job: Job, *, loss: Loss, end: float, start: tuple[Fitted, float],
) -> Course:
    """The best boosted trees found before `end` (of the monotonic clock), beginning at a fitted start and its loss.

    A trial may take no more than what is left. A bound that the best setting touches is widened once by half.
    """
    begun = time.monotonic()
    course = Course(start[0], start[1])
    study, bounds = _study(job.seed), dict(BOUNDS)
    stale, longest = 0, start[0].rows and 0.5
    while True:
        left = end - time.monotonic()
        if left < longest * 1.2 or left <= 0.2:
            course.stopped = "the budget was used"
            break
        if stale >= PATIENCE:
            course.stopped = f"{PATIENCE} trials in a row gained less than {LEAST_GAIN:.2%}"
            break
        begin = time.monotonic()
        trial = study.ask(_space(bounds))
        given = replace(job, settings={**trial.params, "rounds": 600}, seconds=left * 0.9)
        fitted = fit(inputs, truth, given)
        value = loss(fitted)
        study.tell(trial, value)
        longest = max(longest, time.monotonic() - begin)
        course.trials += 1
        stale = 0 if value < course.loss * (1 - LEAST_GAIN) else stale + 1
        if value < course.loss:
            course.best, course.loss = replace(fitted, bounds=dict(bounds)), value
            course.gains.append(Gain(time.monotonic() - begun, value, "boosted"))
            bounds = _widened(bounds, trial.params)
    course.seconds = time.monotonic() - begun
    return course


def _study(seed: int):  # type: ignore[no-untyped-def]
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=6))


def _space(bounds: dict[str, tuple[float, float]]) -> dict[str, object]:
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        name: IntDistribution(int(low), int(high), log=name in LOGS) if name in WHOLE
        else FloatDistribution(low, high, log=name in LOGS)
        for name, (low, high) in bounds.items()
    }


def _widened(bounds: dict[str, tuple[float, float]], best: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Bounds with room around the best setting; shares stay below 1, where the bound is the nature of the thing."""
    made = {}
    for name, (low, high) in bounds.items():
        room = 0.03 * (high - low)
        if name not in ("feature_fraction", "bagging_fraction"):
            high = high * 1.5 if best[name] > high - room else high
            floor = 2 if name in WHOLE else 1e-6
            low = max(floor, low / 1.5) if best[name] < low * 1.03 else low
        made[name] = (low, high)
    return made
