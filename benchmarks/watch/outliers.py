"""Outlier scores on the 19 tables of outlier/adbench, beside PyOD's on the same splits; and rows that columns hide.

7 of 10 rows are learnt from and 3 scored, whole tables, seed 42, nothing is told of which rows are outliers. PyOD 3.6.7
in its own environment (benchmarks/peers/watch_pyod.py). Source: Han et al. (2022), ADBench, for the tables.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import ROOT, Bar, no_data, no_peer, peer, real_data

Measured = tuple[float | None, str]
BARS = (Bar("19 tables: mean AUROC of the forest over cells", None, 0.7908, "higher"),
        Bar("the same, over PyOD's isolation forest on the same splits", None, 1, "higher"),
        Bar("19 tables: mean AUROC of the always-on score by columns", None, 0.7261, "higher"),
        Bar("told of 20 outliers and 1,000 others of each table: mean AUROC over the forest's", None, 1, "higher"),
        Bar("the score by columns: µs a value", None, 0.15, "lower"),
        Bar("the forest: µs a row", None, 30, "lower"),
        Bar("rows plausible in every column, never together: share at p <= 0.01 by the forest", None, 0.9, "higher"))


def measured() -> list[Measured]:
    """A value and a note for every bar."""
    home = real_data("outlier/adbench")
    if home is None:
        return [*no_data(BARS[:6]), _plausible()]
    splits = {path.stem: _split(path) for path in sorted(home.glob("*.npz"))}
    found = {name: _scored(*split) for name, split in splits.items()}
    forest, columns = (float(np.mean([one[side] for one in found.values()])) for side in ("forest", "columns"))
    theirs = _pyod(splits)
    means = {name: float(np.mean(one["auc"])) for name, one in theirs.items()}
    beside = ", ".join(f"{name} {means[name]:.4f} in {one['seconds']:.1f} s" for name, one in theirs.items())
    note = ", ".join(f"{name.split('_', 1)[1]} {one['forest']:.3f}" for name, one in found.items())
    values = sum(one["values"] for one in found.values())
    rows = sum(one["rows"] for one in found.values())
    grown = sum(one["grown"] for one in found.values())
    return [(forest, f"{note}; grown in {grown:.1f} s"),
            (forest / means["IForest"], beside) if theirs else (None, no_peer("pyod")),
            (columns, beside or no_peer("pyod")), _learnt(found),
            (sum(one["tails"] for one in found.values()) / values * 1e6, "cells given"),
            (sum(one["scoring"] for one in found.values()) / rows * 1e6, "cells given"), _plausible()]


def _split(path: Path) -> tuple[Any, Any, Any, Any]:
    """Rows to learn from, rows to score, which of those are outliers, and which of the rows to learn from are."""
    held = np.load(path)
    rows, truth = held["X"].astype(np.float64), held["y"].astype(int)
    order = np.random.default_rng(42).permutation(len(rows))
    cut = int(0.7 * len(rows))
    return rows[order[:cut]], rows[order[cut:]], truth[order[cut:]], truth[order[:cut]]


def _learnt(found: dict[str, dict[str, float]]) -> Measured:
    told = {name: one for name, one in found.items() if "learnt" in one}
    learnt, forest = (float(np.mean([one[side] for one in told.values()])) for side in ("learnt", "forest"))
    note = ", ".join(f"{name.split('_', 1)[1]} {one['learnt']:.3f}" for name, one in told.items())
    return learnt / forest, f"{learnt:.4f} against {forest:.4f} on {len(told)} tables with so many: {note}"


def _scored(learn: Any, test: Any, truth: Any, known: Any) -> dict[str, float]:
    from shipworthy.core.grid import cells_of, count, plan
    from shipworthy.core.table import Table
    from shipworthy.deployment.monitoring.confirmed import learn as confirm
    from shipworthy.deployment.monitoring.confirmed import traits
    from shipworthy.deployment.monitoring.forest import depth, grow
    from shipworthy.deployment.monitoring.reference import strangeness
    from shipworthy.metrics.classification import auc

    before, after = (Table.of({f"c{k}": one[:, k] for k in range(one.shape[1])}) for one in (learn, test))
    found = plan(before, before.schema)
    planned, cells = count(before, found), cells_of(after, found)
    clock = [time.perf_counter()]
    forest = grow(found, planned, cells_of(before, found))
    clock.append(time.perf_counter())
    whole = depth(forest, found, planned, cells)
    clock.append(time.perf_counter())
    columns = strangeness(found, planned, cells)
    clock.append(time.perf_counter())
    grown, scoring, tails = np.diff(clock).tolist()
    more: dict[str, float] = {}
    outliers, others = np.flatnonzero(known == 1)[:20], np.flatnonzero(known == 0)[:1_020]
    if len(outliers) == 20:
        places, kinds = np.concatenate([outliers, others]), np.arange(20 + len(others)) < 20
        before_cells = {name: one[places] for name, one in cells_of(before, found).items()}
        made = confirm(traits(found, planned, forest, before_cells), kinds)
        more["learnt"] = auc(truth, made.score(traits(found, planned, forest, cells)) if made.better else whole)
    return {**more, "forest": auc(truth, whole.astype(np.float64)), "columns": auc(truth, columns), "grown": grown,
            "scoring": scoring, "tails": tails, "rows": len(test), "values": test.size}


def _pyod(splits: dict[str, tuple[Any, Any, Any, Any]]) -> dict[str, Any]:
    """What watch_pyod.py prints; empty where it has no environment."""
    python = peer("pyod")
    if python is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "splits.npz"
        np.savez(path, **{f"{name}/{key}": one for name, split in splits.items()
                          for key, one in zip(("learn", "test", "truth"), split[:3], strict=True)})
        ran = subprocess.run([str(python), "-W", "ignore", str(ROOT / "benchmarks/peers/watch_pyod.py"), str(path)],
                             text=True, check=True, capture_output=True)
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told


def _plausible() -> Measured:
    """Six columns, all near −3 or all near 3; the wrong rows are near 3 in every other column, near −3 in the rest."""
    from shipworthy.core.grid import cells_of, count, plan
    from shipworthy.core.table import Table
    from shipworthy.deployment.monitoring.forest import depth, grow
    from shipworthy.deployment.monitoring.outliers import outlier_p
    from shipworthy.deployment.monitoring.reference import strangeness

    random = np.random.default_rng(0)
    learn, usual = (random.choice([-3.0, 3.0], (5_000, 1)) + random.normal(size=(5_000, 6)) for _ in range(2))
    wrong = np.tile([3.0, -3.0], (500, 3)) + random.normal(size=(500, 6))
    before, calibration, odd = (Table.of({f"c{k}": one[:, k] for k in range(6)}) for one in (learn, usual, wrong))
    found = plan(before, before.schema)
    planned, forest = count(before, found), grow(found, count(before, found), cells_of(before, found))
    shares = []
    for score in (lambda table: depth(forest, found, planned, cells_of(table, found)),
                  lambda table: np.rint(1e6 * strangeness(found, planned, cells_of(table, found))).astype(np.int64)):
        shares.append(float((outlier_p(score(odd), np.sort(score(calibration))) <= 0.01).mean()))
    return shares[0], f"by columns alone {shares[1]:.2f}"
