"""River's models on a stream, row by row: accuracy after the first rows, as JSON on stdout.

Run with how many rows come first; rows come on stdin, as a JSON list of [columns, whether the class is the positive].
Needs: river.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from river import ensemble, linear_model, preprocessing, tree


def main(rows: list[Any], first: int) -> dict[str, dict[str, float]]:
    models: dict[str, Any] = {
        "ALMA": preprocessing.StandardScaler() | linear_model.ALMAClassifier(),
        "HAT": tree.HoeffdingAdaptiveTreeClassifier(seed=42),
        "ADWIN bagging": ensemble.ADWINBaggingClassifier(tree.HoeffdingTreeClassifier(), n_models=10, seed=42)}
    found = {}
    for name, model in models.items():
        begun, right = time.perf_counter(), 0
        for place, (x, y) in enumerate(rows):
            right += place >= first and bool(model.predict_one(x)) == y
            model.learn_one(x, y)
        found[name] = {"accuracy": right / (len(rows) - first), "seconds": time.perf_counter() - begun}
    return found


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin), int(sys.argv[1]))))
