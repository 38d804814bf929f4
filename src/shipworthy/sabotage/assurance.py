"""Faults that the assurance checks must catch."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from shipworthy.core.attested import Attestation, signed_by
from shipworthy.core.features import Category
from shipworthy.core.found import Catalogue
from shipworthy.core.ledger import Line, line, seal
from shipworthy.core.model import Model
from shipworthy.core.predictions import Predictions
from shipworthy.core.program import Lookup, Term
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.errors import BadData
from shipworthy.marks import sabotage, twin

Case = dict[str, Any]
KEY = bytes(range(32))
TOPICS = ("impact-assessment", "legal-basis", "appeal-contact", "training-record")


@sabotage("one group is held to a higher bar", check="fairness")
def unequal(case: Case) -> Case:
    """The program takes 1.5 off the log-odds of one protected group."""
    return {**case, "model": penalised(case, 1.5)}


@sabotage("one group's threshold was moved", check="amplification")
def widened(case: Case) -> Case:
    """The program takes 2 off the log-odds of the group with the lower base rate, which widens the gap."""
    return {**case, "model": penalised(case, 2.0)}


@twin("amplification")
def mirrored(case: Case, seed: int) -> Case:
    """What came true is what the model decides, but for one row in 300: few rows suffice to see that nothing widens."""
    parts = case["parts"]
    return {**case, "parts": replace(parts, tune=_decided(case, parts.tune, seed),
                                     holdout=_decided(case, parts.holdout, seed + 1))}


@dataclass(frozen=True)
class _AbstainsWhereSure(Model):
    """A model that abstains on its surest third and decides the rest."""

    def answer(self, score: Floats) -> Predictions:
        sure = np.abs(np.asarray(score, np.float64) - 0.5)
        found = super().answer(score)
        return replace(found, abstain=np.asarray(sure >= np.quantile(sure, 0.67)))


@sabotage("a band where the model is surest", check="abstain-band")
def upside_down(case: Case) -> Case:
    """The model abstains where it knows best."""
    model = case["model"]
    return {**case, "model": _AbstainsWhereSure(model.sheet, model.program)}


@sabotage("reasons that do not matter to the model", check="reasons")
def idle_reasons(case: Case) -> Case:
    """Every share is told of the next column instead."""
    return {**case, "steps": _rotated(case)}


@sabotage("a data set without a licence", check="licences")
def unlicensed(case: Case) -> Case:
    """Nobody wrote down the licence of any source."""
    project, catalogue = case["project"], case["catalogue"]
    bare = Catalogue(tuple(msgspec.structs.replace(table, licence="") for table in catalogue.tables), catalogue.joins,
                     catalogue.trace)
    sources = tuple(msgspec.structs.replace(source, licence="") for source in project.source)
    return {**case, "catalogue": bare, "project": msgspec.structs.replace(project, source=sources)}


@sabotage("a licence that nobody knows", check="licences")
def unknown_licence(case: Case) -> Case:
    """The licence is a word that is no licence."""
    catalogue = case["catalogue"]
    odd = Catalogue(tuple(msgspec.structs.replace(table, licence="found on the web") for table in catalogue.tables),
                    catalogue.joins, catalogue.trace)
    return {**case, "catalogue": odd}


@sabotage("explanations of another model", check="explainability-score")
def foreign_shares(case: Case) -> Case:
    """The shares were computed for a model trained on half of the rows."""
    steps, learn = case["steps"], case["parts"].learn
    other = steps.train(learn.take(np.arange(0, learn.rows, 2)))

    def contributions(model: Model, inputs: Floats) -> Floats:
        known = other if other.program.inputs == model.program.inputs else model
        found: Floats = steps.contributions(known, inputs)
        return found if known is other else found + 0.01

    return {**case, "steps": replace(steps, contributions=contributions)}


@sabotage("true shares told of the wrong columns", check="explainability-score")
def rotated_shares(case: Case) -> Case:
    """The shares add up, but each belongs to the next column."""
    return {**case, "steps": _rotated(case)}


@sabotage("a model that learnt its rows by heart", check="membership")
def by_heart(case: Case) -> Case:
    """Every learning row was repeated until no leaf had to hold two people."""
    steps, learned, parts = case["steps"], case["learned"], case["parts"]

    def train(table: Table, **how: Any) -> Model:
        many = table.take(np.tile(np.arange(table.rows), 25))
        found: Model = steps.train(many, **{**how, "learner": "boosted", "settings": {}})
        return found

    chosen = replace(learned.chosen, model=train(parts.learn, seed=0), learner="boosted", settings={})
    return {**case, "learned": replace(learned, chosen=chosen), "steps": replace(steps, train=train)}


@twin("membership")
def plain_line(case: Case, seed: int) -> Case:
    """The recipe is a line, which has no room to remember anybody."""
    steps, learned = case["steps"], case["learned"]
    chosen = replace(learned.chosen, model=steps.train(case["parts"].learn, learner="linear", seed=seed, settings={}),
                     learner="linear", settings={})
    return {**case, "learned": replace(learned, chosen=chosen)}


@sabotage("a search that looks at the most credible", check="flips-found")
def wrong_end(case: Case) -> Case:
    """The ranking of suspicious labels is upside down."""
    steps = case["steps"]

    def suspect_labels(table: Table) -> Ints:
        ranking: Ints = np.asarray(steps.suspect_labels(table), np.int64)[::-1]
        return ranking

    return {**case, "steps": replace(steps, suspect_labels=suspect_labels)}


@twin("flips-found")
def clear_labels(case: Case, seed: int) -> Case:
    """The label follows from the features but for one row in 300, so that a flipped one stands out."""
    return {**case, "parts": replace(case["parts"], learn=_decided(case, case["parts"].learn, seed))}


@sabotage("the trainer approves", check="approver")
def self_approved(case: Case) -> Case:
    """Trainer and approver are one person."""
    about = msgspec.structs.replace(case["project"].project, approver=case["project"].project.trainer
                                    or "one@example.org",
                                    trainer=case["project"].project.trainer or "one@example.org",
                                    owner="owner@example.org")
    return {**case, "project": msgspec.structs.replace(case["project"], project=about)}


@sabotage("the trainer promoted their own release", check="approver")
def self_promoted(case: Case) -> Case:
    """The names in the project file differ, but the ledger tells another story."""
    lines = [*_history()[:2], ]
    lines.append(line(lines, actor="trainer@example.org", role="approver", action="promote", why="it is good",
                      subject={"alias": "champion", "release": "r1", "before": ""}))
    return {**case, "history": lines}


@sabotage("a line of the ledger removed", check="ledger")
def torn(case: Case) -> Case:
    """The second line is gone."""
    lines = _history()
    return _sealed({**case, "history": [lines[0], *lines[2:]]})


@sabotage("two lines of the ledger swapped", check="ledger")
def swapped(case: Case) -> Case:
    """The second and the third line changed places."""
    lines = _history()
    return _sealed({**case, "history": [lines[0], lines[2], lines[1], *lines[3:]]})


@sabotage("a line of the ledger rewritten", check="ledger")
def rewritten(case: Case) -> Case:
    """The actor of the second line is somebody else now."""
    lines = _history()
    return _sealed({**case, "history": [lines[0], {**lines[1], "actor": "nobody@example.org"}, *lines[2:]]})


@sabotage("the last line of the ledger cut off", check="ledger")
def shortened(case: Case) -> Case:
    """The newest line is gone; the chain of the others is whole, and only the signed head knows."""
    return _sealed({**case, "history": _history()[:-1]})


@sabotage("the head of the ledger signed anew by another", check="ledger")
def resealed(case: Case) -> Case:
    """A whole new history, with a head to fit; only the head that a release carries was signed with the first key."""
    lines = _history(1)
    carried = seal(lines[:2], key=KEY)
    return {**case, "history": lines, "seals": (seal(lines, key=KEY[::-1]), carried)}


@twin("ledger")
def whole_ledger(case: Case, seed: int) -> Case:
    """A ledger that nobody touched."""
    lines = _history(3 + seed % 5)
    return {**case, "history": lines, "seals": (seal(lines, key=KEY), seal(lines[:2], key=KEY))}


@sabotage("an expired attestation", check="attestations")
def expired(case: Case) -> Case:
    """Every duty was signed, and the signatures ran out years ago."""
    return {**case, "attestations": _signed("2020-01-01")}


@sabotage("an attestation by the trainer", check="attestations")
def by_the_trainer(case: Case) -> Case:
    """The trainer signed for what others are to judge."""
    about = msgspec.structs.replace(case["project"].project, trainer="trainer@example.org")
    return {**case, "project": msgspec.structs.replace(case["project"], project=about),
            "attestations": _signed("2999-01-01", by="trainer@example.org")}


@sabotage("an attestation changed after it was signed", check="attestations")
def altered(case: Case) -> Case:
    """The sentence is not the one that was signed."""
    return {**case,
            "attestations": tuple(msgspec.structs.replace(one, sentence="no risk at all")
                                  for one in _signed("2999-01-01"))}


@twin("attestations")
def freshly_signed(case: Case, seed: int) -> Case:
    """Every duty is signed by somebody else and fresh."""
    return {**case, "attestations": _signed("2999-01-01")}


@sabotage("a pipeline full of smells", check="linter")
def smelly(case: Case) -> Case:
    """A script that scales before splitting, swallows errors and loads a pickle."""
    return {**case, "code": (_file("pipeline.py", SMELLY),)}


@twin("linter")
def tidy(case: Case, seed: int) -> Case:
    """The same script as it should be."""
    return {**case, "code": (_file("pipeline.py", TIDY),)}


@sabotage("a plugin that lies about its signature", check="plugins-conform")
def lying_plugin(case: Case) -> Case:
    """A plugin check that judges a subject which does not exist, without a docstring or a sabotage."""
    return {**case, "code": (_file("plugin.py", LYING),)}


@twin("plugins-conform")
def honest_plugin(case: Case, seed: int) -> Case:
    """A plugin check as the guide asks for it."""
    return {**case, "code": (_file("plugin.py", HONEST),)}


def _decided(case: Case, rows: Table, seed: int) -> Table:
    """The rows with the decisions of a model of two classes for labels, one in 300 turned; others as they are."""
    model = case["model"]
    if model.task != "binary":
        return rows
    turned = np.random.default_rng([17, seed]).random(rows.rows) < 1 / 300
    words = np.array(model.classes, object)[model.decide(model.score(rows)) ^ turned]
    return rows.with_column(model.sheet.target, pa.array(words.tolist()))


def _rotated(case: Case) -> Any:
    steps = case["steps"]

    def contributions(model: Model, inputs: Floats) -> Floats:
        found: Floats = np.roll(np.asarray(steps.contributions(model, inputs), np.float64), 1, axis=1)
        return found

    return replace(steps, contributions=contributions)


def penalised(case: Case, size: float) -> Model:
    """The model with a penalty on the protected group whose base rate is lower."""
    model, learn = case["model"], case["parts"].learn
    if not learn.schema.protected:
        raise BadData("no column is protected", where="the table", hint="the fault needs a group to treat worse")
    name = learn.schema.protected[0].name
    words = np.array([str(word) for word in learn.words(name)])
    truth = np.asarray(model.truth(Table(pa.concat_tables([case["parts"].tune.data, case["parts"].holdout.data]),
                                         learn.schema)),
                       np.float64)
    later = np.array([str(w) for part in (case["parts"].tune, case["parts"].holdout) for w in part.words(name)])
    levels = tuple(sorted(set(words)))
    lowest = min(levels, key=lambda level: float(truth[later == level].mean()) if (later == level).any() else np.inf)
    features = msgspec.structs.replace(model.features, encoders=(*model.features.encoders, Category(name, levels)))
    values = np.zeros((len(levels) + 1, model.program.outputs))
    values[1 + levels.index(lowest), -1] = -size
    term = Term(Lookup((len(model.program.inputs),)), {"cuts0": np.zeros(0), "values": values})
    program = replace(model.program, inputs=features.inputs, terms=(*model.program.terms, term))
    found: Model = model.with_sheet(features=features, reference=(*model.sheet.reference, 0.0)).with_program(program)
    return found


def _history(more: int = 2) -> list[Line]:
    """A ledger as it should be: trained, approved and promoted by different people."""
    lines: list[Line] = []
    for actor, role, action in (("trainer@example.org", "trainer", "trained"),
                                ("approver@example.org", "approver", "approved")):
        lines.append(line(lines, actor=actor, role=role, action=action, subject={"release": "r1"}))
    before = ""
    for n in range(1, more + 1):
        lines.append(line(lines, actor="approver@example.org", role="approver", action="promote", why="evidence is fit",
                          subject={"alias": "champion", "release": f"r{n}", "before": before}))
        before = f"r{n}"
    return lines


def _sealed(case: dict[str, Any]) -> Case:
    """The case with the head of the ledger as it should be."""
    return {**case, "seals": (seal(_history(), key=KEY),)}


def _signed(expires: str, by: str = "officer@example.org") -> tuple[Attestation, ...]:
    return tuple(signed_by(Attestation("law.non-technical", topic, by, "data protection officer", f"{topic} is done",
                                       "2019-01-01", expires), KEY) for topic in TOPICS)


def _file(name: str, text: str) -> str:
    path = Path(tempfile.mkdtemp(prefix="shipworthy-sabotage-")) / name
    path.write_text(text, encoding="utf-8")
    return str(path)


SMELLY = '''
import pickle
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

scaled = StandardScaler().fit_transform(frame)
X_train, X_test, y_train, y_test = train_test_split(scaled, y)
try:
    old = pickle.load(open("model.pkl", "rb"))
except Exception:
    pass
StandardScaler().fit_transform(X_test)
'''

TIDY = '''
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def fit(frame, y, learner, seed):
    X_train, X_test, y_train, y_test = train_test_split(frame, y, random_state=seed)
    model = make_pipeline(StandardScaler(), learner)
    return model.fit(X_train, y_train), X_test, y_test
'''

LYING = '''
from shipworthy.marks import check


@check("mine", row="data.cleanin")
def mine(tabel, **more):
    return None
'''

HONEST = '''
from typing import Any

from shipworthy.core.evidence import Finding, say
from shipworthy.core.table import Table
from shipworthy.marks import check, sabotage


@check("enough-rows", row="data.variance")
def enough_rows(table: Table, *, limit: int = 100) -> Finding:
    """Whether the table has at least so many rows."""
    return say("pass" if table.rows >= limit else "fail", f"There are {table.rows} rows.", n=table.rows)


@sabotage("almost no rows", check="enough-rows")
def few(case: dict[str, Any]) -> dict[str, Any]:
    """Three rows are left."""
    return {**case, "table": case["table"].head(3)}
'''
