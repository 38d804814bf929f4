"""Gradient boosted trees by LightGBM: native categories, native missing values, stopped by the clock or the tune part."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.program import Program
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.training.lower_trees import lower_lightgbm
from shipworthy.marks import learner

DEFAULT: dict[str, float | int] = {
    "learning_rate": 0.06, "num_leaves": 31, "min_data_in_leaf": 20, "feature_fraction": 0.8, "bagging_fraction": 0.8,
    "lambda_l2": 1.0, "rounds": 300,
}
OBJECTIVE = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}


@learner("boosted", tasks=("binary", "multiclass", "regression"), order=50)
def boosted(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """Boosted trees; job.settings overrides the defaults. Source: Ke et al. (2017)."""
    import lightgbm

    settings = {**DEFAULT, **job.settings}
    rounds = int(settings.pop("rounds"))
    places = [place for place, kind in enumerate(job.inputs) if kind.categorical]
    data = lightgbm.Dataset(inputs, np.asarray(truth, np.float64), categorical_feature=places, free_raw_data=False,
                            params={"verbose": -1, "max_bin": 255})
    parameters: dict[str, Any] = {
        **settings, "objective": OBJECTIVE[job.task], "num_threads": job.threads, "seed": job.seed, "verbose": -1,
        "bagging_freq": 1, "deterministic": True, "force_col_wise": True, "max_cat_to_onehot": 8, "cat_smooth": 10,
        **({"num_class": len(job.classes)} if job.task == "multiclass" else {}),
    }
    calls, valid = [_deadline(time.monotonic() + job.seconds)], []
    if job.valid is not None:
        valid = [lightgbm.Dataset(job.valid[0], np.asarray(job.valid[1], np.float64), reference=data)]
        calls.append(lightgbm.early_stopping(25, verbose=False))
    booster = lightgbm.train(parameters, data, rounds, valid_sets=valid, callbacks=calls)
    kept = booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration()
    term = lower_lightgbm(booster.dump_model(num_iteration=kept))
    program = Program(job.inputs, (term,), job.link, job.classes, label="boosted")

    def margin(rows: Floats) -> Floats:
        raw = booster.predict(rows, raw_score=True, num_iteration=kept, num_threads=job.threads)
        return np.asarray(raw, np.float64).reshape(len(rows), job.outputs)

    return Fitted(program, margin, {**DEFAULT, **job.settings, "rounds": kept}, rows=len(truth))


def _deadline(end: float) -> Any:
    """A callback that stops the training at a time of the monotonic clock."""
    import lightgbm

    def stop(environment: Any) -> None:
        if time.monotonic() > end:
            raise lightgbm.callback.EarlyStopException(environment.iteration, environment.evaluation_result_list or [])

    return stop
