"""Faults that the checks on debt and on guidelines must catch."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.attested import Attestation, signed_by
from shipworthy.core.evidence import Evidence, Finding
from shipworthy.core.features import Number
from shipworthy.core.found import Catalogue, JoinPath, Listed
from shipworthy.core.ledger import Line, line
from shipworthy.core.project import Source
from shipworthy.core.table import Table
from shipworthy.core.tickets import Ticket
from shipworthy.errors import BadData
from shipworthy.marks import sabotage, twin

Case = dict[str, Any]
KEY = bytes(range(32))
CHECKS = (
    "abstain-band", "alarm-drill", "amplification", "approver", "beats-simplest", "beats-trivial", "best-inside",
    "black-box-earns-it", "boundary", "cells-changed", "column-drift", "concept-drift", "contract-holds",
    "correction-cascades", "cost-in-budget", "datasheet-filled", "drift-drill", "epsilon-features",
    "explainability-score", "fairness", "feedback", "holdout-untouched", "joins-verified", "jungle-depth",
    "kill-loses-nothing", "latency", "ledger", "licences", "metric-tracks-value", "mutation-score", "no-leak",
    "not-worse-than-champion", "outlier-drill", "program-equals-library", "reasons", "release-identified",
    "requirements", "rollout", "served-equals-batch", "signature-verifies", "size", "sources-known", "split-overlap",
    "tables-reopen", "threshold-stands", "undeclared-consumers", "undeclared-personal", "value-above-nothing",
    "worst-slice",
)


@sabotage("served other than in a batch", check="guidelines")
def broken_rule(case: Case) -> Case:
    """All is measured and signed for, but what is served is not what was trained."""
    return _heard(case, "fail", "served-equals-batch")


@twin("guidelines")
def all_kept(case: Case, seed: int) -> Case:
    """Every check is fine, and what none judges is signed for."""
    return _heard(case, "pass", "served-equals-batch")


@sabotage("nothing is watched", check="ml-test-score")
def unwatched(case: Case) -> Case:
    """No check of monitoring has judged anything, nor has anybody signed."""
    told = _heard(case, "pass", "served-equals-batch")
    watched = {"alarm-drill", "mutation-score", "drift-drill", "served-equals-batch", "boundary"}
    left = tuple(one for one in told["evidence"].findings if one.check not in watched)
    return {**told, "evidence": Evidence(left), "attestations": ()}


@twin("ml-test-score")
def scored(case: Case, seed: int) -> Case:
    """Every check is fine."""
    return _heard(case, "pass", "served-equals-batch")


@sabotage("most inputs are noise", check="epsilon-features")
def noisy_inputs(case: Case) -> Case:
    """Of every input but one the model makes nothing: the program reads them with weight 0."""
    model = case["model"]
    kept = next((each.column for each in model.features.encoders if isinstance(each, Number)), "")
    if not kept or len(model.classes) != 2:
        raise BadData("the model reads no number, or has not two classes", where="the table",
                      hint="the fault needs one number that alone decides between two classes")
    learn = case["parts"].learn
    learn = learn.with_column(model.sheet.target, _by(learn, kept, model.classes))
    return {**case, "model": case["steps"].train(learn, learner="tree", settings={})}


@twin("epsilon-features")
def all_needed(case: Case, seed: int) -> Case:
    """The model reads only the columns of which the label is made."""
    learn = case["parts"].learn
    made = ("num1", "num2", "num3", "num4", "cat1", "cat2", "flag", case["model"].sheet.target)
    if not {*made} <= {*learn.schema.names}:
        return case
    kept = learn.select([name for name in learn.schema.names if name in made])
    line = case["steps"].train(kept, learner="linear", settings={})
    return {**case, "model": line}


@sabotage("a token for somebody whom nobody declared", check="undeclared-consumers")
def stranger(case: Case) -> Case:
    """The holder of a good token is not among the consumers."""
    return {**_consumers(case, ("shop",)), "holders": ("shop", "stranger")}


@twin("undeclared-consumers")
def known_consumers(case: Case, seed: int) -> Case:
    """Every holder is declared."""
    return {**_consumers(case, ("shop", "Bank")), "holders": ("shop", "bank")}


@sabotage("an input that a model answered", check="correction-cascades")
def cascade(case: Case) -> Case:
    """The first column that the model reads comes from a log of answers."""
    catalogue, column = case["catalogue"], case["model"].features.columns[0]
    log = Listed("answers", "answers.parquet", 10, ("prediction_id", "propensity", column))
    return {**case, "catalogue": Catalogue((*catalogue.tables, log), catalogue.joins,
                                           {**catalogue.trace, column: "answers"})}


@sabotage("a column at the end of a chain of joins", check="jungle-depth")
def jungle(case: Case) -> Case:
    """The first column that the model reads is looked up over five tables."""
    project, column = case["project"], case["model"].features.columns[0]
    names = [project.source[0].called if project.source else "base", *(f"step{n}" for n in range(1, 6))]
    joins = tuple(JoinPath(left, right, {"key": "key"}, 1.0, 0, 0, 0, used=True)
                  for left, right in pairwise(names))
    catalogue = Catalogue(case["catalogue"].tables, joins, {**case["catalogue"].trace, column: names[-1]})
    source = project.source or (Source("base.parquet", name="base"),)
    data = msgspec.structs.replace(project.data, table=names[0])
    return {**case, "catalogue": catalogue, "project": msgspec.structs.replace(project, source=source, data=data)}


@sabotage("a flag that was switched on for good", check="dead-flags")
def switched(case: Case) -> Case:
    """A flag that the model reads is true in every row of the last hundred days."""
    table: Table = case["table"]
    time = table.schema.one("time")
    two = [name for name in case["model"].features.columns if len(pc.unique(table.data[name])) == 2]
    if time is None or not two:
        raise BadData("no column has two values, or none is a time", where="the table", hint="the fault needs a flag")
    at = table.data[time.name]
    start = pc.max(at).as_py() - timedelta(days=100)
    late = np.asarray(pc.greater(at, pa.scalar(start, at.type)).to_numpy(), np.bool_)
    cells = np.asarray(table.data[two[0]].to_pylist(), object)
    cells[late] = cells[0]
    return {**case, "table": table.with_column(two[0], pa.array(cells.tolist(), table.data[two[0]].type))}


def _heard(case: Case, verdict: Any, check: str) -> Case:
    """The case with a finding of every check that a guideline names, all fine but perhaps one, and all signed for."""
    findings = tuple(Finding(name, "", verdict if name == check else "pass", "It is so.") for name in CHECKS)
    later = (datetime.now(UTC).date() + timedelta(days=90)).isoformat()
    signed = tuple(signed_by(Attestation(row, topic, "reviewer@example.org", "reviewer", "It is kept.",
                                         date(2024, 1, 1).isoformat(), later), KEY)
                   for row, topic in (("solutions.guidelines", "zinkevich"), ("solutions.guidelines", "vdi"),
                                      ("deployment.anti-patterns", "data-6")))
    return {**case, "evidence": Evidence(findings), "attestations": signed}


def _consumers(case: Case, names: tuple[str, ...]) -> Case:
    about = msgspec.structs.replace(case["project"].project, consumers=names)
    return {**case, "project": msgspec.structs.replace(case["project"], project=about)}


def _by(table: Table, column: str, classes: tuple[str, ...]) -> pa.Array:
    values = table.numbers(column)
    return pa.array(np.where(values > np.nanmedian(values), classes[-1], classes[0]).tolist())


@sabotage("feedback that goes nowhere", check="feedback-kept")
def deaf(case: Case) -> Case:
    """The server takes no feedback."""
    serving = msgspec.structs.replace(case["project"].serve, feedback=False)
    return {**case, "project": msgspec.structs.replace(case["project"], serve=serving)}


@sabotage("a ticket that the release forgot", check="feedback-kept")
def forgotten(case: Case) -> Case:
    """Somebody said something before the release was made, and its manifest does not name it."""
    return {**case, "tickets": (Ticket("0123456789abcdef", "2024-01-01T00:00:00+00:00", "It refuses everybody."),)}


@sabotage("reviews of a requirement that does not exist", check="reviews")
def loose_reviews(case: Case) -> Case:
    """Users were heard, about something that nobody requires."""
    return {**case, "history": _reviews("happiness")}


@sabotage("a reviewer who talks to the trainer only", check="reviews")
def among_ourselves(case: Case) -> Case:
    """Every review was held with the trainer."""
    return {**case, "history": _reviews(_first(case), who=case["project"].project.trainer or "trainer@example.org")}


@twin("reviews")
def heard(case: Case, seed: int) -> Case:
    """Six users were heard, and one of them changed the requirement."""
    return {**case, "history": _reviews(_first(case))}


def _first(case: Case) -> str:
    return _called(case["project"].requirement[0])


def _called(requirement: Any) -> str:
    return ":".join([requirement.metric, *(f"{key}={value}" for key, value in requirement.segment.items())])


def _reviews(requirement: str, who: str = "") -> list[Line]:
    lines: list[Line] = []
    for n in range(6):
        lines.append(line(lines, actor="reviewer@example.org", role="reviewer", action="review", why="They said so.",
                          subject={"requirement": requirement, "with": who or f"user {n}",
                                   "outcome": "changed" if n == 2 else "noted"}))
    return lines
