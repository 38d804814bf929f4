"""Planted faults of the data stage: each must make its check fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.found import Change, Ledger
from shipworthy.core.learned import Parts
from shipworthy.core.project import Join, Project, Source
from shipworthy.core.table import Table
from shipworthy.errors import BadData
from shipworthy.marks import sabotage, twin

Case = Mapping[str, Any]


@sabotage("a-column-from-nowhere", check="sources-known")
def unknown_source(case: Case) -> Case:
    """A training column that no catalogued source holds."""
    table: Table = case["table"]
    values = np.random.default_rng(1).normal(size=table.rows)
    return {**case, "table": table.with_column("found_on_a_share", pa.array(values))}


@sabotage("a-source-without-licence", check="sources-known")
def no_licence(case: Case) -> Case:
    """The source of the training columns has no licence."""
    catalogue = case["catalogue"]
    bare = tuple(msgspec.structs.replace(listed, licence="") for listed in catalogue.tables)
    return {**case, "catalogue": msgspec.structs.replace(catalogue, tables=bare)}


@sabotage("a-key-that-matches-by-chance", check="joins-verified")
def decoy(case: Case) -> Case:
    """A join of visit counts to the row numbers of an unrelated table: every one is found, none means anything."""
    raw: Table = case["raw"]
    random = np.random.default_rng(2)
    base = raw.with_column("visits", pa.array(random.integers(1, 400, raw.rows)))
    base = replace(base, name=case["project"].source[0].called)
    shelf = Table.of({"shelf": np.arange(1, 501), "depth": random.normal(size=500)}, name="shelf",
                     origin="shelf.parquet")
    project = _joined(case["project"], "shelf", {"visits": "shelf"})
    return {**case, "project": project, "catalogue": case["steps"].discover([base, shelf], project)}


@twin("joins-verified")
def one_key(case: Case, seed: int) -> Case:
    """A second source that holds exactly one row for every row of the first."""
    return _second_source(case, 1.0, seed=seed)


@sabotage("a-source-in-other-units", check="conventions-agree")
def other_units(case: Case) -> Case:
    """A second source that holds a number in thousandths."""
    return _second_source(case, 1000.0, seed=3)


@twin("conventions-agree")
def one_unit(case: Case, seed: int) -> Case:
    """A second source that holds another measurement of a number in the same unit."""
    return _second_source(case, 1.0, seed=seed)


@sabotage("a-fifth-of-cells-unreadable", check="cells-changed")
def unreadable(case: Case) -> Case:
    """A fifth of the cells of every category is a question mark, and one number in five is the code −999."""
    raw: Table = case["raw"]
    random = np.random.default_rng(4)
    for column in raw.schema.features:
        hit = random.random(raw.rows) < 0.2
        if column.kind == "category":
            words = raw.words(column.name)
            raw = raw.with_column(column.name, pa.array(np.where(hit, "?", words), pa.string()))
        elif column.kind == "number":
            raw = raw.with_column(column.name,
                                  pa.array(np.where(hit, -999.0, raw.numbers(column.name)), from_pandas=True))
    table, ledger = case["steps"].clean(raw)
    return {**case, "raw": raw, "table": table, "ledger": ledger}


@sabotage("a-cleaner-that-cuts-tails", check="repair-harm")
def cuts_tails(case: Case) -> Case:
    """A cleaner that takes every value beyond 1.5 standard deviations for an error."""
    steps = case["steps"]

    def harmful(raw: Table, *rest: Any) -> tuple[Table, Ledger]:
        table, ledger = steps.clean(raw, *rest)
        changes: list[Change] = []
        for column in table.schema.features:
            if column.kind == "number":
                values = table.numbers(column.name)
                far = np.abs(values - np.nanmedian(values)) > 1.5 * np.nanstd(values)
                changes += [Change(row, column.name, str(values[row]), None, "outlier")
                            for row in np.flatnonzero(far).tolist()]
        return table, msgspec.structs.replace(ledger, changes=(*ledger.changes, *changes))

    return {**case, "steps": replace(steps, clean=harmful)}


@sabotage("labels-flipped", check="label-noise")
def flipped(case: Case) -> Case:
    """The labels of one row in four are exchanged at random."""
    return {**case, "table": _flip(case["table"], 0.25, seed=5)}


@sabotage("a-region-removed", check="thin-slices")
def removed(case: Case) -> Case:
    """No training row combines the most frequent level of the first category with a high number."""
    parts: Parts = case["parts"]
    learn, number = parts.learn, _finest(parts.learn)
    category = next((column.name for column in learn.schema.features if column.kind == "category"), None)
    if category is None:
        raise BadData("no column is a category", where="the table", hint="the fault needs one to take a region of")
    words, values = learn.words(category), learn.numbers(number)
    levels, counts = np.unique(words.astype(str), return_counts=True)
    gone = (words == levels[counts.argmax()]) & (values > np.nanquantile(values, 0.7))
    return {**case, "parts": replace(parts, learn=learn.take(~gone))}


@sabotage("a-leaking-column", check="no-leak")
def leak(case: Case) -> Case:
    """A column written after the answer was known: the answer, wrong in one row of twenty-five."""
    flipped = _flip(case["table"], 0.04, seed=6)
    raw_flipped = _flip(case["raw"], 0.04, seed=6)
    target = case["project"].data.target
    kind: Any = "number" if case["table"].schema[target].kind == "number" else "category"
    raw = case["raw"].with_column("status_code", raw_flipped.data[target], kind=kind)
    table = case["table"].with_column("status_code", flipped.data[target], kind=kind)
    return {**case, "raw": raw, "table": table, "profile": case["steps"].profile(raw)}


@sabotage("a-copy-of-the-target", check="no-leak")
def copied(case: Case) -> Case:
    """The target under another name; words in capitals, a number in another unit."""
    target = case["table"].schema.one("target")

    def add(table: Table) -> Table:
        if target.kind == "number":
            return table.with_column("closed_at", pa.array(table.numbers(target.name) * 1.25))
        words = [word and word.upper() for word in table.words(target.name)]
        return table.with_column("closed_as", pa.array(words), kind="category")

    raw = add(case["raw"])
    return {**case, "raw": raw, "table": add(case["table"]), "profile": case["steps"].profile(raw)}


@sabotage("training-rows-in-the-holdout", check="split-overlap")
def overlap(case: Case) -> Case:
    """One holdout row in ten is a training row."""
    parts: Parts = case["parts"]
    rows = max(1, parts.holdout.rows // 10)
    holdout = parts.holdout
    data = pa.concat_tables([holdout.data.slice(rows), parts.learn.data.slice(0, rows)])
    return {**case, "parts": replace(parts, holdout=replace(holdout, data=data))}


@sabotage("training-rows-under-new-numbers", check="split-overlap")
def entered_again(case: Case) -> Case:
    """One holdout row in ten is a tuning row that was entered again, under another number and a minute later."""
    parts: Parts = case["parts"]
    rows = max(1, parts.holdout.rows // 10)
    holdout, copied = parts.holdout, parts.tune.head(rows)
    for column in copied.schema.columns:
        if column.role == "identifier":
            whole = pa.types.is_integer(copied.data[column.name].type)
            fresh = pa.array([-1 - n if whole else f"again-{n}" for n in range(copied.rows)])
            copied = copied.with_column(column.name, fresh)
        elif column.role == "time":
            later = pc.add(copied.data[column.name], pa.scalar(timedelta(minutes=1), pa.duration("us")))
            copied = copied.with_column(column.name, later)
    data = pa.concat_tables([holdout.data.slice(rows), copied.data.cast(holdout.data.schema)])
    return {**case, "parts": replace(parts, holdout=replace(holdout, data=data))}


@sabotage("a-holdout-in-other-units", check="contract-holds")
def broken_holdout(case: Case) -> Case:
    """The first number of every holdout row is a thousand times too large."""
    parts: Parts = case["parts"]
    name = next(column.name for column in parts.holdout.schema.features if column.kind == "number")
    holdout = parts.holdout.with_column(name, pa.array(parts.holdout.numbers(name) * 1000, from_pandas=True))
    return {**case, "parts": replace(parts, holdout=holdout)}


@sabotage("a-hidden-e-mail-column", check="undeclared-personal")
def hidden_email(case: Case) -> Case:
    """Addresses of people under a name that does not say so."""
    raw: Table = case["raw"]
    random = np.random.default_rng(7)
    names = [f"{first}.{n}@example.{end}"
             for n, (first, end) in enumerate(
                 zip(random.choice(["ana", "ben", "chris", "dora"], raw.rows),
                     random.choice(["org", "com", "net"], raw.rows), strict=True))]
    return {**case, "profile": case["steps"].profile(raw.with_column("remark", pa.array(names)))}


@sabotage("no-purpose-written", check="datasheet-filled")
def no_purpose(case: Case) -> Case:
    """A datasheet that does not say what the data is for."""
    empty = {question: "" if "purpose" in question else answer for question, answer in case["datasheet"].items()}
    return {**case, "datasheet": empty}


def _joined(project: Project, name: str, on: dict[str, str]) -> Project:
    source = Source(f"{name}.parquet", name, "owner@example.org", "CC0-1.0")
    return msgspec.structs.replace(project, source=(*project.source, source),
                                   join=(*project.join, Join(name, on, prefix=f"{name}_")))


def _second_source(case: Case, factor: float, *, seed: int) -> Case:
    """Another measurement of a number, from a laboratory that names the rows as the first source does."""
    raw, random = case["raw"].with_column("sample", pa.array(range(case["raw"].rows))), np.random.default_rng(seed)
    number = _finest(case["raw"])
    again = pa.array(factor * raw.numbers(number) * (1 + 0.01 * random.normal(size=raw.rows)), from_pandas=True)
    second = Table.of({"sample": raw.data["sample"], number: again}, name="lab", origin="lab.parquet")
    project = _joined(case["project"], "lab", {"sample": "sample"})
    catalogue = case["steps"].discover([replace(raw, name=project.source[0].called), second], project)
    joined = raw.with_column(f"lab_{number}", again)
    return {**case, "project": project, "raw": joined, "catalogue": catalogue}


def _finest(table: Table) -> str:
    """The feature that is a number and has the most values. Raises BadData where none is."""
    numbers = [column.name for column in table.schema.columns if column.kind == "number" and column.role == "feature"]
    if not numbers:
        raise BadData("no column is a number", where="the table", hint="the fault needs one to measure again")
    return max(numbers, key=lambda name: len(np.unique(table.numbers(name))))


def _flip(table: Table, share: float, *, seed: int) -> Table:
    """The table with a share of its labels turned to another class, or numbers exchanged, by the row's place."""
    target, random = table.schema.one("target"), np.random.default_rng(seed)
    assert target is not None
    hit = random.random(table.rows) < share
    if target.kind == "number":
        values = table.numbers(target.name).copy()
        values[hit] = random.permutation(values[hit])
        return table.with_column(target.name, pa.array(values, from_pandas=True))
    words = table.words(target.name)
    levels = sorted({word for word in words if word is not None})
    following = dict(zip(levels, [*levels[1:], levels[0]], strict=True))
    turned = [following[word] if flip and word is not None else word for word, flip in zip(words, hit, strict=True)]
    return table.with_column(target.name, pa.array(turned, pa.string()))
