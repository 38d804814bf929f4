"""What several batches promise together: figures of every column, and how far the next batch may lie from them.

A contract inferred from one table cannot know how batches differ from each other. Here every accepted batch gives its
figures (share missing, share of values that no batch before had, share repeated, mean, deviation, length), and a new
batch is held to what those before it foretell, with the noise of a batch of its size. After Redyuk, Kaoudi, Markl and
Schelter (2021), "Automating data quality validation for dynamic data ingestion", who take the distance to the nearest
batches; the predictive tests are our own, for they say which column and which figure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.found import Breach, Contract, Rule
from shipworthy.core.schema import Column
from shipworthy.core.table import Floats, Table
from shipworthy.data.analysis.view import family, level_counts
from shipworthy.errors import Misuse
from shipworthy.metrics.intervals import beta_binomial_tail, binomial_tail, student_tail

LEAST_BATCHES = 4
FALSE_ALARMS = 0.01
MOST_LEVELS, FEW_CODES = 5_000, 50
LEAST_CHANCE = 1e-300
LEAST_RATE = 1e-6
SHARES = {"missing": "missing or blank", "unseen": "values that no batch before had",
          "repeated": "repeated within the batch"}
MEANS = {"mean": "mean", "deviation": "standard deviation", "length": "usual length of the text"}
Levels = dict[str, int]


def from_batches(batches: Sequence[Table], *, false_alarms: float = FALSE_ALARMS) -> Contract:
    """The promises that accepted batches keep together: presence, type, and the figures of every column.

    batches: oldest first, at least four. false_alarms: share of clean batches that may be refused, over all figures.
    Raises Misuse for fewer batches.
    """
    if len(batches) < LEAST_BATCHES:
        raise Misuse(f"{len(batches)} batches are too few to learn from", where="history",
                     hint=f"give at least {LEAST_BATCHES} accepted batches, oldest first")
    plain: list[Rule] = []
    figures = [_mean_rule("", "rows", [math.log1p(one.rows) for one in batches])]
    for column in batches[-1].schema.columns:
        kind = family(batches[-1].data[column.name].type)
        alike = [one for one in batches if column.name in one.schema
                 and family(one.data[column.name].type) == kind]
        plain += [Rule("present", column.name, support=len(alike)),
                  Rule("type", column.name, values=(kind,), support=len(alike))]
        figures += _column_rules(column, alike) if len(alike) >= LEAST_BATCHES else []
    chance = false_alarms / len(figures)
    return Contract((*plain, *(Rule(rule.kind, rule.column, values=rule.values, support=rule.support,
                                    detail={**rule.detail, "chance": chance}) for rule in figures)))


def strangeness(promised: Contract, batch: Table) -> float:
    """How strange a batch is to a contract of batches, in bits: minus log2 of its least probable figure; 0 is usual.

    A lost column is as strange as can be.
    """
    lost = any(rule.kind == "present" and rule.column not in batch.schema for rule in promised.rules)
    least = min((improbable(rule, batch) for rule in promised.rules if rule.kind == "figure"), default=1.0)
    return -math.log2(LEAST_CHANCE if lost else max(LEAST_CHANCE, least))


def measure_figure(rule: Rule, batch: Table) -> Breach | None:
    """The breach of a figure that the batches before make too improbable; None if it keeps to them."""
    if not improbable(rule, batch) < rule.detail["chance"]:
        return None
    figure, before, (value, n) = rule.detail["figure"], rule.detail["value"], measured(rule, batch)
    if figure in SHARES:
        told = f"{value / n:.1%} of {rule.column} are {SHARES[figure]}; before, {before:.1%} were"
    elif figure == "rows":
        told = f"the batch has {batch.rows:,} rows; before, about {math.expm1(before):,.0f}"
    else:
        now, before = (math.exp(value), math.exp(before)) if figure == "length" else (value, before)
        told = f"the {MEANS[figure]} of {rule.column} is {now:,.4g}; before, {before:,.4g}"
    return Breach(rule, f"{value / n if figure in SHARES else value:.4g}", told)


def improbable(rule: Rule, batch: Table) -> float:
    """The probability that a clean batch has a figure at least so far from what the batches before it foretell."""
    if rule.column and rule.column not in batch.schema:
        return 1.0
    detail, (value, n) = rule.detail, measured(rule, batch)
    if not n or value != value:
        return 1.0
    if detail["figure"] == "unseen":
        return binomial_tail(round(value), n, detail["rate"])
    if detail["figure"] in SHARES:
        hits, seen = round(value / detail["over"]), max(1, round(n / detail["over"]))
        a, b = (1 + part / detail["over"] for part in (detail["hits"], detail["of"] - detail["hits"]))
        return min(1.0, 2 * beta_binomial_tail(hits, seen, a, b), 2 * beta_binomial_tail(seen - hits, seen, b, a))
    away = abs(value - detail["value"]) / (detail["deviation"] * math.sqrt(1 + 1 / rule.support))
    return 2 * student_tail(away, rule.support - 1)


def measured(rule: Rule, batch: Table) -> tuple[float, int]:
    """A figure of a batch and of how many values it is: a count for a share, else a mean; NaN where there is none."""
    if not rule.column:
        return math.log1p(batch.rows), batch.rows
    return _figure(rule.detail["figure"], batch, rule.column, frozenset(rule.values))


def _figure(figure: str, batch: Table, name: str, known: frozenset[str] = frozenset()) -> tuple[float, int]:
    if figure in ("mean", "deviation"):
        numbers = batch.numbers(name) if family(batch.data[name].type) in ("number", "truth") else np.zeros(0)
        numbers = numbers[np.isfinite(numbers)]
        if not len(numbers):
            return float("nan"), 0
        return float(numbers.mean() if figure == "mean" else numbers.std()), len(numbers)
    if figure == "missing" and family(batch.data[name].type) != "text":
        return float(batch.rows - len(_finite(batch, name))), batch.rows
    levels = _levels(batch, name)
    n = sum(levels.values())
    if figure == "missing":
        return float(batch.rows - n), batch.rows
    if figure == "repeated":
        return float(n - len(levels)), n
    if figure == "unseen":
        return float(sum(count for word, count in levels.items() if word not in known)), n
    return (sum(count * math.log(len(word)) for word, count in levels.items()) / n if n else float("nan")), n


def _finite(batch: Table, name: str) -> pa.ChunkedArray:
    values = batch.data[name].drop_null()
    return values.filter(pc.is_finite(values)) if pa.types.is_floating(values.type) else values


def _levels(batch: Table, name: str) -> Levels:
    """Every value that is neither missing nor blank as text, and how often it occurs."""
    return {word: count for word, count in level_counts(batch.data[name]).items() if word.strip()}


def _column_rules(column: Column, batches: Sequence[Table]) -> list[Rule]:
    name, text = column.name, family(batches[-1].data[column.name].type) == "text"
    rules = [_share_rule(name, figure, [_figure(figure, one, name) for one in batches])
             for figure in (("missing", "repeated") if text else ("missing",))]
    codes = (_unseen_rule(name, [_levels(one, name) for one in batches], most=MOST_LEVELS if text else FEW_CODES)
             if text or column.integer else [])
    number = column.kind in ("number", "boolean") and not codes
    for figure in ("length",) if text else ("mean", "deviation") if number else ():
        values = [value for value, n in (_figure(figure, one, name) for one in batches) if n]
        rules += [_mean_rule(name, figure, values)] if len(values) >= LEAST_BATCHES and np.ptp(values) > 0 else []
    return rules + codes


def _share_rule(name: str, figure: str, seen: Sequence[tuple[float, int]]) -> Rule:
    hits, of = (np.array([one[side] for one in seen if one[1]], np.float64) for side in (0, 1))
    share = float(hits.sum() / max(1.0, of.sum()))
    return Rule("figure", name, support=len(hits), detail={
        "figure": figure, "value": share, "hits": float(hits.sum()), "of": float(of.sum()),
        "over": _over(hits, of, share)})


def _over(hits: Floats, of: Floats, share: float) -> float:
    """How many times more the shares of batches vary than by chance; at least 1. McCullagh and Nelder (1989), 4.5."""
    if len(hits) < 2 or not 0 < share < 1:
        return 1.0
    return max(1.0, float(((hits - of * share) ** 2 / (of * share * (1 - share))).sum()) / (len(hits) - 1))


def _unseen_rule(name: str, batches: Sequence[Levels], *, most: int) -> list[Rule]:
    """How many values of a batch no batch before had; no rule where more than half of them are new each time.

    The rate to come is the largest of: what the later half of the batches showed; the share of values that occurred
    once (Good, 1953); and, where all occurred often, the chance that one as frequent as the rarest was missed so far.
    """
    known: Counter[str] = Counter()
    fresh: list[tuple[int, int]] = []
    for levels in batches:
        fresh.append((sum(count for word, count in levels.items() if word not in known), sum(levels.values())))
        known.update(levels)
    late, n = fresh[max(1, len(fresh) // 2):], sum(known.values())
    share = sum(new for new, _ in late) / max(1, sum(of for _, of in late))
    if not n or share > 0.5 or len(known) > most:
        return []
    rarest = min(known.values())
    rate = max(2 * share, sum(count == 1 for count in known.values()) / n, math.exp(-rarest) / n, LEAST_RATE)
    return [Rule("figure", name, values=tuple(sorted(known)), support=len(batches),
                 detail={"figure": "unseen", "value": share, "rate": min(1.0, rate)})]


def _mean_rule(name: str, figure: str, values: Sequence[float]) -> Rule:
    found = np.array(values)
    least = 1e-9 * max(1.0, abs(float(found.mean())))
    return Rule("figure", name, support=len(found), detail={
        "figure": figure, "value": float(found.mean()), "deviation": max(least, float(found.std(ddof=1)))})
