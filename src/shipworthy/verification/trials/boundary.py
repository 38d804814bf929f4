"""Hostile requests: each must get a flagged prediction, or an error that names field and fix; never a crash or silence.

They go over HTTP to a server of this machine that answers for the model, as those of a client would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, say
from shipworthy.core.found import Contract
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.schema import Kind
from shipworthy.core.table import Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson
from shipworthy.verification.trials.endpoint import ARROW, Endpoint, ask, crash, finite, flagged, refusal_lacks
from shipworthy.verification.trials.space import Record, illegal, legal, space

COLUMNS = 40
REMEDY = "answer it with an error that names field and fix, or with a flag: see the guide on strict requests"


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
    ("minus zero", "number", lambda _: -0.0, "extreme"),
    ("the largest 64-bit integer", "number", lambda _: 2**63 - 1, "hostile"),
    ("1e308", "number", lambda _: 1e308, "hostile"),
    ("text for a number", "number", lambda _: "12 kg", "hostile"),
    ("a list for a number", "number", lambda _: [1.0], "hostile"),
    ("a level never seen", "category", lambda _: "a level never seen", "hostile"),
    ("an empty string", "category", lambda _: "", "hostile"),
    ("10,000 characters", "category", lambda _: "x" * 10_000, "hostile"),
    ("control characters", "category", lambda _: "\x00\x1b[2J\u202e", "hostile"),
    ("an object for text", "category", lambda _: {"$gt": 0}, "hostile"),
    ("text for true or false", "boolean", lambda _: "maybe", "hostile"),
    ("a time without a zone", "timestamp", lambda _: "2024-01-01T00:00:00", "hostile"),
    ("text for a time", "timestamp", lambda _: "yesterday", "hostile"),
)


@check("boundary", row="verification.edge-cases")
def boundary(model: Model, parts: Parts, contract: Contract, steps: Steps) -> Finding:
    """Whether every hostile request to the served endpoint gets a flagged prediction or an error naming field and fix.

    Made from one holdout row, with one change at a time in every column (at most 40), and sent over HTTP; and tables
    as Arrow streams: empty, of one row, with a lost, strange, infinite or untimely column. 0 crashes, 0 accepted in
    silence.
    """
    base = typical(model, parts.holdout.take(~model.predict(parts.holdout).abstain))
    if base is None:
        return say("unknown", "No holdout row that the model decides is whole, so there is none to start from.", n=0)
    with steps.serve(model, contract) as endpoint:
        told = [(one.name, one.field, judged(endpoint, one)) for one in hostile(model, base)]
        told += [(name, field, problem) for name, field, problem in _tables(endpoint, model, parts.holdout)]
    return _said(told, "hostile requests")


@check("generated-requests", row="verification.edge-cases")
def generated_requests(model: Model, contract: Contract, steps: Steps, *, rows: int = 200, seed: int = 0) -> Finding:
    """Whether generated legal requests are all answered, alone as together, and illegal ones refused by their field.

    Drawn from the model's schema and the contract: levels that training had, numbers within the range, times with a
    zone, nulls. Illegal ones have one fault each: a lost field, another type, a field nobody declared, no finite
    number. rows: legal ones; a quarter as many illegal ones of each fault.
    """
    random, fields = np.random.default_rng(seed), space(model, contract)
    records = [legal(fields, random) for _ in range(rows)]
    with steps.serve(model, contract) as endpoint:
        alone = [ask(endpoint, record) for record in records]
        told = [("a legal row", "", crash(one) or _answered(one.body, one.status)) for one in alone]
        every = ask(endpoint, records)
        told.append(("legal rows together", "", crash(every) or _same([one.body for one in alone], every.body)))
        for _ in range(max(1, rows // 4)):
            told += [(one.fault, one.field, judged(endpoint, Hostile(one.fault, one.record, one.field)))
                     for one in illegal(fields, random)]
    return _said(told, "generated requests")


def _said(told: list[tuple[str, str, str]], what: str) -> Finding:
    wrong, n = [one for one in told if one[2]], len(told)
    high = clopper_pearson(len(wrong), n)[1]
    if not wrong:
        return say("pass", f"All {n} {what} got what they are owed: a flagged answer, or an error that names field "
                   "and fix.", value=0.0, high=high, limit=0.0, n=n)
    name, place, problem = wrong[0]
    kinds = {f"{one[0]}{f' in {one[1]}' if one[1] else ''}: {one[2]}": None for one in wrong}
    return say("fail", f"{len(wrong)} of {n} {what} were not met well: {'; '.join([*kinds][:4])}.",
               value=len(wrong) / n, high=high, limit=0.0, n=n,
               counterexample={"record": name, "field": place, "problem": problem}, remedy=REMEDY)


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
    """The suite: one change at a time to a record that is good. Text is legal where training had to read it."""
    schema = model.sheet.schema
    suite = [Hostile("reordered columns", dict(reversed(base.items())), "", "good"), Hostile("nothing at all", {}, ""),
             Hostile("an extra column", {**base, "never_declared": 1}, "never_declared"),
             Hostile("all values missing", dict.fromkeys(base), next(iter(base)), "extreme")]
    for column in list(base)[:COLUMNS]:
        suite.append(Hostile("a lost column", {k: v for k, v in base.items() if k != column}, column))
        reading = model.sheet.cleaning.of(column)
        for name, of, change, kind in CHANGES:
            if schema[column].kind == of:
                value = change(base[column])
                legal_text = isinstance(value, str) and reading is not None and reading.reads_text
                suite.append(Hostile(name, {**base, column: value}, column, "extreme" if legal_text else kind))
    return suite


def judged(endpoint: Endpoint, one: Hostile) -> str:
    """What is wrong with the answer to one record; empty if nothing is."""
    answer = ask(endpoint, one.record)
    broken = crash(answer)
    if broken:
        return broken
    if answer.status != 200:
        if one.kind == "good":
            return f"refused although it is good ({answer.error.get('problem', answer.status)})"
        return refusal_lacks(answer, one.field)
    problem = _answered(answer.body, 200)
    return problem or ("" if one.kind != "hostile" or flagged(answer.body) else "accepted in silence")


def _answered(body: Any, status: int) -> str:
    if status != 200 or not isinstance(body, dict):
        return f"refused although it is legal ({body['error']['problem'] if isinstance(body, dict) else status})"
    return "" if finite(body) else "a prediction that is not finite"


def _same(alone: list[Any], together: Any) -> str:
    """Whether rows are answered alone as they are together, but for the ids that each answer has."""
    if not isinstance(together, list) or len(together) != len(alone):
        return "a wrong number of answers"
    plain = [[{key: value for key, value in (one or {}).items() if key != "prediction_id"} for one in side]
             for side in (alone, together)]
    return "" if plain[0] == plain[1] else "a row is answered otherwise alone than among others"


def _tables(endpoint: Endpoint, model: Model, rows: Table) -> Iterator[tuple[str, str, str]]:
    """Tables as Arrow streams: name, the field that an error must name, and what is wrong with the answer."""
    data = model.cleaned(rows.head(3)).data.select([c for c in model.features.columns if c in rows.schema])
    first, names = data.column_names[0], [c for c in data.column_names if model.sheet.schema[c].kind == "number"]
    yield "an empty table", "", _counted(endpoint, data.slice(0, 0))
    yield "a table of one row", "", _counted(endpoint, data.slice(0, 1))
    yield "a table of reordered columns", "", _counted(endpoint, data.select(data.column_names[::-1]))
    changed = [("a table that lost a column", first, data.drop_columns([first])),
               ("a table with an extra column", "never_declared",
                data.append_column("never_declared", pa.array([1] * len(data)))),
               ("a table with a column of another type", first, _with(data, first, pa.array([[1]] * len(data))))]
    if names:
        changed.append(("a table with infinity", names[0], _with(data, names[0], pa.array([np.inf] * len(data)))))
    stamps = [c for c in data.column_names if model.sheet.schema[c].kind == "timestamp"]
    reading = model.sheet.cleaning.of(stamps[0]) if stamps else None
    if stamps and not (reading is not None and reading.reads_text):
        naive = pa.array([datetime(2024, 1, 1)] * len(data), pa.timestamp("us"))
        changed.append(("a table of times without a zone", stamps[0], _with(data, stamps[0], naive)))
    for name, field, table in changed:
        answer = ask(endpoint, _stream(table), ARROW)
        yield name, field, crash(answer) or (refusal_lacks(answer, field) if answer.status != 200 else "accepted")


def _counted(endpoint: Endpoint, data: pa.Table) -> str:
    """What is wrong with the answers to a table, as a list of records and as a stream; each is owed one a row."""
    answer, streamed = ask(endpoint, data.to_pylist()), ask(endpoint, _stream(data), ARROW)
    count = len(answer.body) if isinstance(answer.body, list) else -1
    return crash(answer) or crash(streamed) or (
        "" if count == len(data) and streamed.status == 200 else "a wrong number of answers")


def _with(data: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return data.set_column(data.column_names.index(name), name, values)


def _stream(data: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, data.schema) as writer:
        writer.write_table(data)
    out: bytes = sink.getvalue().to_pybytes()
    return out
