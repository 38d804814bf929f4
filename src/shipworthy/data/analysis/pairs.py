"""Pairs: how every column goes with the column it is most closely tied to, so that one out of step is seen.

A column that was shifted, exchanged or relabelled keeps its own distribution and loses its ties. The tie of a pair is
what its counts say beyond both columns' own: expected counts keep the training rows' odds ratios and take the batch's
own margins, so that a batch whose columns merely moved keeps its ties.
Source: Deming and Stephan (1940), iterative proportional fitting; Pearson's statistic for two samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.drawn import rowwise
from shipworthy.core.found import Breach, Rule
from shipworthy.core.table import Floats, Ints, Table, to_words
from shipworthy.data.analysis.rules import CHANCE, TINY_SHIFT
from shipworthy.data.analysis.strength import binned, edges_of
from shipworthy.data.analysis.view import View, chance_of, distance

BINS, LEVELS = 6, 6
COLUMNS = 60
LOOKED_AT = 5_000
LEAST_ROWS, LEAST_TIE = 500, 0.02
ROUNDS = 12

Scale = dict[str, Any]


def infer_pairs(sample: Table, blocks: list[Table]) -> list[Rule]:
    """One rule a pair: every feature and the target with the column that tells most of it, if one tells anything.

    blocks: batches as they may come, for how far a tie strays.
    """
    names = [column.name for column in sample.schema.columns
             if column.role in ("feature", "target") and column.kind in ("number", "boolean", "category")][:COLUMNS]
    if sample.rows < LEAST_ROWS:
        return []
    scales = {name: scale(sample, name) for name in names}
    codes = {name: placed(scales[name], sample, name) for name in names}
    rules = []
    for left, right in _closest(sample, names, codes):
        sizes = size(scales[left]), size(scales[right])
        share = _joint(codes[left], codes[right], sizes) / sample.rows
        strays = []
        for block in blocks:
            counts = _joint(placed(scales[left], block, left), placed(scales[right], block, right), sizes)
            strays.append(distance(fitted(share, counts) / block.rows, counts / block.rows))
        rules.append(Rule("pair", left, values=(right,), support=sample.rows, detail={
            "scales": [scales[left], scales[right]], "share": share.ravel().tolist(),
            "slack": _slack(strays, sizes, blocks[0].rows if blocks else 1)}))
    return rules


def measure_pair(rule: Rule, view: View) -> list[Breach]:
    """The tie that a batch has lost; empty where it holds, and where fewer than 100 rows are too few to tell."""
    left, right = rule.column, rule.values[0]
    batch = view.once
    if batch.rows < 100 or right not in batch.schema or _foreign(batch, left, rule) or _foreign(batch, right, rule, 1):
        return []
    one, other = rule.detail["scales"]
    cells = (view.keep("cell", left, lambda: rowwise(batch, ("cell", id(one)), lambda rows: placed(one, rows, left))),
             view.keep("cell", right, lambda: rowwise(batch, ("cell", id(other)),
                                                      lambda rows: placed(other, rows, right))))
    counts = _joint(*cells, (size(one), size(other)))
    share = np.array(rule.detail["share"]).reshape(counts.shape)
    expected = fitted(share, counts) / batch.rows
    far = distance(expected, counts / batch.rows)
    chance = chance_of(expected.ravel(), rule.support, counts.ravel())
    if far < max(TINY_SHIFT, rule.detail["slack"]) or chance >= CHANCE:
        return []
    told = f"{left} no longer goes with {right} as before ({far:.0%} of rows out of step)"
    return [Breach(rule, f"{far:.2f}", told)]


def scale(table: Table, name: str) -> Scale:
    """How the values of a column are put into cells: six levels, or bins of equal mass."""
    if table.schema[name].kind == "category":
        counts = table.data[name].drop_null().value_counts()
        found = sorted((-each["counts"], str(each["values"])) for each in counts.to_pylist())
        return {"levels": [level for _, level in found[:LEVELS]]}
    return {"edges": edges_of(table.numbers(name), BINS).tolist()}


def size(scale: Scale) -> int:
    """How many cells there are, with one for missing."""
    return len(scale["levels"]) + 2 if "levels" in scale else len(scale["edges"]) + 2


def placed(scale: Scale, table: Table, name: str) -> Ints:
    """(n,) the cell of every value, 0 for missing."""
    if "edges" in scale:
        return binned(table.numbers(name), np.array(scale["edges"]))
    values = table.data[name]
    words = values if pa.types.is_string(values.type) else pa.chunked_array([pa.array(to_words(values), pa.string())])
    codes = pc.fill_null(pc.index_in(words, value_set=pa.array(scale["levels"], pa.string())), len(scale["levels"]))
    return np.where(np.asarray(words.is_null().to_numpy()), 0, codes.to_numpy().astype(np.int64) + 1)


def fitted(share: Floats, counts: Floats) -> Floats:
    """Counts with the odds ratios of `share` and the margins of `counts`, (cells, cells)."""
    ratio = share + 1e-6 / share.size
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    down = np.ones(len(columns))
    for _ in range(ROUNDS):
        across = rows / (ratio @ down)
        down = columns / (across @ ratio)
    found: Floats = across[:, None] * ratio * down
    return found


def _foreign(batch: Table, name: str, rule: Rule, side: int = 0) -> bool:
    """Whether a column can no longer be put into its cells, because it is of another kind now."""
    words = batch.schema[name].kind in ("category", "text")
    return words != ("levels" in rule.detail["scales"][side])


def _joint(left: Ints, right: Ints, sizes: tuple[int, int]) -> Floats:
    counts = np.bincount(left * sizes[1] + right, minlength=sizes[0] * sizes[1])
    return np.asarray(counts.reshape(sizes), np.float64)


def _closest(sample: Table, names: list[str], codes: dict[str, Ints]) -> list[tuple[str, str]]:
    """Each column with the one that shares most information with it, as unordered pairs in the order of the table."""
    at = np.linspace(0, sample.rows - 1, min(LOOKED_AT, sample.rows)).astype(np.int64)
    seen = {name: codes[name][at] for name in names}
    tie = np.zeros((len(names), len(names)))
    for i, left in enumerate(names):
        for j in range(i):
            tie[i, j] = tie[j, i] = _information(seen[left], seen[names[j]])
    pairs: dict[tuple[str, str], None] = {}
    for i, left in enumerate(names):
        j = int(tie[i].argmax()) if len(names) > 1 else i
        if tie[i, j] > LEAST_TIE:
            pairs[(left, names[j]) if i < j else (names[j], left)] = None
    return list(pairs)


def _information(left: Ints, right: Ints) -> float:
    """Mutual information in nats, less what chance alone would show. Source: Miller (1955), the correction."""
    joint = _joint(left, right, (int(left.max()) + 1, int(right.max()) + 1)) / len(left)
    alone = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 0
    found = float((joint[there] * np.log(joint[there] / alone[there])).sum())
    cells = (int((joint.sum(axis=1) > 0).sum()) - 1) * (int((joint.sum(axis=0) > 0).sum()) - 1)
    return found - cells / (2 * len(left))


def _slack(strays: list[float], sizes: tuple[int, int], rows: int) -> float:
    """How far a batch may stray; 0 where batches differ by chance alone."""
    chance = np.sqrt(sizes[0] * sizes[1] / (2 * np.pi * rows)) + 3.5 * np.sqrt(0.25 / rows)
    worst = max(strays, default=0.0)
    return 0.0 if worst <= chance else min(1.0, worst + max(0.1, 0.5 * (1 - worst)))
