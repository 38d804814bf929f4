"""Pairs of reference and traffic for the watch bars: what we say of them, and what a peer says in its environment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import Broken, peer, run
from benchmarks.peers.watch_world import EDGES, FAULTS, NOW, REFERENCE, draw, planted
from benchmarks.watch._quiet import reference
from shipworthy.core.grid import Reference, cells_of, count
from shipworthy.core.table import Floats, Table
from shipworthy.deployment.monitoring.columns import changed, judge_windows
from shipworthy.deployment.monitoring.fourier import before_of, fourier
from shipworthy.deployment.monitoring.joint import density_ratio

HERE = Path(__file__).parent.parent / "peers"
PEERS = {"Evidently": ("evidently", "watch_evidently.py"), "NannyML": ("nannyml", "watch_nannyml_columns.py"),
         "alibi-detect": ("alibi-detect", "watch_alibi.py"), "whylogs": ("whylogs", "watch_whylogs.py")}
QUIET = {"NML_DISABLE_USAGE_LOGGING": "1", "WHYLOGS_NO_ANALYTICS": "True", "DO_NOT_TRACK": "1",
         "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
PLANNED = 5_000
Said = dict[str, dict[str, list[float]]]


def table(rows: Mapping[str, Any]) -> Table:
    """Rows of the benchmark's world as a table."""
    return Table.of({name: values.astype(str) if values.dtype == object else values for name, values in rows.items()})


@lru_cache(maxsize=8)
def before(seed: int, rows: int = PLANNED) -> Reference:
    """The reference of a pair: edges from one split, counts from another."""
    return reference(table(draw(seed, PLANNED, EDGES)), table(draw(seed, rows, REFERENCE)))


def flagged(pairs: int, size: int) -> dict[str, list[float]]:
    """Column → whether it was named, of null pairs, as the finding of column drift names them."""
    found: dict[str, list[float]] = {}
    for seed in range(pairs):
        known = before(seed)
        named = changed(judge_windows(known, _counts(known, table(draw(1_000 + seed, size, NOW)))))
        for place, name in enumerate(known.plan.names):
            found.setdefault(name, []).append(float(place in named))
    return found


def joint_flagged(pairs: int, size: int) -> tuple[float, float]:
    """Shares of null pairs in which the classifier's e-value reaches 20, and the Fourier features' p is below 5 %."""
    hits = []
    for seed in range(pairs):
        e, p = joint_scores(before(seed), table(draw(1_000 + seed, size, NOW)), effect=0.0)
        hits.append((e >= np.log(20), -p < np.log(0.05)))
    return tuple(float(share) for share in np.mean(hits, axis=0))  # type: ignore[return-value]


def joint_scores(known: Reference, now: Table, *, effect: float) -> tuple[float, float]:
    """The classifier's log e-value, and −log p of the Fourier features."""
    cells = np.stack(list(cells_of(now, known.plan).values()), axis=1)
    told, made = density_ratio(known, cells), fourier(known)
    sums = made.sums(cells, np.zeros(len(cells), np.int64), 1)
    p = before_of(made.features(known.sample[:, :-2])).log_p(sums, effect)[0]
    return told.log_e() if told is not None else float("nan"), -float(p)


def scores(pairs: int, size: int, *, effect: float) -> Said:
    """Fault → column → −log p of every pair; "none" of null pairs; the column "joint" holds the classifier's log e."""
    found: Said = {}
    for seed in range(pairs):
        known, now = before(seed), draw(1_000 + seed, size, NOW)
        for fault in ("none", *FAULTS):
            hit = table(planted(now, fault, seed))
            tests = judge_windows(known, _counts(known, hit), effect=effect)
            p = np.maximum(np.fmin(tests.p, tests.broken)[0], 1e-300)
            place = found.setdefault(fault, {})
            for name, one in zip(known.plan.names, p, strict=True):
                place.setdefault(name, []).append(-float(np.log(one)))
            if fault in ("none", "correlation"):
                place.setdefault("joint", []).append(joint_scores(known, hit, effect=effect)[0])
    return found


def _counts(known: Reference, now: Table) -> dict[str, Any]:
    return dict(count(now, known.plan).columns)


def said(name: str, mode: str, pairs: int, sizes: Iterable[int]) -> tuple[Said, float] | None:
    """What a peer says of the same pairs, and the seconds it took; None where it has no environment or broke."""
    environment, script = PEERS[name]
    interpreter = peer(environment)
    if interpreter is None:
        return None
    try:
        ran = run([str(interpreter), str(HERE / script), mode, str(pairs), *map(str, sizes)], environment=QUIET,
                  at_most_seconds=600.0).fine()
    except Broken:
        return None
    told = json.loads(ran.out.splitlines()[-1])
    return told["found"], float(told["seconds"])


def power(found: Said, fault: str, column: str, *, level: float = 0.05) -> Floats:
    """The share of faulty pairs beyond the level's quantile of the same statistic on null pairs."""
    null = np.nan_to_num(np.array(found["none"][column], float), nan=-np.inf)
    hit = np.nan_to_num(np.array(found[fault][column], float), nan=-np.inf)
    bar = np.sort(null)[int(np.ceil((1 - level) * len(null))) - 1]
    return np.float64((hit > bar).mean())  # type: ignore[return-value]
