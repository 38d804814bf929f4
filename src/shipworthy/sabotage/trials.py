"""Faults that the trials must catch: weak slices, careless services, models that read more than the row, bad worlds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from shipworthy.core.model import Model
from shipworthy.core.project import Simulation, Value
from shipworthy.core.table import Floats, Mask, Table
from shipworthy.errors import BadData
from shipworthy.marks import sabotage

Case = dict[str, Any]
MOST_WRONG = 0.45
Post = Callable[[bytes, str], tuple[int, bytes]]


@sabotage("labels turned in one slice", check="worst-slice")
def turned_slice(case: Case) -> Case:
    """In one slice of the holdout, a twentieth of the rows or more, labels contradict the model."""
    model, parts = case["model"], case["parts"]
    holdout: Table = parts.holdout
    mask, target, score = _slice(holdout, model), model.sheet.target, model.score(holdout)
    if model.classes and ((model.decide(score) != model.truth(holdout)) | mask).mean() > MOST_WRONG:
        raise BadData("the model errs so often that no slice can stand out", where="the world",
                      hint="plant it under a better model")
    if model.task == "regression":
        values = holdout.numbers(target)
        turned = pa.array(np.where(mask, score + 5 * values.std(), values))
    else:
        other = (model.decide(score) + 1) % len(model.classes)
        turned = pa.array([model.classes[code] if hit else word
                           for word, code, hit in zip(holdout.words(target), other, mask, strict=True)])
    return {**case, "parts": replace(parts, holdout=holdout.with_column(target, turned))}


# ── careless services ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Between:
    """Something that a team put between its clients and the server. act: (body, kind, the server) → status, body."""

    inner: Any
    act: Callable[[bytes, str, Post], tuple[int, bytes]]

    def post(self, path: str, body: bytes, kind: str = "application/json") -> tuple[int, bytes]:
        try:
            return self.act(body, kind, lambda raw, of: self.inner.post(path, raw, of))
        except (TypeError, ValueError, KeyError, ArithmeticError):
            return 500, b'{"error": {"field": "", "problem": "the server failed at this request", "hint": ""}}'


def _through(case: Case, act: Callable[[bytes, str, Post], tuple[int, bytes]]) -> Case:
    """The case with something before its server."""
    steps = case["steps"]

    @contextmanager
    def serve(*given: Any) -> Iterator[_Between]:
        with steps.serve(*given) as inner:
            yield _Between(inner, act)

    return {**case, "steps": replace(steps, serve=serve)}


@sabotage("a service that crashes on NaN", check="boundary")
def brittle(case: Case) -> Case:
    """A proxy that rounds every number of a record: it dies of NaN and of infinity."""
    def act(body: bytes, kind: str, post: Post) -> tuple[int, bytes]:
        if kind != "application/json":
            return post(body, kind)
        told = json.loads(body)
        for record in told if isinstance(told, list) else [told]:
            _ = [round(value) for value in record.values() if isinstance(value, float)]
        return post(body, kind)

    return _through(case, act)


@sabotage("a service that fills a lost column", check="boundary")
def filling(case: Case) -> Case:
    """A proxy that sends null for what is missing, without a word to the client."""
    columns = case["model"].features.columns

    def act(body: bytes, kind: str, post: Post) -> tuple[int, bytes]:
        told = json.loads(body) if kind == "application/json" else None
        if not isinstance(told, dict):
            return post(body, kind)
        return post(json.dumps(dict.fromkeys(columns) | told).encode(), kind)

    return _through(case, act)


@sabotage("a service that drops what it does not know", check="generated-requests")
def dropping(case: Case) -> Case:
    """A proxy that passes on only the fields that the model reads."""
    columns = set(case["model"].features.columns)

    def act(body: bytes, kind: str, post: Post) -> tuple[int, bytes]:
        told = json.loads(body) if kind == "application/json" else None
        if not isinstance(told, dict):
            return post(body, kind)
        return post(json.dumps({name: value for name, value in told.items() if name in columns}).encode(), kind)

    return _through(case, act)


@sabotage("a service that refuses null", check="generated-requests")
def without_null(case: Case) -> Case:
    """A proxy that knows no missing value."""
    def act(body: bytes, kind: str, post: Post) -> tuple[int, bytes]:
        if b"null" in body:
            return 422, b'{"error": {"field": "body", "problem": "null is not allowed", "hint": "send a value"}}'
        return post(body, kind)

    return _through(case, act)


# ── models that read more than the row ───────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _ReadsOrder(Model):
    """A model whose score leans on the position of the row."""

    def score(self, table: Table) -> Floats:
        found = super().score(table)
        place = np.arange(table.rows) / max(1, table.rows)
        return np.asarray(found * (1 - 0.1 * (place if found.ndim == 1 else place[:, None])), np.float64)


@dataclass(frozen=True)
class _Unitless(Model):
    """A model that takes every number for one in its own unit, whatever the schema says."""

    def inputs(self, table: Table) -> Floats:
        for column in table.schema.columns:
            if column.unit:
                table = table.with_schema(table.schema.replace(column.name, unit=""))
        return super().inputs(table)

    def with_sheet(self, **changes: Any) -> Model:
        return _Unitless(msgspec.structs.replace(self.sheet, **changes), self.program)


@sabotage("a model that reads the row order", check="metamorphic")
def ordered(case: Case) -> Case:
    """The position of a row in its batch changes the answer."""
    model = case["model"]
    return {**case, "model": _ReadsOrder(model.sheet, model.program)}


@sabotage("a model that does not read units", check="metamorphic")
def unitless(case: Case) -> Case:
    """Grams are taken for kilograms, although the schema says what they are."""
    model = case["model"]
    return {**case, "model": _Unitless(model.sheet, model.program)}


# ── bad worlds ───────────────────────────────────────────────────────────────────────────────────────────────────


@sabotage("a model that breaks on an outage", check="scenarios")
def fragile(case: Case) -> Case:
    """No contract, no monitoring, no abstention, and decisions that lose as soon as the world turns against them.

    Two classes: a false alarm costs four times a hit, and nearly all rows are decided for. Else a model that learnt
    answers that lie beside the truth.
    """
    value = Value(currency="EUR", true_positive=1.0, false_positive=-4.0, per_unit_under=1.0, per_unit_over=1.0)
    steps = replace(case["steps"], validate=lambda contract, batch: (), alarm=lambda *given, **more: None)
    model = case["model"].with_sheet(threshold=0.05) if case["model"].task == "binary" else _beside(case)
    return {**case, "project": msgspec.structs.replace(case["project"], value=value), "steps": steps,
            "model": model.with_sheet(conformal=None)}


def _beside(case: Case) -> Model:
    """A model of several classes or of a number whose every answer is the next class, or far too high."""
    learn, model = case["parts"].learn, case["model"]
    truth = model.truth(learn)
    wrong = (pa.array(truth + 3 * truth.std()) if model.task == "regression" else
             pa.array([model.classes[(code + 1) % len(model.classes)] for code in truth]))
    made: Model = case["steps"].train(learn.with_column(model.sheet.target, wrong))
    return made


@sabotage("a simulator of another world", check="simulator-fidelity")
def other_world(case: Case) -> Case:
    """Every column of the learning rows was shuffled by itself, and numbers were scaled."""
    parts, random = case["parts"], np.random.default_rng(0)
    learn = parts.learn
    for column in learn.schema.features:
        values = learn.column(column.name).take(pa.array(random.permutation(learn.rows)))
        if column.kind == "number":
            values = pa.array(learn.numbers(column.name) * 1.5 + 0.5, from_pandas=True)
        learn = learn.with_column(column.name, values)
    return {**case, "parts": replace(parts, learn=learn)}


@sabotage("who is turned away counts as one who would have failed", check="closed-loop")
def self_fulfilling(case: Case) -> Case:
    """The model's refusals become the labels of its next training rows, and it refuses readily."""
    if case["model"].task != "binary":
        raise BadData("nobody is turned away by this model", where="the world", hint="plant it among two classes")
    project = msgspec.structs.replace(case["project"], simulation=Simulation(labels="as-decided"))
    return {**case, "project": project, "model": case["model"].with_sheet(threshold=0.6)}


def _slice(table: Table, model: Model) -> Mask:
    """The rows of a slice of at least 60 rows and a twentieth, but at most an eighth, told by one or two columns."""
    names = [name for name in model.features.columns if table.schema[name].kind == "category"]
    masks = {name: table.words(name) for name in names}
    pairs = [((a, x), (b, y)) for n, a in enumerate(names) for b in names[n:]
             for x in sorted({str(w) for w in masks[a]})
             for y in sorted({str(w) for w in masks[b]})]
    least, most = max(60, table.rows // 20), max(90, table.rows // 8)
    best = None
    for (a, x), (b, y) in pairs:
        mask = np.asarray((masks[a] == x) & (masks[b] == y))
        if least <= mask.sum() <= most and (best is None or mask.sum() < best.sum()):
            best = mask
    if best is None:
        raise BadData("no slice of the right size can be made", where="the world",
                      hint="the world needs two category columns")
    return best
