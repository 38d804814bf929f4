"""Faults that proofs must catch: broken properties, certificates that were tampered with, brittle models."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from shipworthy.core.evidence import Evidence
from shipworthy.core.features import Number
from shipworthy.core.model import Model
from shipworthy.core.program import Program, Term, Trees
from shipworthy.core.project import Property
from shipworthy.core.release import Identity, Manifest, Release
from shipworthy.errors import BadData
from shipworthy.marks import sabotage, twin
from shipworthy.sabotage.verification import with_column

Case = dict[str, Any]
NO_NODES: dict[str, Any] = {key: np.empty(0, np.int32) for key in ("feature", "left", "right", "flags", "words")}


@sabotage("one leaf beyond the declared range", check="property")
def beyond(case: Case) -> Case:
    """Answers were declared to stay between 0.0001 and 0.9999, and one leaf adds 20 to the log-odds."""
    model: Model = case["steps"].train(case["parts"].learn)
    return {**_declaring(case, "answers stay between 0.0001 and 0.9999"), "model": _with_leaf(model, 20.0)}


@sabotage("one leaf against the declared order", check="property")
def fallen(case: Case) -> Case:
    """The answer was declared never to fall when a number rises, and falls at one leaf of many rows."""
    model: Model = case["steps"].train(case["parts"].learn)
    return {**_declaring(case, f'never falls when "{_number(model)}" rises'), "model": _with_leaf(model, -20.0)}


@sabotage("a column that was declared to change no decision", check="property")
def leaning(case: Case) -> Case:
    """A protected column was declared never to change the decision, and the program leans on it."""
    name = _protected(case)
    model = with_column(case["model"], case["parts"].learn, name, weight=3.0)
    return {**_declaring(case, f'"{name}" alone never changes the decision'), "model": model}


@twin("property")
def holding(case: Case, seed: int) -> Case:
    """The same properties of a line, which goes one way in every number, is bounded, and reads what is protected as
    nothing.
    """
    aside = [column.name for column in case["parts"].learn.schema.protected]
    learn = case["parts"].learn
    read = learn.select([one.name for one in learn.schema.columns if one.name not in aside])
    model: Model = case["steps"].train(read, learner="linear")
    number = _number(model)
    values = learn.numbers(number)
    ends = learn.take(np.array([np.nanargmin(values)] * 2))
    ends = ends.with_column(number, np.array([np.nanmin(values), np.nanmax(values)]))
    low, high = model.program.margin(model.inputs(ends))[:, 0]
    way = "falls" if high >= low else "rises"
    claims = [f'never {way} when "{number}" rises', "answers stay between 0 and 1"]
    claims += [f'"{name}" alone never changes the decision' for name in aside[:1]]
    return {**_declaring(case, *claims), "model": model.with_sheet(cleaning=case["model"].sheet.cleaning)}


@sabotage("one cut moved", check="certificate")
def moved(case: Case) -> Case:
    """A cut of the split tree lies outside its box."""
    return _released(case, tokens="n {place} 99999 end end")


@sabotage("one token dropped", check="certificate")
def dropped(case: Case) -> Case:
    """The last box of the split tree is not bounded."""
    return _released(case, tokens="n {place} 0 end")


@sabotage("one leaf of the released program edited", check="certificate")
def edited(case: Case) -> Case:
    """The proof is of another program than the one in the folder."""
    return _released(case, leaf=20.0)


@sabotage("a bound that does not hold", check="certificate")
def overclaimed(case: Case) -> Case:
    """The goal lies below the bound of its boxes."""
    return _released(case, goal=-1e6)


@twin("certificate")
def sound(case: Case, seed: int) -> Case:
    """The same proof untouched."""
    return _released(case)


@sabotage("every answer lies on the threshold", check="local-queries-decided")
def undecidable(case: Case) -> Case:
    """Two trees of one leaf each cancel out, so that rounding alone could turn any decision."""
    model = case["model"]
    arrays = {**NO_NODES, "threshold": np.empty(0), "bits": np.empty(0, np.uint32), "base": np.zeros(1),
              "root": np.array([-1, -2], np.int32), "output": np.zeros(2, np.int32), "leaf": np.array([[1.0], [-1.0]])}
    program = replace(model.program, terms=(Term(Trees(), arrays),), link="logistic", calibration=None)
    return {**case, "model": model.with_program(program).with_sheet(threshold=0.5)}


@sabotage("a deep model that nothing prunes", check="local-robustness")
def brittle(case: Case) -> Case:
    """The champion is the clean model; the new one has hundreds of trees whose leaves hold one or two rows."""
    settings = {"rounds": 300, "num_leaves": 63, "min_data_in_leaf": 2, "lambda_l2": 0.0}
    return {**case, "champion": case["model"], "model": case["steps"].train(case["parts"].learn, settings=settings)}


@twin("local-robustness")
def steady(case: Case, seed: int) -> Case:
    """The champion is the model itself."""
    return {**case, "champion": case["model"]}


@sabotage("one leaf far from the champion's", check="release-difference")
def strayed(case: Case) -> Case:
    """The champion is the same model, but for its highest leaf, which adds 60 to the margin."""
    model: Model = case["steps"].train(case["parts"].learn)
    return {**_apart(case, 20.0), "champion": model, "model": _with_leaf(model, 60.0)}


@twin("release-difference")
def beside(case: Case, seed: int) -> Case:
    """The champion is the same learner on another draw of the rows."""
    learn = case["parts"].learn
    drawn = learn.take(np.sort(np.random.default_rng(seed).permutation(learn.rows)[: 9 * learn.rows // 10]))
    models = {"champion": case["steps"].train(drawn), "model": case["steps"].train(learn)}
    return {**_apart(case, 40.0 if models["model"].task != "regression" else 1e12), **models}


def _apart(case: Case, limit: float) -> Case:
    gate = msgspec.structs.replace(case["project"].gate, apart=limit)
    return {**case, "project": msgspec.structs.replace(case["project"], gate=gate)}


def _number(model: Model) -> str:
    """A number that a model of two classes reads. Raises BadData where there is none."""
    found: list[str] = [one.column for one in model.features.encoders if isinstance(one, Number)]
    if not found or model.task != "binary":
        raise BadData("the model reads no number, or has not two classes", where="the model",
                      hint="the fault needs both")
    return found[0]


def _protected(case: Case) -> str:
    """A protected column that is a category. Raises BadData where there is none."""
    found: list[str] = [column.name for column in case["parts"].learn.schema.protected if column.kind == "category"]
    if not found or case["model"].task != "binary":
        raise BadData("no category is protected, or there are not two classes", where="the table",
                      hint="the fault needs both")
    return found[0]


def _declaring(case: Case, *claims: str) -> Case:
    project = msgspec.structs.replace(case["project"], property=tuple(Property(claim) for claim in claims))
    return {**case, "project": project}


def _with_leaf(model: Model, value: float) -> Model:
    """The model with its highest leaf changed by a value."""
    program = model.program
    terms = list(program.terms)
    leaf = np.array(terms[0].arrays["leaf"], np.float64)
    leaf.flat[int(leaf.argmax())] += value
    terms[0] = Term(terms[0].kind, {**terms[0].arrays, "leaf": leaf})
    return model.with_program(replace(program, terms=tuple(terms)))


def _released(case: Case, *, tokens: str = "n {place} 0 end end", goal: float = 1e6, leaf: float = 0.0) -> Case:
    """A folder with the program of boosted trees and one certificate of a generous bound."""
    model: Model = case["steps"].train(case["parts"].learn)
    held = tempfile.TemporaryDirectory()
    served = _with_leaf(model, leaf) if leaf else model
    for name, raw in served.files().items():
        Path(held.name, name).write_bytes(raw)
    Path(held.name, "proof-1.json").write_text(json.dumps(_certificate(model.program, tokens, goal)), "utf-8")
    manifest = Manifest("0" * 64, "proved", "", Identity("", model.digest, ""), {})
    return {**case, "release": Release(Path(held.name), manifest, served, Evidence(())), "held": held}


def _certificate(program: Program, tokens: str, goal: float) -> dict[str, Any]:
    place = next(n for n, one in enumerate(program.inputs) if not one.categorical)
    spans = [[list(range(one.levels)), True] if one.categorical else [None, None, True, False]
             for one in program.inputs]
    view = {"program": 0, "weights": [1.0, *[0.0] * (program.outputs - 1)], "set": {}}
    part = {"sum": [view], "query": spans, "rules": [], "goal": goal, "slack": 0.0,
            "tokens": tokens.format(place=place)}
    return {"format": 1, "programs": [program.digest], "parts": [part]}
