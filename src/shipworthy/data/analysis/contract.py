"""The data contract: what every batch must hold, inferred from training rows.

Every bound allows for the noise of a small batch, and, in time, for how far spans of a twentieth of the training rows
stray from the whole; and a rule that earlier training rows promise and later ones break is not promised. A table whose
months differ is so promised less than one whose rows are alike. After Schelter et al.
(2018), "Automating large-scale data quality verification", and Redyuk et al. (2021), "Automating data quality
validation for dynamic data ingestion"; the bounds are our own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import numpy as np

from shipworthy.core.found import Breach, Contract, Profile, Rule
from shipworthy.core.table import Ints, Table
from shipworthy.data.analysis.infer import BLOCK, infer, spans
from shipworthy.data.analysis.links import measure_links
from shipworthy.data.analysis.pairs import measure_pair
from shipworthy.data.analysis.rules import MEASURES
from shipworthy.data.analysis.view import View, row_hashes

LEAST_BACKTEST = 2_000
BACKTEST_ROWS = 10_000
CUTS = (0.5, 0.75)
SHAPES = ("quantile", "levels")


def contract(
    table: Table, profile: Profile | None = None, *, batch_rows: int = 0, in_time: bool = True,
    limits: Mapping[str, tuple[float, float]] | None = None, changed: float = 0.0,
) -> Contract:
    """The promises that training rows keep: presence, type, gaps, range, levels, shapes, times, links to the target.

    table: training rows in their order. batch_rows: how many rows a batch should have; 0 is not known. in_time:
    whether newer batches may differ as stretches of the table do; if not, rows (or whole groups, where the schema
    names one) are held to be exchangeable, as they are in a random split. Columns that the project sets aside are
    not promised. limits: column → lowest and highest possible value, as declared: its range, whatever rows were seen.
    changed: share of the rows after which others may have come; 0 if that is not known.
    """
    judged = [column.name for column in table.schema.columns if column.role not in ("ignored", "suspect")
              or column.protected]
    table = table.select(judged)
    cuts = (*CUTS, changed) if 0 < changed < 1 else CUTS
    broken = _backtest(table, cuts) if in_time and table.rows >= LEAST_BACKTEST else {}
    rules = [_relaxed(rule, broken[_key(rule)]) if _key(rule) in broken else rule for rule in infer(
        table, in_time=in_time) if _key(rule) not in broken or _relaxable(rule)]
    rules = [_declared(rule, limits or {}) for rule in rules]
    if len(broken) >= max(3, 0.05 * len(rules)):
        rules = [_loosened(rule) for rule in rules]
    if batch_rows:
        rules.append(Rule("rows", low=0.75 * batch_rows, high=1.5 * batch_rows, support=table.rows))
    return Contract(tuple(rules), batch_rows)


def validate(promised: Contract, batch: Table, *, previous: Table | None = None) -> tuple[Breach, ...]:
    """Every rule that a batch breaks, in one sentence each; empty if it keeps them all.

    previous: the batch before, to see whether it was delivered again. Rules for a batch of clean rows err in less
    than one of a thousand batches of 200 rows or more.
    """
    view = View(batch)
    found = []
    broken: set[str] = set()
    for rule in promised.rules:
        if rule.kind not in MEASURES or rule.column in broken:
            continue
        breach = MEASURES[rule.kind](rule, view)
        if breach:
            found.append(breach)
            if rule.kind in ("present", "type"):
                broken.add(rule.column)
    for rule in promised.rules:
        if rule.kind == "association":
            found += measure_links(rule, view, broken)
        elif rule.kind == "pair" and not broken & {rule.column, *rule.values}:
            found += measure_pair(rule, view)
    if previous is not None and previous.rows and batch.rows:
        found += _delivered_again(batch, previous)
    return tuple(found)


def _backtest(table: Table, cuts: tuple[float, ...]) -> dict[tuple[str, str, str], float]:
    """The rules that training rows break themselves: promised by the earlier ones, not kept by the later ones.

    With each, how far its distribution moved at the most, for those that have one; else 0.
    """
    found: dict[tuple[str, str, str], float] = {}
    for share in cuts:
        cut = int(share * table.rows)
        early = Table(table.data.slice(0, cut), table.schema, table.name)
        late = Table(table.data.slice(cut), table.schema, table.name)
        promised = Contract(tuple(infer(early.take(_spread(early.rows, BACKTEST_ROWS)))))
        batches = [late.take(_spread(late.rows, BACKTEST_ROWS))]
        batches += spans(late, 1_000)[::12]
        for batch in batches:
            for breach in validate(promised, batch):
                far = float(breach.measured) if breach.rule.kind in SHAPES else 0.0
                found[_key(breach.rule)] = max(far, found.get(_key(breach.rule), 0.0))
    return found


def _declared(rule: Rule, limits: Mapping[str, tuple[float, float]]) -> Rule:
    """A range at the limits that the project declares for its column; the inferred end where a limit is infinite."""
    if rule.kind != "range" or rule.column not in limits:
        return rule
    low, high = limits[rule.column]
    return msgspec.structs.replace(rule, low=low if math.isfinite(low) else rule.low,
                                   high=high if math.isfinite(high) else rule.high,
                                   detail={**rule.detail, "declared": True})


def _relaxable(rule: Rule) -> bool:
    """Whether a rule that the training rows broke is kept with more room, and not thrown away."""
    return rule.kind == "range" or (rule.kind in SHAPES and not rule.detail.get("same_period"))


def _relaxed(rule: Rule, far: float) -> Rule:
    """The rule with room for what was seen, and half of what is left: another unit puts all rows elsewhere."""
    if rule.kind == "range":
        return _widened(rule)
    slack = max(rule.detail["slack"], far + max(0.1, 0.5 * (1 - far)))
    return msgspec.structs.replace(rule, detail={**rule.detail, "slack": slack})


def _widened(rule: Rule) -> Rule:
    """A range that moved within the training rows, with twice its width either side: another unit breaks it still.

    What was never negative may not become so.
    """
    if rule.low is None or rule.high is None:
        return rule
    room = 2 * (rule.high - rule.low)
    low = rule.low - room if rule.low < 0 else max(0.0, rule.low - room)
    return msgspec.structs.replace(rule, low=low, high=rule.high + room)


def _loosened(rule: Rule) -> Rule:
    """The rule with room for a table that is known to drift: a tenth of rows may move, one in twenty levels be new."""
    room = {"quantile": 0.1, "levels": 0.1, "unseen-share": 0.05, "null-share": 0.05, "pair": 0.1}.get(rule.kind)
    if room is not None:
        return msgspec.structs.replace(rule, detail={**rule.detail, "slack": rule.detail["slack"] + room})
    if rule.kind == "association":
        columns = {name: {**each, "slack": each["slack"] + 0.1, "slack_lagged": each["slack_lagged"] + 0.1}
                   for name, each in rule.detail["columns"].items()}
        return msgspec.structs.replace(rule, detail={**rule.detail, "columns": columns})
    return rule


def _spread(rows: int, most: int) -> Ints:
    """Positions of at most so many rows in stretches of 500, spread evenly."""
    if rows <= most:
        return np.arange(rows, dtype=np.int64)
    starts = np.linspace(0, rows - BLOCK, most // BLOCK).astype(np.int64)
    return np.unique((starts[:, None] + np.arange(BLOCK)[None, :]).ravel())


def _key(rule: Rule) -> tuple[str, str, str]:
    return rule.kind, rule.column, str(rule.detail.get("part", rule.detail.get("same_period", "")))


def _delivered_again(batch: Table, previous: Table) -> list[Breach]:
    ours, before = row_hashes(batch.data), row_hashes(previous.data)
    share = float(np.isin(ours, before).mean())
    if share < 0.5:
        return []
    return [Breach(Rule("repeat"), f"{share:.0%}", f"{share:.0%} of the rows were in the batch before")]
