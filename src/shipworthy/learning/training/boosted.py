"""Gradient boosted trees by LightGBM: native categories and missing values, stopped by clock or held-back rows."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.program import Program
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.lower_trees import lower_lightgbm
from shipworthy.learning.training.tree import known_settings
from shipworthy.marks import learner

DEFAULT: dict[str, float | int] = {
    "learning_rate": 0.08,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "lambda_l2": 1.0,
    "cat_smooth": 10.0,
    "extra_trees": 0,
    "rounds": 300,
}
OBJECTIVE = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}
FIXED: dict[str, Any] = {"verbose": -1, "max_bin": 255, "feature_pre_filter": False, "min_data_in_bin": 3}
PATIENCE = 40
MOST_ROUNDS = 100_000
ONE_THREAD_CELLS = 200_000


@dataclass
class Grown:
    """A booster and what was seen while it grew: rounds to keep, their loss on held-back rows, seconds taken.

    cut: whether the clock ended it.
    """

    booster: Any
    rounds: int
    loss: float
    seconds: float
    cut: bool = False


@learner("boosted", tasks=("binary", "multiclass", "regression"), order=50)
def boosted(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """Boosted trees, as many as `rounds` says, as job.valid stops it at, or as its time allows.

    Settings: learning_rate, num_leaves, min_data_in_leaf, feature_fraction, bagging_fraction, lambda_l2, cat_smooth,
    extra_trees (0 or 1), rounds. Source: Ke et al. (2017), LightGBM.
    """
    settings = known_settings(DEFAULT, job, "boosted")
    data = dataset(inputs, truth, job)
    valid = None if job.valid is None else dataset(*job.valid, job, reference=data)
    grown = grow(data, job, settings, end=time.monotonic() + job.seconds, valid=valid)
    return fitted(grown.booster, grown.rounds, job, settings, rows=len(truth))


def dataset(inputs: Floats, truth: Floats | Ints, job: Job, *, reference: Any = None) -> Any:
    """The rows as LightGBM bins them, weighed; with a reference, in its bins, and all of one weight."""
    import lightgbm

    most = job.shape.coded or math.inf
    places = [place for place, kind in enumerate(job.inputs) if kind.categorical and kind.levels <= most]
    return lightgbm.Dataset(inputs, np.asarray(truth, np.float64), weight=job.weights if reference is None else None,
                            categorical_feature=places, free_raw_data=False,
                            reference=reference, params=dict(FIXED)).construct()


def grow(data: Any, job: Job, settings: Mapping[str, Any], *, end: float, valid: Any = None) -> Grown:
    """Trees grown until `rounds`, the end (of the monotonic clock), or 40 rounds without gain on the valid rows."""
    import lightgbm

    begun = time.monotonic()
    wide = data.num_data() * data.num_feature() > ONE_THREAD_CELLS
    parameters: dict[str, Any] = {
        **FIXED, **{key: value for key, value in settings.items() if key != "rounds"},
        "extra_trees": bool(settings["extra_trees"]), "objective": OBJECTIVE[job.task], "seed": job.seed,
        "bagging_freq": 1, "num_threads": job.threads if wide else 1, "deterministic": True, "force_col_wise": True,
        "max_cat_to_onehot": 8, **shaped(job, settings),
        **({"num_class": len(job.classes)} if job.task == "multiclass" else {}),
    }
    watch = _Watch(end)
    most = min(int(settings["rounds"]), job.shape.rounds or MOST_ROUNDS)
    booster = lightgbm.train(parameters, data, most, valid_sets=None if valid is None else [valid],
                             callbacks=[watch])
    rounds = booster.current_iteration() if valid is None else watch.best + 1
    return Grown(booster, max(1, rounds), watch.loss, time.monotonic() - begun, watch.cut)


def shaped(job: Job, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the shape of a job asks of LightGBM."""
    found: dict[str, Any] = {}
    if job.shape.leaves:
        found["num_leaves"] = min(int(settings["num_leaves"]), job.shape.leaves)
    if any(job.shape.signs):
        found |= {"monotone_constraints": list(job.shape.signs), "monotone_constraints_method": "basic"}
    if job.shape.alone:
        others = [place for place in range(len(job.inputs)) if place not in job.shape.alone]
        found["interaction_constraints"] = [*([place] for place in job.shape.alone), others]
    return found


def fitted(booster: Any, rounds: int, job: Job, settings: Mapping[str, Any], *, rows: int) -> Fitted:
    """The first `rounds` rounds of a booster as a program and a margin."""
    term = lower_lightgbm(booster.model_to_string(num_iteration=rounds))
    program = Program(job.inputs, (term,), job.link, job.classes, label="boosted")

    def margin(asked: Floats) -> Floats:
        raw = booster.predict(asked, raw_score=True, num_iteration=rounds, num_threads=job.threads)
        return np.asarray(raw, np.float64).reshape(len(asked), job.outputs)

    return Fitted(program, margin, {**settings, "rounds": rounds}, rows=rows)


@dataclass(eq=False)
class _Watch:
    """A callback that remembers the best round and stops at the end of the time or of the gains."""

    end: float
    loss: float = math.inf
    best: int = 0
    cut: bool = False
    order: int = field(default=40, init=False)
    before_iteration: bool = field(default=False, init=False)

    def __call__(self, environment: Any) -> None:
        import lightgbm

        seen = environment.evaluation_result_list or []
        if seen and seen[0][2] < self.loss:
            self.loss, self.best = float(seen[0][2]), environment.iteration
        stale = bool(seen) and environment.iteration - self.best >= PATIENCE
        self.cut = not stale and time.monotonic() > self.end
        if stale or self.cut:
            raise lightgbm.EarlyStopException(environment.iteration, seen)
