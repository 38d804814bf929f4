"""MAPIE's RiskMonitoring over streams of errors. python watch_mapie.py STREAMS.npz: labels to the alarm, as JSON.

STREAMS.npz holds (runs, labels) of 0 or 1 by name, and "reference". Updates of 200 labels; at its own limit from the
reference, and at the limit in "limit", which is ours.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
from mapie.exchangeability_testing import RiskMonitoring

UPDATE = 200


def labels_to_alarm(stream: Any, **asked: Any) -> tuple[int | None, float]:
    """Labels until the alarm, None where none came, and the milliseconds of the last update."""
    monitor = RiskMonitoring(risk="accuracy", tolerance=0.02, warn=False, **asked)
    spent = 0.0
    for start in range(0, len(stream), UPDATE):
        wrong = stream[start : start + UPDATE]
        began = time.perf_counter()
        monitor.update(np.ones(len(wrong), int), 1 - wrong)
        spent = (time.perf_counter() - began) * 1e3
        if monitor.harmful_shift_detected:
            return start + len(wrong), spent
    return None, spent


def main() -> None:
    """Print {"own limit" or "our limit": {stream name: [[labels, milliseconds], …]}}."""
    held = np.load(sys.argv[1])
    reference = held["reference"].astype(int)
    settings: dict[str, dict[str, Any]] = {
        "own limit": {"reference_data": (np.ones(len(reference), int), 1 - reference)},
        "our limit": {"threshold": float(held["limit"])}}
    names = [name for name in held.files if name not in ("reference", "limit")]
    print(json.dumps({setting: {name: [labels_to_alarm(one.astype(int), **asked) for one in held[name]]
                                for name in names} for setting, asked in settings.items()}))


if __name__ == "__main__":
    main()
