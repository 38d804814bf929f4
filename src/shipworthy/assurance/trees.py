"""Boosted trees for whoever attacks: a quick learner on numbers and codes, for classes or for a value.

Source: Ke et al. (2017), LightGBM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shipworthy.core.table import Floats, Ints


def grown(
    inputs: Floats, truth: Floats | Ints, *, classes: int, codes: Sequence[int] = (), rounds: int = 80,
    leaves: int = 15, least: int = 20, seed: int = 0,
) -> Callable[[Floats], Floats]:
    """A function from inputs (m, d) to (m, classes) probabilities, or to (m,) values where classes is 0.

    inputs: (n, d), NaN for missing. truth: (n,) codes below `classes`, or values. codes: columns that hold codes.
    One class alone is certain.
    """
    import lightgbm

    if classes:
        seen, place = np.unique(np.asarray(truth, np.int64), return_inverse=True)
        if len(seen) < 2:
            return lambda asked: np.tile(np.eye(classes)[seen[0]], (len(asked), 1))
    settings: dict[str, Any] = {
        "objective": "regression" if not classes else "binary" if len(seen) == 2 else "multiclass", "verbose": -1,
        "num_leaves": leaves, "min_data_in_leaf": min(least, max(1, len(truth) // 10)), "learning_rate": 0.1,
        "seed": seed, "num_threads": 1, "deterministic": True, "force_col_wise": True, "max_bin": 255,
        **({"num_class": len(seen)} if classes and len(seen) > 2 else {}),
    }
    rows = lightgbm.Dataset(inputs, place if classes else np.asarray(truth, np.float64),
                            categorical_feature=list(codes), params={"verbose": -1, "feature_pre_filter": False})
    booster = lightgbm.train(settings, rows, rounds)

    def told(asked: Floats) -> Floats:
        found = np.asarray(booster.predict(asked, num_threads=1), np.float64)
        if not classes:
            return found
        each = np.stack([1 - found, found], axis=1) if found.ndim == 1 else found
        out = np.zeros((len(asked), classes))
        out[:, seen] = each
        return out

    return told
