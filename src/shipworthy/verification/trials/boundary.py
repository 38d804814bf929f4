"""Hostile records: each must get a flagged prediction, or an error that names the field; never a crash or silence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.schema import Kind, Schema
from shipworthy.core.table import Table
from shipworthy.errors import FAULTS, ShipworthyError
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson

Record = dict[str, Any]
CRASHES = (*FAULTS, MemoryError, OSError)
PLAIN_KEYS = frozenset({"prediction", "probabilities", "set", "interval", "abstain", "id", "row", "release", "model",
                        "threshold", "at", "latency", "contributions", "reasons"})


class Hostile(NamedTuple):
    """One record. field: what an error must name. kind: "hostile" must be flagged or refused, "good" must be answered,
    "extreme" is legal but far out: a finite answer or an error that names the field.
    """

    name: str
    record: Record
    field: str
    kind: str = "hostile"


Change = Callable[[Any], Any]
CHANGES: tuple[tuple[str, Kind, Change, str], ...] = (
    ("not a number (NaN)", "number", lambda _: float("nan"), "hostile"),
    ("plus infinity", "number", lambda _: float("inf"), "hostile"),
    ("minus infinity", "number", lambda _: float("-inf"), "hostile"),
    ("minus zero", "number", lambda _: -0.0, "good"),
    ("the largest 64-bit integer", "number", lambda _: 2**63 - 1, "extreme"),
    ("1e308", "number", lambda _: 1e308, "extreme"),
    ("text for a number", "number", lambda _: "12 kg", "hostile"),
    ("a list for a number", "number", lambda _: [1.0], "hostile"),
    ("a level never seen", "category", lambda _: "a level never seen", "hostile"),
    ("an empty string", "category", lambda _: "", "hostile"),
    ("10,000 characters", "category", lambda _: "x" * 10_000, "hostile"),
    ("control characters", "category", lambda _: "\x00\x1b[2J\u202e", "hostile"),
    ("a number for text", "category", lambda _: {"$gt": 0}, "hostile"),
    ("text for true or false", "boolean", lambda _: "maybe", "hostile"),
    ("a time without a zone", "timestamp", lambda _: "2024-01-01T00:00:00", "hostile"),
    ("text for a time", "timestamp", lambda _: "yesterday", "hostile"),
)


@check("boundary", row="verification.edge-cases")
def boundary(model: Model, parts: Parts, steps: Steps) -> Finding:
    """Whether every hostile record gets a flagged prediction or an error that names the field.

    About 20 records made from one holdout row, sent through the same strict validation as the server's; and three
    tables: empty, of one row, of missing values only.
    """
    base = typical(model, parts.holdout.take(~model.predict(parts.holdout).abstain))
    if base is None:
        return say("unknown", "No holdout row that the model decides is whole, so there is none to start from.", n=0)
    suite = hostile(model, base)
    answers = [(one, _judge(steps, model, one)) for one in suite]
    wrong = [(one.name, one.field, problem) for one, problem in answers if problem]
    wrong += [(name, "", problem) for name, problem in _tables(model, parts.holdout) if problem]
    n = len(suite) + 3
    high = clopper_pearson(len(wrong), n)[1]
    if not wrong:
        return say("pass", f"All {n} hostile records and tables got a flagged answer or an error that names the field.",
                   value=0.0, high=high, limit=0.0, n=n)
    name, place, problem = wrong[0]
    told = "; ".join(f"{one[0]}{f' in {one[1]}' if one[1] else ''}: {one[2]}" for one in wrong[:4])
    return say("fail", f"{len(wrong)} of {n} hostile records were not met well: {told}.", value=len(wrong) / n,
               high=high,
               limit=0.0, n=n, counterexample={"record": name, "field": place, "problem": problem},
               remedy="answer it with an error that names the field, or with a flag: see the guide on strict requests")


def typical(model: Model, rows: Table) -> Record | None:
    """The fullest of some rows, as a client would send it: its gaps filled from other rows, times as ISO text."""
    columns = [name for name in model.features.columns if name in rows.schema]
    records = rows.spread(500).select(columns).records()
    if not records:
        return None
    full = max(records, key=lambda record: sum(map(_known, record.values())))
    for name in columns:
        if not _known(full[name]):
            full[name] = next((record[name] for record in records if _known(record[name])), None)
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in full.items()}


def _known(value: Any) -> bool:
    return value is not None and value == value


def hostile(model: Model, base: Record) -> list[Hostile]:
    """The suite: one change of kind at a time to a record that is good."""
    schema = model.sheet.schema
    suite = [Hostile("reordered columns", dict(reversed(base.items())), "", "good"), Hostile("nothing at all", {}, "")]
    for name, of, change, kind in CHANGES:
        column = _of_kind(schema, base, of)
        if column:
            suite.append(Hostile(name, {**base, column: change(base[column])}, column, kind))
    lost = next(iter(base))
    suite.append(Hostile("a lost column", {k: v for k, v in base.items() if k != lost}, lost))
    suite.append(Hostile("an extra column", {**base, "never_declared": 1}, "never_declared"))
    suite.append(Hostile("all values missing", dict.fromkeys(base), lost, "extreme"))
    return suite


def _of_kind(schema: Schema, base: Record, kind: Kind) -> str:
    return next((column.name for column in schema.columns if column.kind == kind and column.name in base), "")


def _judge(steps: Steps, model: Model, one: Hostile) -> str:
    """What is wrong with the answer to one record; empty if nothing is."""
    try:
        answer = steps.answer(model, one.record)
    except ShipworthyError as error:
        if one.kind == "good":
            return f"refused although it is good ({error.problem})"
        named = not one.field or one.field in str(error)
        return "" if named else f"the error does not name the field ({error.problem})"
    except CRASHES as error:
        return f"crashed with {type(error).__name__}"
    if not _finite(answer):
        return "a prediction that is not finite"
    return "" if one.kind != "hostile" or flagged(answer) else "accepted in silence"


def flagged(answer: Record) -> bool:
    """Whether an answer says that something about its row is unusual: it abstains, or carries a note."""
    return bool(answer.get("abstain")) or any(value for key, value in answer.items() if key not in PLAIN_KEYS)


def _finite(answer: Record) -> bool:
    given = answer.get("probabilities")
    numbers = list(given.values()) if isinstance(given, dict) else [answer.get("prediction")]
    return all(isinstance(value, int | float) and np.isfinite(value) for value in numbers)


def _tables(model: Model, rows: Table) -> list[tuple[str, str]]:
    columns = rows.select([name for name in model.features.columns if name in rows.schema])
    empty = columns
    for name in columns.schema.names:
        empty = empty.with_column(name, _nulls(columns, name))
    found = []
    for name, table, size in (("an empty table", columns.head(0), 0), ("one row", columns.head(1), 1),
                              ("a table of missing values", empty.head(10), min(10, rows.rows))):
        try:
            score = model.predict(table).score
            found.append((name, "" if len(score) == size and np.isfinite(score).all() else "a wrong number of answers"))
        except ShipworthyError:
            found.append((name, ""))
        except CRASHES as error:
            found.append((name, f"crashed with {type(error).__name__}"))
    return found


def _nulls(table: Table, name: str) -> Any:
    return pa.nulls(table.rows, table.column(name).type)
