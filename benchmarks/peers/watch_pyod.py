"""PyOD's detectors on splits that are given. python watch_pyod.py SPLITS.npz: AUROC and seconds of each, as JSON.

SPLITS.npz holds, by the name of a data set, NAME/learn (n, d), NAME/test (m, d) and NAME/truth (m,). All as they come.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from pyod.models.ecod import ECOD
from pyod.models.hbos import HBOS
from pyod.models.iforest import IForest
from sklearn.metrics import roc_auc_score

MODELS: dict[str, Callable[[], Any]] = {"IForest": lambda: IForest(random_state=42), "HBOS": HBOS, "ECOD": ECOD}


def main() -> None:
    """Print {model: {"auc": [one of each data set], "seconds": of all}}."""
    held = np.load(sys.argv[1])
    names = list(dict.fromkeys(key.rpartition("/")[0] for key in held.files))
    told = {}
    for model, make in MODELS.items():
        found, began = [], time.perf_counter()
        for name in names:
            scores = make().fit(held[f"{name}/learn"]).decision_function(held[f"{name}/test"])
            found.append(float(roc_auc_score(held[f"{name}/truth"], scores)))
        told[model] = {"auc": found, "seconds": time.perf_counter() - began}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
