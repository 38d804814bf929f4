"""Links: how every column goes with the target, so that a column out of step with its rows is seen.

A column turned over, exchanged with another, or shifted by a row keeps its own distribution and loses its link. The
link of a column is its part of a linear model of the target on bin means, and is compared with the link to the rows
before and after: score statistics in the sense of Rao (1948).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtri

from shipworthy.core.drawn import rowwise
from shipworthy.core.found import Breach, Rule
from shipworthy.core.table import Floats, Ints, Table, to_words
from shipworthy.data.analysis.rules import CHANCE
from shipworthy.data.analysis.strength import binned, edges_of
from shipworthy.data.analysis.view import View

BINS = 12
LEVELS = 30
LEAST = 500
SMOOTH = 10.0
LAGS = (1, -1)


def infer_links(sample: Table, blocks: list[Table], stretches: list[Table]) -> list[Rule]:
    """The one rule of every feature's link to the target; none without a target that varies over 500 rows.

    blocks: batches as they may come, for how far a link strays. stretches: consecutive rows, for links to neighbours.
    """
    target = sample.schema.one("target")
    if target is None or sample.rows < LEAST or sample.data[target.name].null_count == sample.rows:
        return []
    answer = _answer(sample, target.name)
    known = np.isfinite(answer["values"])
    truth = np.where(known, answer["values"], 0.0)
    if not known.any() or truth[known].std() < 1e-12:
        return []
    mean, deviation = float(truth[known].mean()), float(truth[known].std())
    truth = np.where(known, (truth - mean) / deviation, 0.0)
    columns = {}
    for column in sample.schema.features:
        if column.kind in ("number", "boolean", "category", "timestamp"):
            scale = _scale(sample, column.name, truth)
            if scale:
                columns[column.name] = scale
    if not columns:
        return []
    inputs = np.stack([score(each, sample, name) for name, each in columns.items()], axis=1)
    weights = np.linalg.solve(inputs.T @ inputs + SMOOTH * np.eye(inputs.shape[1]), inputs.T @ truth)
    for place, each in enumerate(columns.values()):
        each["weight"] = float(weights[place])
    detail: dict[str, Any] = {"positive": answer["positive"], "mean": mean, "deviation": deviation, "columns": columns}
    rule = Rule("association", target.name, support=sample.rows, detail=detail)
    _calibrate(rule, sample, blocks, stretches)
    return [rule]


def measure_links(rule: Rule, view: View, broken: set[str]) -> list[Breach]:
    """The columns whose link to the target a batch has lost."""
    batch = view.batch
    if batch.rows < 100 or rule.column not in batch.schema or rule.column in broken:
        return []
    usable = {name: each for name, each in rule.detail["columns"].items() if name in batch.schema
              and name not in broken}
    if len(usable) < len(rule.detail["columns"]):
        return []
    once = view.once
    same, shifted = _figures(rule, once)
    bound = -float(ndtri(CHANCE / 2))
    found = []
    for place, (name, each) in enumerate(usable.items()):
        noise = each["noise"] * np.sqrt(1 / once.rows + 1 / rule.support)
        off = abs(same[place] - each["link"]) - each["slack"]
        lag = shifted[place] - each["lagged"] - each["slack_lagged"]
        if off > bound * noise:
            was = f"link {same[place]:.2f}, before {each['link']:.2f}"
            sentence = f"{name} goes with {rule.column} otherwise than before ({was})"
            found.append(Breach(rule, f"{same[place]:.2f}", sentence))
        elif batch.rows == once.rows and lag > bound * each["noise"] * np.sqrt(2 / once.rows):
            found.append(Breach(rule, f"{shifted[place]:.2f}", f"{name} goes with {rule.column} of the row before or "
                                "after: it was shifted"))
    return found


def score(scale: dict[str, Any], table: Table, name: str) -> Floats:
    """(n,) the training mean of the target for every value of a column, standardised."""
    if "levels" in scale:
        codes = _placed(table.data[name], scale["levels"])
    else:
        codes = binned(table.numbers(name), np.array(scale["edges"]))
    return np.array(scale["score"])[np.minimum(codes, len(scale["score"]) - 1)]


def _scale(sample: Table, name: str, truth: Floats) -> dict[str, Any]:
    kind = sample.schema[name].kind
    scale: dict[str, Any]
    if kind == "category":
        counts = sample.data[name].drop_null().value_counts()
        found = sorted((-each["counts"], str(each["values"])) for each in counts.to_pylist())
        scale = {"levels": [level for _, level in found[:LEVELS]]}
        codes = _placed(sample.data[name], scale["levels"])
        size = len(scale["levels"]) + 2
    else:
        edges = edges_of(sample.numbers(name), BINS)
        scale = {"edges": edges.tolist()}
        codes = binned(sample.numbers(name), edges)
        size = len(edges) + 2
    rows, total = np.bincount(codes, minlength=size), np.bincount(codes, truth, minlength=size)
    means = total / (rows + SMOOTH)
    middle = float(means @ rows / rows.sum())
    deviation = float(np.sqrt(((means - middle) ** 2) @ rows / rows.sum()))
    if deviation < 1e-9:
        return {}
    scale["score"] = ((means - middle) / deviation).tolist()
    return scale


def _answer(table: Table, target: str, positive: str | None = None) -> dict[str, Any]:
    if table.schema[target].kind in ("number", "boolean") and positive in (None, ""):
        return {"values": table.numbers(target), "positive": ""}
    words = (pa.chunked_array([pa.array(table.words(target), pa.string())]) if table.schema[target].kind == "number"
             else (table.data[target]))
    if positive is None:
        found = sorted((-each["counts"], str(each["values"])) for each in words.drop_null().value_counts().to_pylist())
        positive = found[min(1, len(found) - 1)][1]
    hits = pc.cast(pc.cast(pc.equal(words, positive), pa.int8()), pa.float64())
    return {"values": np.asarray(hits.to_numpy(), np.float64), "positive": positive}


def _placed(values: pa.ChunkedArray, levels: list[str]) -> Ints:
    """(n,) 0 for missing, the place of the level from 1, and one more for every other value."""
    words = values if pa.types.is_string(values.type) else pa.chunked_array([pa.array(to_words(values), pa.string())])
    codes = pc.fill_null(pc.index_in(words, value_set=pa.array(levels, pa.string())), len(levels))
    return np.where(np.asarray(words.is_null().to_numpy()), 0, codes.to_numpy().astype(np.int64) + 1)


def _products(rule: Rule, table: Table) -> tuple[Floats, Floats, Floats]:
    """Scores (n, d), residuals without the own part (n, d), of a table under the rule's linear model."""
    detail = rule.detail
    values = rowwise(table, ("answer", id(detail)),
                     lambda rows: np.asarray(_answer(rows, rule.column, detail["positive"])["values"]))
    truth = np.where(np.isfinite(values), (values - detail["mean"]) / detail["deviation"], 0.0)
    inputs = rowwise(table, ("scores", id(detail)), lambda rows: np.stack(
        [score(each, rows, name) for name, each in detail["columns"].items()], axis=1))
    weights = np.array([each["weight"] for each in detail["columns"].values()])
    left = (truth - inputs @ weights)[:, None] + inputs * weights
    return inputs, left, weights


