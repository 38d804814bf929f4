"""Alarms when something has changed: power at equal false alarms beside the peers, and pages that a person needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from benchmarks.frame import Bar
from benchmarks.peers.watch_world import FAULTS, TOUCHED
from benchmarks.watch._pairs import PEERS, Said, power, said, scores
from benchmarks.watch._scored import asked, grid, model, rows, world_project
from shipworthy.core.table import Table
from shipworthy.deployment.monitoring.watch import counted, watch

SIZE, PAIRS, PEER_PAIRS, RUNS = 2_000, 40, 40, 20
BOTH = ("normal", "lognormal")

BARS = (
    Bar("mean power over 9 faults at 5 % false alarms, any change", None, 0.8, "higher"),
    Bar("the same less the best peer's", None, 0.0, "higher"),
    Bar("power on a factor of 100, units in 10 %, a new word 1 %, missing +5 %", None, 0.95, "higher"),
    Bar("power on a correlation turned, by the classifier", None, 0.95, "higher"),
    Bar("power on a mean moved by 0.05 sd where 0.1 is tolerated", None, 0.1, "lower"),
    Bar("pages of 20 harmful changes, labels within days", None, 0.95, "higher"),
    Bar("pages of 20 harmless changes of the same size", None, 0.05, "lower"),
    Bar("precision of pages: less that of paging on any drift", None, 0.0, "higher"),
)


def measured() -> list[tuple[float | None, str]]:
    """A (value, note) for every bar, in order."""
    any_change, tolerant = scores(PAIRS, SIZE, effect=0.0), scores(PAIRS, SIZE, effect=0.1)
    ours, relevant = _powers(any_change), _powers(tolerant)
    peers = {name: _powers(told[0]) for name in PEERS if (told := said(name, "scores", PEER_PAIRS, (SIZE,)))}
    mean = {name: float(np.mean(list(found.values()))) for name, found in peers.items()}
    best = max(mean, key=lambda name: mean[name], default="")
    breaking = [ours[name] for name in ("hundredfold", "units in 10%", "new word 1%", "missing +5%")]
    level = sum(one > -np.log(0.05) for one in tolerant["mean .05"]["normal"]) / PAIRS
    dummies = "always and never: 5 % and 0 % at equal false alarms"
    return [
        (float(np.mean(list(ours.values()))), f"{PAIRS} pairs of {SIZE} rows against 5,000; {_told(ours)}; "
                                              f"where 0.1 is tolerated: {_told(relevant)}; {dummies}"),
        (float(np.mean(list(ours.values()))) - mean[best] if best else None,
         "; ".join(f"{name} {mean[name]:.2f}: {_told(found)}" for name, found in peers.items())
         or "not measured: SHIPWORTHY_PEERS holds no working environment of a peer"),
        (min(breaking), "the least of four"), (ours["correlation"], f"{PAIRS} pairs, equal marginals"),
        (level, f"share of {PAIRS} pairs with p < 5 %"), *_pages()]


def _powers(found: Said) -> dict[str, float]:
    """Fault → power of the column it touches; of a correlation the joint statistic, or else the best of its columns."""
    out = {}
    for fault in FAULTS:
        column = TOUCHED.get(fault, "normal")
        if fault == "correlation":
            column = "joint" if "joint" in found["none"] else max(
                BOTH, key=lambda name: float(power(found, "correlation", name)))
        out[fault] = float(power(found, fault, column))
    return out


def _told(found: dict[str, float]) -> str:
    return ", ".join(f"{fault} {share:.2f}" for fault, share in found.items())


def _pages() -> list[tuple[float | None, str]]:
    """Harmful and harmless changes, judged with labels; a dummy pages on every column that has drifted."""
    harmless = [_paged(seed, _idle) for seed in range(RUNS)]
    harmful = [_paged(seed, change) for seed in range(RUNS // 2) for change in (_turned, _hundredfold)]
    hits, cries = float(np.mean([one[0] for one in harmful])), float(np.mean([one[0] for one in harmless]))
    drifted = [one[1] for one in (*harmful, *harmless)]
    precision = hits / max(1e-9, hits + cries)
    dummy = sum(one[1] for one in harmful) / max(1, sum(drifted))
    return [(hits, "half have their outcomes turned round, half a leading column a hundred times too large"),
            (cries, "a column of no importance moves by one standard deviation"),
            (precision - dummy, f"precision {precision:.2f}, recall {hits:.2f}; of paging on any drifted column the "
                                f"precision is {dummy:.2f}")]


def _paged(seed: int, change: Callable[[Table], Table]) -> tuple[bool, bool]:
    """Whether the watch pages for a month whose second half is changed, and whether a column has drifted in it."""
    log, labels = asked(model(), change(rows(500 + seed, 6_000)), seed)
    seen = watch(grid(), counted(model(), grid(), log, labels, world_project()), world_project())
    drift = next(one for one in seen.findings if one.check == "column-drift")
    return seen.pages > 0, drift.verdict == "fail"


def _half(table: Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.arange(table.rows) >= table.rows // 2


def _idle(table: Table) -> Table:
    return table.with_column("idle", table.numbers("idle") + _half(table))


def _hundredfold(table: Table) -> Table:
    return table.with_column("lead", np.where(_half(table), 100.0, 1.0) * table.numbers("lead"))


def _turned(table: Table) -> Table:
    words = table.words("outcome").copy()
    hit = _half(table) & (np.random.default_rng(0).random(table.rows) < 0.3)
    words[hit] = np.where(words[hit] == "yes", "no", "yes")
    return table.with_column("outcome", pa.array(words, pa.string()))
