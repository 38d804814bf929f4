"""Trees of scikit-learn and LightGBM as terms of a program, leaf for leaf.

Sources: LightGBM's dump format and `tree.h`; scikit-learn's `Tree` arrays. Equality is tested on every threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from shipworthy.core.program import Term, Trees
from shipworthy.core.table import Ints
from shipworthy.kernels import pure

_MISSING = {"None": pure.MISSING_NONE, "Zero": pure.MISSING_ZERO, "NaN": pure.MISSING_NAN}


class _Nodes:
    """Grows the flat arrays of a `Trees` term."""

    def __init__(self, base: Any) -> None:
        self.rows: list[tuple[int, float, int, int, int, int]] = []
        self.leaf: list[Any] = []
        self.bits: list[int] = []
        self.root: list[int] = []
        self.output: list[int] = []
        self.base = np.atleast_1d(np.asarray(base, np.float64))

    def add_leaf(self, value: Any) -> int:
        self.leaf.append(np.atleast_1d(value))
        return -len(self.leaf)

    def add_codes(self, codes: Iterable[int]) -> tuple[float, int]:
        """Where the bits of a set of codes begin, and how many words they are."""
        listed = [int(code) for code in codes]
        words = [0] * (max(listed, default=0) // 32 + 1)
        for code in listed:
            words[code // 32] |= 1 << code % 32
        self.bits += words
        return float(len(self.bits) - len(words)), len(words)

    def reserve(self) -> int:
        self.rows.append((0, 0.0, 0, 0, 0, 0))
        return len(self.rows) - 1

    def arrays(self) -> dict[str, Any]:
        kinds = ("feature", "threshold", "left", "right", "flags", "words")
        columns = list(zip(*self.rows, strict=True)) or [()] * 6
        made: dict[str, Any] = {
            kind: np.array(column, np.float64 if kind == "threshold" else np.int32)
            for kind, column in zip(kinds, columns, strict=True)
        }
        return {
            **made,
            "root": np.array(self.root, np.int32),
            "output": np.array(self.output, np.int32),
            "bits": np.array(self.bits, np.uint32),
            "leaf": np.array(self.leaf, np.float64),
            "base": self.base,
        }


def lower_lightgbm(dump: dict[str, Any]) -> Term:
    """A term equal to `Booster.predict(raw_score=True)`; dump: what `Booster.dump_model()` gives.

    Boosters with `linear_tree` or averaged output (random forest mode) are not covered.
    """
    per = int(dump["num_tree_per_iteration"])
    nodes = _Nodes(np.zeros(per))
    for place, tree in enumerate(dump["tree_info"]):
        nodes.root.append(_grow(nodes, tree["tree_structure"]))
        nodes.output.append(place % per)
    return Term(Trees(), nodes.arrays())


def _grow(nodes: _Nodes, root: dict[str, Any]) -> int:
    """The place of a tree's root; without recursion, since trees may be deep."""
    if "leaf_value" in root and "split_feature" not in root:
        return nodes.add_leaf(root["leaf_value"])
    first = nodes.reserve()
    waiting = [(first, root)]
    while waiting:
        place, split = waiting.pop()
        children = []
        for side in ("left_child", "right_child"):
            child = split[side]
            if "split_feature" in child:
                at = nodes.reserve()
                waiting.append((at, child))
            else:
                at = nodes.add_leaf(child["leaf_value"])
            children.append(at)
        nodes.rows[place] = _split(nodes, split, children[0], children[1])
    return first


def _split(nodes: _Nodes, split: dict[str, Any], left: int, right: int) -> tuple[int, float, int, int, int, int]:
    flags = _MISSING[split["missing_type"]] << pure.MISSING_SHIFT | (pure.DEFAULT_LEFT if split["default_left"] else 0)
    if split["decision_type"] == "<=":
        return split["split_feature"], float(split["threshold"]), left, right, flags, 0
    start, words = nodes.add_codes([int(code) for code in str(split["threshold"]).split("||")])
    return split["split_feature"], start, left, right, flags | pure.CATEGORICAL, words


def lower_sklearn(trees: list[Any], *, positive: int | None, outputs: int, ranks: Sequence[Ints | None] = ()) -> Term:
    """A term equal to the mean over scikit-learn trees of their value or class shares.

    trees: fitted `tree_` holders. positive: the class whose share is the output of a binary task; None for a
    regression, or for all classes when outputs > 1. ranks: of every category, as `orders` gave them to the library;
    a cut of ranks becomes a set of codes. Rows are rounded to float32 first, as scikit-learn does.
    """
    nodes = _Nodes(np.zeros(outputs))
    for holder in trees:
        tree = holder.tree_
        values = tree.value[:, 0, :]
        values = values if positive is None and outputs == 1 else values / values.sum(axis=1, keepdims=True)
        values = values if positive is None else values[:, [positive]]
        nodes.root.append(_copy(nodes, tree, values, ranks))
        nodes.output.append(0)
    return Term(Trees(divisor=float(len(trees)), narrow=True), nodes.arrays())


def _copy(nodes: _Nodes, tree: Any, values: Any, ranks: Sequence[Ints | None]) -> int:
    """Place of the root; scikit-learn sends NaN by `missing_go_to_left`, children come after their parents."""
    place: dict[int, int] = {}
    for node in range(tree.node_count):
        place[node] = nodes.add_leaf(values[node]) if tree.children_left[node] < 0 else nodes.reserve()
    for node in map(int, np.flatnonzero(tree.children_left >= 0)):
        feature, cut, nan_left = (
            int(tree.feature[node]),
            float(tree.threshold[node]),
            bool(tree.missing_go_to_left[node]),
        )
        left, right = place[int(tree.children_left[node])], place[int(tree.children_right[node])]
        rank = ranks[feature] if feature < len(ranks) else None
        if rank is None:
            flags = pure.MISSING_NAN << pure.MISSING_SHIFT | (pure.DEFAULT_LEFT if nan_left else 0)
            nodes.rows[place[node]] = (feature, cut, left, right, flags, 0)
        elif nan_left:
            start, words = nodes.add_codes(np.flatnonzero(rank > cut))
            nodes.rows[place[node]] = (feature, start, right, left, pure.CATEGORICAL, words)
        else:
            start, words = nodes.add_codes(np.flatnonzero(rank <= cut))
            nodes.rows[place[node]] = (feature, start, left, right, pure.CATEGORICAL, words)
    return place[0]
