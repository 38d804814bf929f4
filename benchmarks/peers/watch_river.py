"""River's detectors over streams of losses. python watch_river.py STREAMS.npz: alarms of each, as JSON.

STREAMS.npz holds (streams, labels) of 0 or 1 by name. Each detector runs as it comes, and at the setting of TUNED,
at which it alarms about once in 100,000 labels of a steady loss of 0.20.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from river import drift
from river.drift import binary

DEFAULT: dict[str, Callable[[], Any]] = {
    "ADWIN": drift.ADWIN, "PageHinkley": drift.PageHinkley, "DDM": binary.DDM, "EDDM": binary.EDDM,
    "HDDM_A": binary.HDDMA, "HDDM_W": binary.HDDMW, "FHDDM": binary.FHDDM}
TUNED: dict[str, Callable[[], Any]] = {
    "ADWIN": lambda: drift.ADWIN(delta=0.05),
    "PageHinkley": lambda: drift.PageHinkley(threshold=52, mode="up"),
    "DDM": lambda: binary.DDM(drift_threshold=3.7),
    "EDDM": lambda: binary.EDDM(beta=0.52),
    "HDDM_A": lambda: binary.HDDMA(drift_confidence=0.0007),
    "HDDM_W": lambda: binary.HDDMW(drift_confidence=0.00025),
    "FHDDM": lambda: binary.FHDDM(confidence_level=8e-7)}


def alarms(make: Callable[[], Any], stream: list[int]) -> list[int]:
    """The labels, counted from 0, at which a new detector alarms."""
    detector, found = make(), []
    for place, loss in enumerate(stream):
        detector.update(loss)
        if detector.drift_detected:
            found.append(place)
    return found


def main() -> None:
    """Print {"default" or "tuned": {detector: {stream name: [alarms], …, "microseconds": of a label}}}."""
    held = np.load(sys.argv[1])
    streams = {name: held[name].tolist() for name in held.files}
    labels = sum(held[name].size for name in held.files)
    told: dict[str, dict[str, Any]] = {"default": {}, "tuned": {}}
    for setting, detectors in (("default", DEFAULT), ("tuned", TUNED)):
        for name, make in detectors.items():
            began = time.perf_counter()
            told[setting][name] = {key: [alarms(make, one) for one in many] for key, many in streams.items()}
            told[setting][name]["microseconds"] = (time.perf_counter() - began) / labels * 1e6
    print(json.dumps(told))


if __name__ == "__main__":
    main()
