"""Planted faults in a challenger that shares the traffic: what the check of a rollout must catch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shipworthy.core.table import Table
from shipworthy.marks import sabotage, twin
from shipworthy.sabotage.deployment_monitoring import served

Case = Mapping[str, Any]
Mask = npt.NDArray[np.bool_]
SHARE = 0.5


@twin("rollout")
def same_release_twice(case: Case, seed: int) -> Case:
    """Half of the traffic for a challenger that is the champion under another name."""
    return shared(served(case, seed), seed)


def shared(case: Case, seed: int, *, drawn: float = SHARE,
           change: Callable[[dict[str, Any], Mask], None] | None = None) -> Case:
    """The case's log as if a challenger had half of it. drawn: what it got. change: of the columns of its rows."""
    log: Table = case["log"]
    judged = np.random.default_rng([11, seed]).random(log.rows) < drawn
    columns: dict[str, Any] = {
        "arm": np.where(judged, "challenger", "champion"), "release": np.where(judged, "s", "r"),
        "propensity": np.where(judged, SHARE, 1 - SHARE), "score": log.numbers("score").copy(),
        "decision": np.array(log.column("decision").to_pylist(), object)}
    if change:
        change(columns, judged)
    for name, values in columns.items():
        log = log.with_column(name, pa.array(values.tolist()))
    return {**case, "log": log}


@sabotage("challenger-turned", check="rollout")
def challenger_turned(case: Case) -> Case:
    """A challenger that decides and scores the wrong way round: the next class, or three spreads too high."""
    classes = case["model"].sheet.classes

    def turned(columns: dict[str, Any], rows: Mask) -> None:
        if not classes:
            columns["score"][rows] += 3 * columns["score"].std()
            columns["decision"] = np.where(rows, columns["score"], columns["decision"])
            return
        after = dict(zip(classes, (*classes[1:], classes[0]), strict=True))
        columns["decision"][rows] = [after[word] for word in columns["decision"][rows]]
        columns["score"][rows] = 1 - columns["score"][rows]

    return shared(served(case, 0), 0, change=turned)


@sabotage("challenger-without-a-column", check="rollout")
def challenger_without_a_column(case: Case) -> Case:
    """A challenger whose score is no number on the fifth of the rows where a column of its own is broken."""
    def broken(columns: dict[str, Any], rows: Mask) -> None:
        columns["score"][rows & (np.arange(len(rows)) % 5 == 0)] = np.nan

    return shared(served(case, 0), 0, change=broken)


@sabotage("challenger-over-its-share", check="rollout")
def challenger_over_its_share(case: Case) -> Case:
    """A challenger that got six of ten requests, while the log says five."""
    return shared(served(case, 0), 0, drawn=0.6)


@sabotage("challenger-five-points-worse", check="rollout")
def challenger_five_points_worse(case: Case) -> Case:
    """A challenger that is sure and wrong on five rows of a hundred that it had right; of a number, far off on each."""
    halves = [served(case, seed) for seed in (0, 1)]
    both = {name: Table.of(pa.concat_tables([half[name].data for half in halves]), name=name)
            for name in ("log", "labels")}
    known = dict(zip(both["labels"].words("prediction_id"), both["labels"].words("label"), strict=True))
    truth = np.array([known.get(one) for one in both["log"].words("prediction_id")], object)
    classes = case["model"].sheet.classes

    def worse(columns: dict[str, Any], rows: Mask) -> None:
        if not classes:
            columns["score"][rows] += 0.5 * columns["score"].std()
            return
        right = rows & (columns["decision"] == truth)
        had = np.where(truth == classes[-1], columns["score"], 1 - columns["score"])  # by coin: right by its chance
        had = had if halves[0]["grid"].facts.by_coin else np.ones(len(rows))
        hit = right & (np.random.default_rng(12).random(len(rows)) < 0.05 * rows.sum() / max(1.0, had[right].sum()))
        after = dict(zip(classes, (*classes[1:], classes[0]), strict=True))
        columns["decision"][hit] = [after[word] for word in columns["decision"][hit]]
        if len(classes) == 2:
            columns["score"][hit] = np.where(columns["decision"][hit] == classes[1], 0.999, 0.001)

    return shared({**halves[0], **both}, 0, change=worse)
