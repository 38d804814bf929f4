"""How soon a risen loss is noticed, beside River's detectors, at equal false alarms; and the dummies.

Bernoulli losses of 0.20 that rise at label 5,000; stream/sea, where a rule fitted to each concept meets the next; and
50 models whose loss rises from 0.20 to 0.25 at label 2,000, scored by F1 with a window of 1,000 labels. River 0.26.1 in
its own environment, at its defaults and tuned to as many false alarms as ours (benchmarks/peers/watch_river.py).
Source: Cerqueira et al. (2026) for the detection window and the dummies.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import ROOT, Bar, no_peer, peer, real_data

Measured = tuple[float | None, str]
Alarms = list[list[int]]
QUIET, RUNS, LENGTH, RISE = 200, 60, 10_000, 5_000
HEALTHY, WINDOW, MODELS = 2_000, 1_000, 50
RISES = (0.22, 0.25, 0.30, 0.40)
BAR = 100_000.0
BARS = (Bar("false alarms in 10,000 steady labels, ours", None, 0.12, "lower"),
        Bar("0.20 to 0.22: share missed, over ADWIN's at equal false alarms", None, 1, "lower"),
        *(Bar(f"0.20 to {risk:.2f}: median delay over ADWIN's at equal false alarms", None, 1, "lower")
          for risk in RISES[1:]),
        Bar("stream/sea: delay at the three drifts over ADWIN's at equal false alarms", None, 1, "lower"),
        Bar("50 models, 0.20 to 0.25: F1 over ADWIN's at equal false alarms", None, 1, "higher"),
        Bar("the same: best dummy's F1 over ours", None, 1, "lower"))


def measured() -> list[Measured]:
    """A value and a note for every bar."""
    streams = _streams()
    began = time.perf_counter()
    found = {"ours": {name: [_ours(one) for one in many] for name, many in streams.items()}}
    ours = (time.perf_counter() - began) / sum(many.size for many in streams.values()) * 1e6
    found |= {"every 100": _same(streams, range(99, LENGTH, 100)), "never": _same(streams, range(0))}
    python = peer("river")
    told = _river(python, streams) if python else {"default": {}, "tuned": {}}
    found |= {f"{name}{'' if setting == 'tuned' else ', default'}": one
              for setting in ("tuned", "default") for name, one in told[setting].items()}
    quiet = f"{_list(found, lambda one: _false(one['quiet']))}; ours {ours:.2f} µs a label"
    return [(_false(found["ours"]["quiet"]), quiet), *_delays(found), _sea(found), *_episodes(found)]


def _streams() -> dict[str, Any]:
    random = np.random.default_rng(5)
    found = {"quiet": random.random((QUIET, LENGTH)) < 0.2}
    for risk in RISES:
        now = np.where(np.arange(LENGTH) < RISE, 0.2, risk)
        found[str(risk)] = random.random((RUNS, LENGTH)) < now
    found["models"] = random.random((MODELS, HEALTHY + WINDOW)) < np.where(
        np.arange(HEALTHY + WINDOW) < HEALTHY, 0.2, 0.25)
    sea = real_data("stream/sea/sea.parquet")
    return {name: many.astype(np.int64) for name, many in found.items()} | ({"sea": _losses(sea)} if sea else {})


def _losses(path: Path) -> Any:
    """(3, 10,000): the errors of a linear rule fitted to a concept's first 7,500 rows, on 5,000 more of it and 5,000
    of the next."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    inputs = np.column_stack([table.column(name).to_numpy() for name in table.column_names if name != "class"])
    inputs = np.column_stack([inputs, np.ones(len(inputs))])
    truth = np.asarray(table.column("class").to_pylist()).astype(str)
    side = np.where(truth == np.unique(truth)[0], -1.0, 1.0)
    found = []
    for start in (0, 12_500, 25_000):
        rows = slice(start, start + 7_500)
        weight = np.linalg.lstsq(inputs[rows], side[rows], rcond=None)[0]
        after = slice(start + 7_500, start + 17_500)
        found.append((inputs[after] @ weight > 0) != (side[after] > 0))
    return np.array(found).astype(np.int64)


def _ours(loss: Any) -> list[int]:
    from shipworthy.deployment.monitoring.onset import Onset, rises

    return [rise.at for rise in rises(Onset(), loss.astype(np.float64), bar=BAR)[1]]


def _same(streams: dict[str, Any], alarms: range) -> dict[str, Alarms]:
    return {name: [[at for at in alarms if at < many.shape[1]]] * len(many) for name, many in streams.items()}


def _river(python: Path, streams: dict[str, Any]) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "streams.npz"
        np.savez_compressed(path, **streams)
        ran = subprocess.run([str(python), str(ROOT / "benchmarks/peers/watch_river.py"), str(path)], text=True,
                             check=True, capture_output=True)
    told: dict[str, dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return told


def _false(quiet: Alarms) -> float:
    return float(np.mean([len(alarms) for alarms in quiet]))


def _waits(alarms: Alarms, rise: int = RISE) -> Any:
    """Labels from the rise to the first alarm after it, (runs,); infinite where none came."""
    return np.array([next((at - rise + 1 for at in one if at >= rise), np.inf) for one in alarms])


def _list(found: dict[str, Any], value: Any) -> str:
    return ", ".join(f"{name} {value(one):.3g}" for name, one in found.items())


def _delays(found: dict[str, Any]) -> list[Measured]:
    def missed(one: Any) -> float:
        return float(np.isinf(_waits(one[str(RISES[0])])).mean())

    rows = [_against(found, missed)]
    for risk in RISES[1:]:
        rows.append(_against(found, lambda one, risk=risk: float(np.median(_waits(one[str(risk)])))))
    return rows


def _against(found: dict[str, Any], value: Any) -> Measured:
    """Our value over that of the tuned ADWIN, and everybody's."""
    if "ADWIN" not in found:
        return None, no_peer("river")
    return value(found["ours"]) / value(found["ADWIN"]), _list(found, value)


def _sea(found: dict[str, Any]) -> Measured:
    if "sea" not in found["ours"]:
        return None, "not measured: stream/sea is not in the folder that SHIPWORTHY_DATA names"
    return _against(found, lambda one: float(np.minimum(_waits(one["sea"]), LENGTH - RISE).sum()))


def _f1(alarms: Alarms) -> float:
    """2 hits / (2 hits + false alarms + misses): an alarm is false before the rise, and one in the window is a hit."""
    hits = sum(any(at >= HEALTHY for at in one) for one in alarms)
    false = sum(sum(at < HEALTHY for at in one) for one in alarms)
    return 2 * hits / (hits + false + len(alarms))


def _episodes(found: dict[str, Any]) -> list[Measured]:
    value = {name: _f1(one["models"]) for name, one in found.items()}
    best = max(value["every 100"], value["never"])
    return [_against(found, lambda one: _f1(one["models"])),
            (best / value["ours"], f"every 100 labels {value['every 100']:.3f}, never {value['never']:.3f}, "
                                   f"ours {value['ours']:.3f}")]
