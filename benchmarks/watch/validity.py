"""Alarms when nothing has changed: null pairs by size, beside the peers at their defaults, and quiet years."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.frame import Bar
from benchmarks.watch._pairs import PEERS, Said, before, flagged, joint_flagged, said
from benchmarks.watch._quiet import project, year
from shipworthy.core.grid import Reference
from shipworthy.core.table import Ints
from shipworthy.deployment.monitoring.columns import changed, judge_windows
from shipworthy.deployment.monitoring.watch import watch

SIZES, PAIRS, PEER_PAIRS = (100, 1_000, 10_000), 200, 40
JOINT_PAIRS, HUGE_PAIRS, YEARS = 40, 100, 12
MILLION = 1_000_000

BARS = (
    Bar("columns named without change, worst of 7 kinds and 3 sizes", None, 0.05, "lower"),
    Bar("windows with any column named without change, worst size", None, 0.05, "lower"),
    Bar("columns named without change at a million rows", None, 0.05, "lower"),
    Bar("joint drift: classifier e-value ≥ 20 without change", None, 0.05, "lower"),
    Bar("joint drift: Fourier features p < 5 % without change", None, 0.05, "lower"),
    Bar("pages of a quiet model and year of 8,760 hourly windows", None, 1.0, "lower"),
    *(Bar(f"the same of {name} at its defaults: worst kind and size", None, 1.0, "lower") for name in PEERS),
)


def measured() -> list[tuple[float | None, str]]:
    """A (value, note) for every bar, in order."""
    return [*_ours(), *_million(), *_joint(), _quiet(), *(_peer(name) for name in PEERS)]


def _ours() -> list[tuple[float | None, str]]:
    found = {str(size): flagged(PAIRS, size) for size in SIZES}
    return [(max(_rates(found).values()), _told(found)),
            (max(_any(found).values()), f"{PAIRS} pairs, 7 columns, reference 5,000: {_said(_any(found))}")]


def _rates(found: Said) -> dict[str, float]:
    return {f"{column} {size}": float(np.mean(hits)) for size, columns in found.items()
            for column, hits in columns.items() if column != "joint"}


def _any(found: Said) -> dict[str, float]:
    return {size: float(np.any([hits for column, hits in columns.items() if column != "joint"], axis=0).mean())
            for size, columns in found.items()}


def _told(found: Said) -> str:
    """For every column the share of pairs that name it, by size."""
    columns = list(next(iter(found.values())))
    return f"at {' / '.join(found)} rows: " + "; ".join(
        f"{column} {' / '.join(f'{np.mean(found[size][column]):.0%}' for size in found)}" for column in columns)


def _said(rates: dict[str, float]) -> str:
    return ", ".join(f"{size} rows {rate:.1%}" for size, rate in rates.items())


def _million() -> list[tuple[float | None, str]]:
    """A million rows a side, as counts: multinomial over the shares of cells, which is what a million rows give."""
    known, random, hits = before(0, 100_000), np.random.default_rng(0), []
    share = {name: known.grid.columns[name] / known.grid.rows for name in known.plan.names}
    for _ in range(HUGE_PAIRS):
        sides = [{name: random.multinomial(MILLION, one) for name, one in share.items()} for _ in range(2)]
        hits.append(len(changed(judge_windows(_with(known, sides[0]), sides[1]))) > 0)
    return [(float(np.mean(hits)), f"{HUGE_PAIRS} pairs of a million rows a side, any of 7 columns")]


def _with(known: Reference, counts: dict[str, Ints]) -> Reference:
    return replace(known, grid=replace(known.grid, columns=counts, rows=MILLION))


def _joint() -> list[tuple[float | None, str]]:
    found = {size: joint_flagged(JOINT_PAIRS, size) for size in (1_000, 5_000)}
    return [(max(one[k] for one in found.values()), f"{JOINT_PAIRS} pairs each, against no change at all: " + ", ".join(
        f"{size} rows {one[k]:.1%}" for size, one in found.items())) for k in (0, 1)]


def _quiet() -> tuple[float | None, str]:
    pages, nearest = [], 0.0
    for seed in range(YEARS):
        watched = watch(*year(seed), project())
        pages.append(watched.pages)
        nearest = max(nearest, *(m / one.bar for one in watched.windows for m in one.m.values()))
    return max(pages), (f"{YEARS} models of 40 columns, 1,000 rows an hour, hours, days and weeks through the watch: "
                        f"{sum(pages)} pages in all; the nearest statistic reached {nearest:.2g} of its bar")


def _peer(name: str) -> tuple[float | None, str]:
    told = said(name, "flags", PEER_PAIRS, SIZES)
    if told is None:
        return None, f"not measured: SHIPWORTHY_PEERS holds no working environment of {name}"
    return max(_rates(told[0]).values()), (f"{PEER_PAIRS} pairs, {_told(told[0])}; any column: "
                                           f"{_said(_any(told[0]))}; {told[1]:.0f} s")