def _figures(rule: Rule, table: Table) -> tuple[Floats, Floats]:
    """(d,) the link of every column; (d,) by how much the best link to a neighbouring row exceeds it."""
    inputs, left, _ = _products(rule, table)
    same = (inputs * left).mean(axis=0)
    beside = np.max([(inputs * np.roll(left, lag, axis=0)).mean(axis=0) for lag in LAGS], axis=0)
    return same, np.where(same + beside > 0, beside - same, -np.abs(same))


def _calibrate(rule: Rule, sample: Table, blocks: list[Table], stretches: list[Table]) -> None:
    inputs, left, _ = _products(rule, sample)
    products = inputs * left
    own = [_figures(rule, block)[0] for block in blocks]
    beside = [_figures(rule, stretch)[1] for stretch in stretches]
    for place, each in enumerate(rule.detail["columns"].values()):
        each["link"] = float(products[:, place].mean())
        each["noise"] = float(products[:, place].std())
        each["lagged"] = max(-each["link"], float(np.mean([one[place] for one in beside]))) if beside else -each["link"]
        chance = 3.5 * each["noise"] / np.sqrt(blocks[0].rows if blocks else 1)
        stray = max((abs(float(same[place]) - each["link"]) for same in own), default=0.0)
        lag = max((float(shifted[place]) - each["lagged"] for shifted in beside), default=0.0)
        each["slack"] = 0.0 if stray <= chance else 2 * stray
        each["slack_lagged"] = 0.0 if lag <= 1.6 * chance else 2 * lag
