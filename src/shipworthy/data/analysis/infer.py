"""What the rows of a table promise, column by column; bounds allow for how far its batches stray."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.found import Rule
from shipworthy.core.schema import Column
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.data.analysis.links import infer_links
from shipworthy.data.analysis.pairs import infer_pairs
from shipworthy.data.analysis.view import (
    View,
    cells,
    distance,
    family,
    level_counts,
    level_shares,
    longest_run,
    row_hashes,
)

ROWS = 60_000
BLOCK = 500
BLOCKS = 60
SPANS = 20
BINS = 12
MOST_LEVELS = 5_000
CELLS = 40
PARTS = {"hour": 24, "day": 31, "weekday": 7}


def infer(table: Table, *, in_time: bool = True) -> list[Rule]:
    """Every rule that the rows keep. in_time: whether their order means anything."""
    step = max(1, table.rows // ROWS)
    sample = table.take(np.arange(0, table.rows, step)) if step > 1 else table
    stretches = _blocks(table)
    blocks = spans(table) if in_time else _blocks(table, _mixed(table))
    rules: list[Rule] = []
    for column in table.schema.columns:
        rules += _column_rules(column, table, sample, blocks)
    hashes = row_hashes(sample.data)
    rules.append(Rule("repeat", support=table.rows, detail={"distinct": len(np.unique(hashes)) / max(1, len(hashes))}))
    return [*rules, *infer_links(sample, blocks, stretches), *infer_pairs(sample, blocks)]


def spans(table: Table, size: int = BLOCK) -> list[Table]:
    """Batches as time may bring them: at most 60 spans of a twentieth of the rows each, so many of whose rows are seen.

    A shorter span has weather of its own, or one hour of the day, and a rule that allows for that allows everything.
    """
    long = max(size, table.rows // SPANS)
    count = min(BLOCKS, table.rows // size)
    starts: list[int] = np.linspace(0, table.rows - long, count).astype(np.int64).tolist() if count else []
    return [table.take(start + np.linspace(0, long - 1, size).astype(np.int64)) for start in starts]


def _blocks(table: Table, order: Ints | None = None) -> list[Table]:
    """At most 60 stretches of 500 consecutive rows, spread evenly; in another order where one is given."""
    count = min(BLOCKS, table.rows // BLOCK)
    starts: list[int] = np.linspace(0, table.rows - BLOCK, count).astype(np.int64).tolist() if count else []
    if order is not None:
        return [table.take(order[start : start + BLOCK]) for start in starts]
    return [Table(table.data.slice(int(start), BLOCK), table.schema, table.name) for start in starts]


def _mixed(table: Table) -> Ints:
    """The rows in random order; rows of one group stay together, because a random split moves whole groups."""
    random, group = np.random.default_rng(0), table.schema.one("group")
    if group is None:
        return random.permutation(table.rows)
    _, codes = np.unique(np.array([str(word) for word in table.words(group.name)]), return_inverse=True)
    return np.argsort(random.permutation(int(codes.max(initial=0)) + 1)[codes], kind="stable")


def _column_rules(column: Column, table: Table, sample: Table, blocks: list[Table]) -> list[Rule]:
    name, rows = column.name, table.rows
    values = table.data[name]
    rules = [
        Rule("present", name, support=rows),
        Rule("type", name, values=(family(values.type),), support=rows),
        _null_rule(name, table, blocks),
    ]
    if values.null_count == rows:
        return rules
    key = _is_key(column, values)
    if column.kind == "number":
        rules.append(_range_rule(name, table))
    if key:
        rules.append(Rule("unique", name, support=rows))
    if column.kind in ("number", "boolean") and not key:
        rules += _shape_rule(name, sample, blocks)
    if column.kind in ("category", "text"):
        rules += _word_rules(name, sample, blocks, key)
    if column.kind == "timestamp":
        rules += _time_rules(name, table, sample, blocks)
    if not key:
        rules += _run_rule(name, table)
    return rules


def _is_key(column: Column, values: pa.ChunkedArray) -> bool:
    if values.null_count or column.kind in ("boolean", "timestamp") or (column.kind == "number" and not column.integer):
        return False
    return (column.role == "identifier" or column.role == "group" or len(values) >= 1_000) and len(
        values.unique()
    ) == len(values)


def _null_rule(name: str, table: Table, blocks: list[Table]) -> Rule:
    share = table.data[name].null_count / max(1, table.rows)
    shares = np.array([block.data[name].null_count / block.rows for block in blocks])
    stray = float(np.max(np.abs(shares - share), initial=0.0))
    noise = 4 * np.sqrt(max(share * (1 - share), 1 / max(table.rows, 1)) / BLOCK)
    slack = 0.0 if stray <= noise else min(1.0, 2 * stray)
    run = longest_run(np.asarray(table.data[name].is_null().to_numpy(), np.int64), only=1)
    return Rule("null-share", name, low=max(0.0, share - slack), high=min(1.0, share + slack), support=table.rows,
                detail={"share": share, "slack": slack, "run": run})


def _range_rule(name: str, table: Table) -> Rule:
    numbers = table.numbers(name)
    finite = numbers[np.isfinite(numbers)]
    low, high = float(finite.min()), float(finite.max())
    inner = np.quantile(finite, [0.05, 0.95]) if len(finite) < 1_000_000 else np.quantile(finite[::10], [0.05, 0.95])
    wide = max(high - low, 1e-9)
    below = min(wide, 2 * max(float(inner[0]) - low, 0.05 * wide))
    above = min(wide, 2 * max(high - float(inner[1]), 0.05 * wide))
    floor = max(0.0, low - below) if low >= 0 else low - below
    return Rule("range", name, low=floor, high=high + above, support=len(finite),
                detail={"infinite": bool(np.isinf(numbers).any())})


def _shape_rule(name: str, sample: Table, blocks: list[Table]) -> list[Rule]:
    numbers = sample.numbers(name)
    finite = numbers[np.isfinite(numbers)]
    if len(finite) < 50:
        return []
    distinct = np.unique(finite)
    edges = distinct[1:] if len(distinct) <= BINS else _edges(finite)
    if not len(edges):
        return []
    share = cells(finite, edges)
    return [Rule("quantile", name, support=len(finite),
                 detail={"edges": [float(edge) for edge in edges], "share": share.tolist(),
                         "slack": _slack(share, [cells(_finite(block, name), edges) for block in blocks])})]


def _edges(numbers: Floats) -> Floats:
    """Cuts into cells of equal mass; a value that fills a cell by itself, such as nought, has one of its own.

    The others then share as many cells as expect ten rows of a batch of 500, so that their shape is seen too.
    """
    values, counts = np.unique(numbers, return_counts=True)
    usual = float(values[counts.argmax()])
    rest = numbers[numbers != usual]
    if counts.max() * BINS <= len(numbers):
        return np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = int(np.clip(BLOCK * len(rest) / len(numbers) / 10, 1, BINS))
    cuts = np.quantile(rest, np.linspace(0, 1, bins + 1)[1:-1])
    return np.unique(np.concatenate([cuts, [usual, np.nextafter(usual, np.inf)]]))


def _word_rules(name: str, sample: Table, blocks: list[Table], key: bool) -> list[Rule]:
    values = sample.data[name].drop_null()
    found = values.value_counts()
    levels = np.array(found.field("values").to_pylist(), dtype=object).astype(str)
    counts = found.field("counts").to_numpy().astype(np.int64)
    letters = sorted({letter for word in levels[:20_000] for letter in str(word)})
    rules = [Rule("pattern", name, values=("".join(letters),), support=len(values),
                  detail={"longest": max(len(word) for word in levels)})]
    once = float((counts == 1).sum() / len(values))
    if key or len(levels) > MOST_LEVELS or once > 0.2:
        return rules
    known = tuple(str(level) for level in levels[np.lexsort((levels, -counts))])
    unseen = Rule("unseen-share", name, high=max(once, 1 / len(values)), support=len(values), values=known,
                  detail={"slack": _unseen_slack(name, known, blocks)})
    return [*rules, unseen, _level_rule(name, known[:CELLS], sample, blocks)]


def _level_rule(name: str, top: tuple[str, ...], sample: Table, blocks: list[Table]) -> Rule:
    share = level_shares(level_counts(sample.data[name]), top)
    slack = _slack(share, [level_shares(level_counts(block.data[name]), top) for block in blocks])
    rows = sample.rows - sample.data[name].null_count
    return Rule("levels", name, values=top, support=rows, detail={"share": share.tolist(), "slack": slack})


def _unseen_slack(name: str, known: tuple[str, ...], blocks: list[Table]) -> float:
    """Twice the largest share of a stretch whose level occurs in no other stretch: how fast many levels turn over."""
    if len(blocks) < 4 or len(known) <= 200:
        return 0.0
    codes = [pc.index_in(block.data[name], value_set=pa.array(known, pa.string())).fill_null(-1).to_numpy()
             for block in blocks]
    seen = np.zeros(len(known) + 1, np.int64)
    for each in codes:
        seen[np.unique(each)] += 1
    seen[-1] = 2
    worst = max(float((seen[each] == 1).mean()) for each in codes)
    return 2 * worst if worst > 0.05 else 0.0


def _time_rules(name: str, table: Table, sample: Table, blocks: list[Table]) -> list[Rule]:
    seconds = table.numbers(name)
    seconds = np.sort(seconds[np.isfinite(seconds)])
    gap = float(np.diff(seconds).max(initial=0.0)) if len(seconds) > 1 else 0.0
    rules = [Rule("order", name, low=float(seconds[0]), high=float(seconds[-1]), support=len(seconds),
                  detail={"gap": gap})]
    edges = np.unique(np.quantile(seconds, np.linspace(0, 1, 9)[1:-1]))
    if len(edges):
        rules.append(Rule("quantile", name, support=len(seconds), low=float(seconds[0]), high=float(seconds[-1]),
                          detail={"edges": edges.tolist(), "share": cells(seconds, edges).tolist(), "slack": 0.0,
                                  "same_period": True}))
    for part, size in PARTS.items():
        each = View(sample).part(name, part)
        share = np.bincount(each, minlength=size) / max(1, len(each))
        strays = [np.bincount(View(block).part(name, part), minlength=size) / BLOCK for block in blocks]
        rules.append(Rule("quantile", name, support=len(each),
                          detail={"part": part, "share": share.tolist(), "slack": _slack(share, strays)}))
    return rules


def _run_rule(name: str, table: Table) -> list[Rule]:
    values = table.data[name].slice(0, 200_000)
    codes = values.combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    _, counts = np.unique(codes, return_counts=True)
    top = float(counts.max() / len(codes))
    return [Rule("constant", name, support=len(codes), detail={"top": top, "run": longest_run(codes)})]


def _slack(share: Floats, strays: list[Floats]) -> float:
    """How far a stretch may stray from the whole, as total variation; 0 when stretches differ by chance alone."""
    if not strays:
        return 0.0
    found = np.array([distance(share, each) for each in strays])
    filled = max(1, int((share > 0).sum()))
    chance = np.sqrt(filled / (2 * np.pi * BLOCK)) + 3.5 * np.sqrt(0.25 / BLOCK)
    worst = float(found.max())
    return 0.0 if worst <= chance else min(1.0, worst + max(0.1, 0.5 * (1 - worst)))


def _finite(table: Table, name: str) -> Floats:
    numbers = table.numbers(name)
    return numbers[np.isfinite(numbers)]
