"""Trees of scikit-learn and LightGBM as terms of a program, leaf for leaf.

Sources: LightGBM's text format and `tree.h`; scikit-learn's `Tree` arrays. Equality is tested on every threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from shipworthy.core.program import Term, Trees
from shipworthy.core.table import Ints
from shipworthy.errors import BadModel
from shipworthy.kernels import pure


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


def lower_lightgbm(text: str) -> Term:
    """A term equal to `Booster.predict(raw_score=True)`; text: what `Booster.model_to_string()` gives.

    The text is read, not the JSON dump, which writes an infinite threshold as 1e300. Raises BadModel for boosters with
    linear leaves or averaged output (random forest mode).
    """
    head, *blocks = text.split("\nend of trees")[0].split("\nTree=")
    if "\naverage_output" in head or any("\nis_linear=1" in block for block in blocks):
        raise BadModel("boosters with linear leaves or averaged output cannot be lowered", where="booster",
                       hint="train it with linear_tree = false and boosting = 'gbdt'")
    per = int(_fields(head)["num_tree_per_iteration"])
    trees = [_fields(block) for block in blocks]
    sizes = [(int(tree["num_leaves"]) - 1, int(tree["num_leaves"])) for tree in trees]
    nodes, leaves = (np.concatenate([[0], np.cumsum([size[side] for size in sizes])]) for side in (0, 1))
    words = np.concatenate([[0], np.cumsum([len(tree.get("cat_threshold", "").split()) for tree in trees])])
    parts = [_tree(tree, int(nodes[n]), int(leaves[n]), int(words[n])) for n, tree in enumerate(trees)]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    root = np.where(np.diff(nodes) > 0, nodes[:-1], -1 - leaves[:-1])
    return Term(Trees(), {**arrays, "root": root.astype(np.int32), "base": np.zeros(per),
                          "output": (np.arange(len(trees)) % per).astype(np.int32)})


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _tree(tree: dict[str, str], node: int, leaf: int, word: int) -> dict[str, Any]:
    """The arrays of one tree, whose nodes, leaves and words of bits begin at these places of the term."""

    def read(name: str, kind: Any) -> Any:
        return np.array(tree.get(name, "").split(), kind) if int(tree["num_leaves"]) > 1 else np.empty(0, kind)

    kinds = read("decision_type", np.int32)
    coded, nan_left = (kinds & 1) > 0, (kinds & 2) > 0
    flags = nan_left * pure.DEFAULT_LEFT | coded * pure.CATEGORICAL | (kinds >> 2 << pure.MISSING_SHIFT)
    threshold, counts = read("threshold", np.float64), np.zeros(len(kinds), np.int32)
    if coded.any():
        bounds, which = read("cat_boundaries", np.int64), threshold[coded].astype(np.int64)
        threshold[coded], counts[coded] = word + bounds[which], np.diff(bounds)[which]
    children = {side: read(f"{side}_child", np.int32) for side in ("left", "right")}
    return {
        "feature": read("split_feature", np.int32), "threshold": threshold, "flags": flags.astype(np.int32),
        "words": counts,
        **{side: np.where(child >= 0, child + node, child - leaf).astype(np.int32) for side, child in children.items()},
        "bits": read("cat_threshold", np.uint32), "leaf": np.array(tree["leaf_value"].split(), np.float64)[:, None],
    }


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
