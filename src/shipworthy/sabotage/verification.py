"""Faults that the verification checks must catch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from shipworthy.core.case import Book
from shipworthy.core.features import Category, Moment
from shipworthy.core.features import Number as NumberInput
from shipworthy.core.found import Contract
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.program import Linear, Term
from shipworthy.core.project import Value
from shipworthy.core.table import Floats, Table
from shipworthy.marks import sabotage, twin

Case = dict[str, Any]


@sabotage("target permuted on the holdout", check="requirements")
def permuted(case: Case) -> Case:
    """The holdout's labels belong to other rows."""
    return {**case, "parts": _permuted_target(case)}


@sabotage("target permuted before learning", check="beats-trivial")
def learnt_nothing(case: Case) -> Case:
    """The model learnt from labels of other rows."""
    parts: Parts = case["parts"]
    return {**case, "model": case["steps"].train(_shuffled(parts.learn, case["model"].sheet.target, 1))}


@sabotage("trained on a tenth of the rows", check="not-worse-than-champion")
def starved(case: Case) -> Case:
    """The champion saw all learning rows, the model a twentieth of them."""
    learn = case["parts"].learn
    few = case["steps"].train(learn.take(np.random.default_rng(0).permutation(learn.rows)[: learn.rows // 20]))
    few = few.with_sheet(cleaning=case["model"].sheet.cleaning)
    return {**case, "champion": case["model"], "model": few, "learnt": learn}


@twin("not-worse-than-champion")
def same_champion(case: Case, seed: int) -> Case:
    """The champion is the model itself, and has learnt from a third of the holdout."""
    return {**case, "champion": case["model"], "learnt": case["arrived"].head(case["arrived"].rows // 3)}


@sabotage("a search that scores on the holdout", check="holdout-untouched")
def reopened(case: Case) -> Case:
    """The holdout was opened 40 times."""
    return {**case, "book": Book(40)}


@sabotage("a column written after the outcome", check="too-good")
def after_the_fact(case: Case) -> Case:
    """A feature that is the target with a little noise."""
    model, parts = case["model"], case["parts"]
    leaky = Parts(*(_leaky(rows, model, seed) for seed, rows in enumerate((parts.learn, parts.tune, parts.holdout))))
    return {**case, "parts": leaky, "model": case["steps"].train(leaky.learn)}


@sabotage("no value table", check="value-above-nothing")
def worthless(case: Case) -> Case:
    """Nobody declared what a decision earns."""
    return {**case, "project": msgspec.structs.replace(case["project"], value=None)}


@sabotage("an accurate model that earns less", check="value-above-nothing")
def unpaid(case: Case) -> Case:
    """A false alarm costs 30 times what a hit earns, and the threshold stayed at one half."""
    value = Value(currency="EUR", true_positive=1.0, false_positive=-30.0)
    return {**case, "project": msgspec.structs.replace(case["project"], value=value),
            "model": case["model"].with_sheet(threshold=0.5)}


@sabotage("the threshold of other costs", check="threshold-stands")
def stale_threshold(case: Case) -> Case:
    """The deployed threshold is far above what the value table asks for."""
    return {**case, "model": case["model"].with_sheet(threshold=0.93)}


@sabotage("a metric that rewards what does not pay", check="metric-tracks-value")
def perverse_metric(case: Case) -> Case:
    """Eight candidates, each noisier than the last, whose metric rises with the noise."""
    learned, random = case["learned"], np.random.default_rng(0)
    chosen = learned.chosen
    steps = [replace(chosen, scores=_noisy(chosen.scores, 0.6 * n, random),
                     figures=msgspec.structs.replace(chosen.figures, metric=0.5 + 0.05 * n)) for n in range(8)]
    return {**case, "learned": replace(learned, candidates=tuple(steps))}


@sabotage("rules that are always true", check="mutation-score")
def vacuous(case: Case) -> Case:
    """Every rule of the contract was thrown away."""
    return {**case, "contract": Contract((), case["contract"].batch_rows)}


@sabotage("one leaf out of proportion", check="output-range")
def wild_leaf(case: Case) -> Case:
    """One leaf, cell, intercept or last bias of the program is a million."""
    model: Model = case["model"]
    terms = list(model.program.terms)
    key = terms[0].added
    array = np.array(terms[0].arrays[key], np.float64)
    array.flat[int(array.argmax())] = 1e6
    terms[0] = Term(terms[0].kind, {**terms[0].arrays, key: array})
    return {**case, "model": model.with_program(replace(model.program, terms=tuple(terms)))}


@sabotage("a leaf that is no probability", check="output-range")
def above_one(case: Case) -> Case:
    """One leaf of a tree of class shares is 1.5; of a regression a million."""
    model: Model = case["steps"].train(case["parts"].learn, learner="tree")
    [term] = model.program.terms
    leaf = np.array(term.arrays["leaf"], np.float64)
    leaf.flat[int(leaf.argmax())] = 1e6 if model.task == "regression" else 1.5
    terms = (Term(term.kind, {**term.arrays, "leaf": leaf}),)
    return {**case, "model": model.with_program(replace(model.program, terms=terms))}


@sabotage("a column set aside is read all the same", check="structural-zero")
def peeking(case: Case) -> Case:
    """The program has one more input: a column that the project set aside."""
    model, project = case["model"], case["project"]
    learn = case["parts"].learn
    name = (project.data.set_aside or (learn.schema.features[0].name,))[0]
    data = msgspec.structs.replace(project.data, set_aside=(name,))
    project = msgspec.structs.replace(project, data=data)
    if name in model.features.columns:
        return {**case, "project": project}
    return {**case, "project": project, "model": with_column(model, learn, name)}


def with_column(model: Model, learn: Table, name: str, *, weight: float = 0.1) -> Model:
    """The model with one more input that its margin truly leans on."""
    kind = learn.schema[name].kind
    levels = tuple(sorted({str(word) for word in learn.words(name) if word is not None}))
    encoder: Any = (NumberInput(name) if kind in ("number", "boolean")
                    else Moment(name, "hour") if kind == "timestamp" else Category(name, levels))
    features = msgspec.structs.replace(model.features, encoders=(*model.features.encoders, encoder))
    outputs, place = model.program.outputs, len(model.program.inputs)
    term = Term(Linear(),
                  {"place": np.array([place], np.int32), "fill": np.zeros(1), "weight": np.full((1, outputs), weight),
                             "missing": np.zeros((1, outputs)), "intercept": np.zeros(outputs)})
    program = replace(model.program, inputs=features.inputs, terms=(*model.program.terms, term))
    return model.with_sheet(features=features).with_program(program)


def _permuted_target(case: Case) -> Parts:
    parts: Parts = case["parts"]
    return replace(parts, holdout=_shuffled(parts.holdout, case["model"].sheet.target, 0))


def _shuffled(table: Table, name: str, seed: int) -> Table:
    order = np.random.default_rng(seed).permutation(table.rows)
    return table.with_column(name, table.column(name).take(pa.array(order)))


def _leaky(rows: Table, model: Model, seed: int) -> Table:
    truth = np.asarray(model.truth(rows), np.float64)
    noise = np.random.default_rng(seed).normal(0, 0.05 * (float(truth.std()) or 1.0), rows.rows)
    return rows.with_column("paid_back_on", pa.array(truth + noise))


def _noisy(scores: Floats, size: float, random: np.random.Generator) -> Floats:
    odds = np.log(np.clip(scores, 1e-6, 1 - 1e-6) / (1 - np.clip(scores, 1e-6, 1 - 1e-6)))
    return np.asarray(1 / (1 + np.exp(-(odds + random.normal(0, size, len(scores))))), np.float64)
