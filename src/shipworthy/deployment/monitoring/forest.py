"""An isolation forest over the cells of a grid: how strange a row is as a whole, not column by column.

It reads every column twice, as a value and as a rank: cuts by value find rows far outside, cuts by rank find rows
where few others are. It is trained with the model and kept as a program: plain arrays, scored by the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shipworthy.core.features import Input
from shipworthy.core.grid import Cells, Grid, Plan
from shipworthy.core.program import Program, Term, Trees
from shipworthy.core.table import Floats, Ints

TREES = 100
TREE_ROWS = 1_024
BLOCK = 2_048
ROUNDED = 1_024  # path lengths are kept in this fraction of a step, so that their sum is exact


def grow(plan: Plan, planned: Grid, cells: Mapping[str, Ints], *, seed: int = 0) -> Program:
    """A forest grown on rows, whose score is the sum of their path lengths over all trees: the shorter, the stranger.

    planned: counts that order the categories. cells: column → (n,) cells of the rows it learns from.
    Source: Liu, Ting and Zhou (2008), isolation forest.
    """
    from sklearn.ensemble import IsolationForest

    rows = readings(plan, planned, cells)
    made = IsolationForest(n_estimators=TREES, max_samples=min(TREE_ROWS, len(rows)), random_state=seed).fit(rows)
    arrays = _snapped(_joined([_lowered(one.tree_) for one in made.estimators_]), plan, planned)
    names = [f"{side} of {column.name}" for side in ("value", "rank") for column in plan.columns]
    return Program(tuple(map(Input, names)), (Term(Trees(narrow=True), arrays),), "identity", label="isolation forest")


def depth(forest: Program, plan: Plan, planned: Grid, cells: Mapping[str, Ints]) -> Ints:
    """How strange every row is, (n,), higher is stranger: the path lengths with the sign turned; 0 without a forest."""
    if not forest.inputs:
        return np.zeros(len(next(iter(cells.values()))) if cells else 0, np.int64)
    rows, places = len(next(iter(cells.values()))), _all_places(plan, planned)
    found = np.empty(rows)
    for first in range(0, rows, BLOCK):  # what a block reads stays in the processor's cache
        some = {name: codes[first : first + BLOCK] for name, codes in cells.items()}
        found[first : first + BLOCK] = forest.score(_read(places, some))
    return -np.rint(found).astype(np.int64)


def readings(plan: Plan, planned: Grid, cells: Mapping[str, Ints]) -> Floats:
    """What the forest reads of rows, (n, 2 columns): values, then ranks. cells: column → (n,)."""
    return _read(_all_places(plan, planned), cells)


def _all_places(plan: Plan, planned: Grid) -> dict[str, Floats]:
    return {column.name: _places(column, planned.columns[column.name]) for column in plan.columns}


def _read(places: Mapping[str, Floats], cells: Mapping[str, Ints]) -> Floats:
    found = np.empty((len(next(iter(cells.values()))), 2 * len(places)))
    for side in (0, 1):
        for place, (name, each) in enumerate(places.items(), side * len(places)):
            found[:, place] = each[cells[name], side]
    return found


def _places(column: Cells, counts: Ints) -> Floats:
    """Value and rank of every cell, (size, 2). Values are shares of the range; what has no value lies just beyond it.

    Of a category the value is how surprising it is, in nats, and the rank is from the most frequent on.
    """
    if column.kind == "category":
        rank = np.empty(column.size)
        rank[np.argsort(-counts, kind="stable")] = np.arange(column.size)
        return np.stack([-np.log((counts + 0.5) / (counts.sum() + 1)), rank], axis=1)
    half = np.asarray(column.edges) / 2  # so that no difference overflows
    shares = np.clip((half - half[1]) / (half[-2] - half[1] or 1.0), -1.0, 2.0)
    inside = (shares[1:] + shares[:-1]) / 2
    value = np.r_[-1.0, inside, 2.0, -2.0, 3.0, 1.1, 1.2]
    last = len(half) + 2
    rank = np.r_[1:last, 0, last, last + 1, last + 2]
    return np.stack([value, rank], axis=1)


def path_length(rows: Ints) -> Floats:
    """Mean length of an unsuccessful search among so many rows, (k,). Source: Liu, Ting and Zhou (2008), eq. 1."""
    many = np.maximum(rows, 3)
    long = 2 * (np.log(many - 1) + np.euler_gamma) - 2 * (many - 1) / many
    return np.where(rows > 2, long, np.where(rows == 2, 1.0, 0.0))


def _lowered(tree: Any) -> dict[str, Any]:
    """The arrays of one scikit-learn tree, as `kernels.pure.trees` reads them; children come after their parents."""
    inner = tree.children_left >= 0
    place = np.where(inner, np.cumsum(inner) - 1, -np.cumsum(~inner))
    below, level = np.zeros(tree.node_count), np.zeros(1, np.int64)
    steps = 0
    while level.size:
        below[level], steps = steps, steps + 1
        level = level[inner[level]]
        level = np.concatenate([tree.children_left[level], tree.children_right[level]])
    leaf = np.rint((below + path_length(tree.n_node_samples))[~inner] * ROUNDED)
    return {"root": int(place[0]), "feature": tree.feature[inner], "threshold": tree.threshold[inner],
            "left": place[tree.children_left[inner]], "right": place[tree.children_right[inner]], "leaf": leaf}


def _snapped(arrays: dict[str, Any], plan: Plan, planned: Grid) -> dict[str, Any]:
    """The same with every threshold moved down to the next reading that a cell can have: it parts the same cells.

    So there are few different ones, and the file is small.
    """
    places = [_places(column, planned.columns[column.name]) for column in plan.columns]
    threshold = arrays["threshold"].copy()
    for side in (0, 1):
        for k, place in enumerate(places):
            held = np.unique(place[:, side].astype(np.float32)).astype(np.float64)
            at = arrays["feature"] == side * len(places) + k
            threshold[at] = held[np.searchsorted(held, threshold[at], side="right") - 1]
    return {**arrays, "threshold": threshold}


def _joined(trees: list[dict[str, Any]]) -> dict[str, Any]:
    """The arrays of many trees as those of one term."""
    nodes = np.cumsum([0, *(len(one["feature"]) for one in trees)])
    leaves = np.cumsum([0, *(len(one["leaf"]) for one in trees)])

    def moved(child: Any, k: int) -> Any:
        return np.where(child >= 0, child + nodes[k], child - leaves[k])

    def whole(key: str) -> Any:
        return np.concatenate([moved(one[key], k) for k, one in enumerate(trees)]).astype(np.int32)

    none, count = np.zeros(int(nodes[-1]), np.int32), len(trees)
    return {"root": np.array([int(moved(one["root"], k)) for k, one in enumerate(trees)], np.int32),
            "output": np.zeros(count, np.int32), "left": whole("left"), "right": whole("right"),
            "feature": np.concatenate([one["feature"] for one in trees]).astype(np.int32), "flags": none, "words": none,
            "threshold": np.concatenate([one["threshold"] for one in trees]).astype(np.float64),
            "bits": np.zeros(0, np.uint32), "base": np.zeros(1),
            "leaf": np.concatenate([one["leaf"] for one in trees])[:, None]}
