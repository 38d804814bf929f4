"""Faults that the checks of private learning and encrypted scoring must catch, in a case that asks for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from shipworthy.core.canon import canonical
from shipworthy.core.learned import Learned
from shipworthy.core.private import Message
from shipworthy.core.project import Federated, Privacy, Project
from shipworthy.core.table import Floats, Table
from shipworthy.errors import BadData
from shipworthy.marks import sabotage, twin

Case = dict[str, Any]
TURNS, SUM = 40, 66


@twin("epsilon")
def bounded(case: Case, seed: int) -> Case:
    """Tables boosted within epsilon 1, all encoders declared."""
    return _private(case, Privacy())


@sabotage("encoders fitted on the rows", check="epsilon")
def fitted_outside(case: Case) -> Case:
    """The levels are those that the learn rows have, and not those that are declared."""
    case = _private(case, Privacy(), beside="a level that no row has")
    fitted = case["steps"].train(case["parts"].learn, learner="linear")
    return {**case, "model": case["model"].with_sheet(features=fitted.features)}


@sabotage("a threshold tuned on the rows", check="epsilon")
def tuned_outside(case: Case) -> Case:
    """The threshold is not the one that the noisy counts give."""
    case = _private(case, Privacy())
    model = case["model"]
    return {**case, "model": model.with_sheet(threshold=model.sheet.threshold / 2)}


@sabotage("a tuning run left out of the log", check="epsilon")
def forgotten(case: Case) -> Case:
    """Two models were fitted, and the log has the steps of one."""
    case = _private(case, Privacy())
    learned: Learned = case["learned"]
    return {**case, "learned": replace(learned, candidates=(*learned.candidates, replace(
        learned.chosen, private=None)))}


@sabotage("a training beyond the budget", check="epsilon")
def twice(case: Case) -> Case:
    """The whole budget was spent once before, as the ledger says."""
    if case["model"].task != "binary":
        raise BadData("the target has not two classes", where="the table", hint="private learning needs two")
    case = _private(case, Privacy())
    spent = msgspec.structs.replace(case["learned"].chosen.private, rows=1)
    line = {"action": "spend privacy", "subject": {"spent": canonical(spent).decode()}}
    return {**case, "history": [*case["history"], line]}


@twin("canary")
def noisy(case: Case, seed: int) -> Case:
    """A line by noisy gradients within epsilon 1."""
    return _private(case, Privacy(learner="private-linear"))


@sabotage("noise switched off", check="canary")
def silent(case: Case) -> Case:
    """The generator returns 0 for every normal draw; the log says that there was noise."""
    return _silenced(_private(case, Privacy(learner="private-linear")))


@sabotage("noise switched off in boosting", check="canary")
def silent_tables(case: Case) -> Case:
    """As the other, of tables."""
    return _silenced(_private(case, Privacy()))


@twin("privacy-cost")
def cheap(case: Case, seed: int) -> Case:
    """An epsilon that so few rows can afford."""
    return _private(case, Privacy(epsilon=20.0))


@sabotage("an epsilon too small for the rows", check="privacy-cost")
def dear(case: Case) -> Case:
    """The noise of epsilon 0.01 drowns what a few thousand rows say."""
    return _private(case, Privacy(epsilon=0.01))


@twin("sums-only")
def honest(case: Case, seed: int) -> Case:
    """Three parties, each of which sends as many values as are asked for."""
    return _together(case, SUM)


@sabotage("a client that sends rows", check="sums-only")
def leaking(case: Case) -> Case:
    """The last message of one party holds its rows."""
    return _together(case, case["parts"].learn.rows * 4)


class _Silent:
    """A broken generator: uniform draws, and no noise."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def random(self, size: Any) -> Floats:
        return np.asarray(self._random.random(size), np.float64)

    def normal(self, loc: float, scale: float, size: Any) -> Floats:
        return np.full(size, loc)


@twin("encrypted-scoring")
def sealed(case: Case, seed: int) -> Case:
    """A line, and a client that hands over the public context."""
    return _encrypted(case)


@sabotage("a context that carries the secret key", check="encrypted-scoring")
def opened(case: Case) -> Case:
    """The client sends the whole context, its private part with it."""
    case = _encrypted(case)
    return {**case, "steps": replace(case["steps"], client=_Careless)}


def _silenced(case: Case) -> Case:
    return {**case, "steps": replace(case["steps"], noise=_Silent)}


def _private(case: Case, rules: Privacy, *, beside: str = "") -> Case:
    """The case learnt again by [privacy], with the ranges and values that the drill finds declared as if known.

    beside: one more level of every category. A case whose target has not two classes is left as it is.
    """
    if case["model"].task != "binary":
        return case
    project, parts = case["project"], case["parts"]
    project = _declared(project, case["parts"].learn, rules, (beside,) if beside else ())
    learned, model = case["steps"].learn(parts, project)
    return {**case, "project": project, "learned": learned, "model": model}


def _declared(project: Project, table: Table, rules: Privacy, more: tuple[str, ...]) -> Project:
    limits, levels, aside = dict(project.data.limits), {}, list(project.data.set_aside)
    for column in table.schema.features:
        if column.kind == "category":
            levels[column.name] = (*sorted({word for word in table.words(column.name) if word is not None}), *more)
        elif column.kind == "number":
            known = table.numbers(column.name)
            known = known[np.isfinite(known)]
            limits.setdefault(column.name, (float(np.floor(known.min())), float(np.ceil(known.max()) + 1)))
        elif column.kind != "boolean":
            aside.append(column.name)
    data = msgspec.structs.replace(project.data, limits=limits, set_aside=tuple(aside), group="")
    return msgspec.structs.replace(
        project, data=data, privacy=msgspec.structs.replace(rules, levels=levels),
        split=msgspec.structs.replace(project.split, kind="random"),
        learning=msgspec.structs.replace(project.learning, learners=()))


def _together(case: Case, last: int) -> Case:
    """A transcript of three parties, the last message of which holds so many values."""
    sent = [Message(party, turn, "pull", SUM, SUM) for turn in range(TURNS) for party in range(3)]
    sent[-1] = msgspec.structs.replace(sent[-1], values=last)
    learned: Learned = case["learned"]
    chosen = replace(learned.chosen, transcript=tuple(sent))
    project = msgspec.structs.replace(case["project"], federated=Federated(("a.parquet", "b.parquet")))
    return {**case, "project": project, "learned": replace(learned, candidates=(chosen,), chosen=chosen)}


class _Careless:
    """Hands over parameters, public part and private part, laid out as TenSEAL does, each with eight bytes inside."""

    public = b"".join(bytes([field << 3 | 2, 8]) + b"\0" * 8 for field in (1, 2, 3))


def _encrypted(case: Case) -> Case:
    """The case with encrypted scoring declared, and a line for a model, fitted quickly."""
    project = case["project"]
    project = msgspec.structs.replace(project, serve=msgspec.structs.replace(project.serve, encrypted=True))
    return {**case, "project": project, "model": case["steps"].train(case["parts"].learn, learner="linear")}
