"""Planted faults in traffic, labels and the reference: what monitoring's checks must catch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shipworthy.core.clock import DAY
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Table
from shipworthy.marks import sabotage, twin
from shipworthy.sabotage.world import world

Case = Mapping[str, Any]
ROWS = 6_000
PER_DAY = 200
FIRST = int(datetime(2024, 7, 1, tzinfo=UTC).timestamp() * 1e6)
Mask = npt.NDArray[np.bool_]


# ── clean twins: fresh rows of the same world, served and labelled ───────────────────────────────────────────────


def served(case: Case, seed: int) -> Case:
    """The case with a clean log of 30 days, labels three days late from three sources, and its reference."""
    model: Model = case["model"]
    rows = fresh_rows(case, seed)
    return tallied(with_grid(case), **logged(model, rows, seed))


def tallied(case: Case, *, log: Table, labels: Table | None = None) -> Case:
    """The case with another log and labels, and what they add up to."""
    return {**case, "log": log, "labels": labels,
            "tallies": case["steps"].tally(case["model"], case["grid"], log, labels)}


def logged(model: Model, rows: Table, seed: int = 0) -> dict[str, Table]:
    """The log and labels of rows that carry their target."""
    n, random = rows.rows, np.random.default_rng([7, seed])
    answer = model.predict(rows)
    score = answer.score if answer.score.ndim == 1 else answer.score.max(axis=1)
    at = FIRST + np.arange(n) // PER_DAY * DAY + np.arange(n) % PER_DAY * (DAY // (2 * PER_DAY))
    ids = pa.array([f"p{seed}-{place}" for place in range(n)])
    known = {name: rows.column(name) for name in model.features.columns}
    log = pa.table({"prediction_id": ids, "at": _times(at), "release": pa.array(["r"] * n), "score": pa.array(score),
                    "decision": pa.array(list(answer.decision)), "abstain": pa.array(answer.abstain),
                    "influenced": pa.array(random.random(n) < 0.1), "propensity": pa.array(np.full(n, 0.9)), **known})
    late = (random.gamma(4.0, 0.75, n) * DAY).astype(np.int64)
    labels = pa.table({"prediction_id": ids, "label": rows.column(model.sheet.target), "observed_at": _times(at + late),
                       "source": pa.array(random.choice(["north", "south", "west"], n))})
    return {"log": Table.of(log, name="log"), "labels": Table.of(labels, name="labels")}


def with_grid(case: Case) -> Case:
    """The case with the reference of its model."""
    parts: Parts = case["parts"]
    return {**case, "grid": case["steps"].reference(case["model"], parts.tune, parts.holdout)}


def fresh_rows(case: Case, seed: int) -> Table:
    """Rows that nothing has seen: of the clean world, or redrawn from the holdout of another table."""
    model: Model = case["model"]
    parts: Parts = case["parts"]
    rows = world(10_000 + seed, rows=ROWS)
    if {*model.features.columns, model.sheet.target} <= set(rows.schema.names):
        return rows
    return parts.holdout.take(np.random.default_rng(seed).integers(0, parts.holdout.rows, ROWS))


def _times(at: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(at, pa.timestamp("us", "UTC"))


@twin("column-drift")
def columns_unchanged(case: Case, seed: int) -> Case:
    """A second sample of the same world."""
    return served(case, seed)


@twin("estimated-performance")
def scores_unchanged(case: Case, seed: int) -> Case:
    """Traffic without labels, scored as on the holdout."""
    return served(case, seed)


@twin("harm")
def risk_unchanged(case: Case, seed: int) -> Case:
    """Labels that err as often as on the holdout."""
    return served(case, seed)


@twin("late-labels")
def wait_alike(case: Case, seed: int) -> Case:
    """A wait that has nothing to do with the answer."""
    return served(case, seed)


@twin("prediction-bias")
def outcomes_as_expected(case: Case, seed: int) -> Case:
    """Outcomes as frequent as the model says."""
    return served(case, seed)


@twin("outlier-rate")
def rows_ordinary(case: Case, seed: int) -> Case:
    """Ordinary rows."""
    return served(case, seed)


@twin("concept-drift")
def only_rows_shift(case: Case, seed: int) -> Case:
    """Other rows, the same relation: the lower half of a column is thinned out."""
    rows, random = fresh_rows(case, seed), np.random.default_rng(seed)
    name = next(c.name for c in case["parts"].holdout.schema.features if c.kind == "number")
    values = rows.numbers(name)
    kept = (values > np.nanmedian(values)) | (random.random(rows.rows) < 0.6)
    return tallied(with_grid(case), **logged(case["model"], rows.take(kept), seed))


@twin("feedback")
def little_influence(case: Case, seed: int) -> Case:
    """One label in ten owes itself to the decision, and propensities are logged."""
    return served(case, seed)


@twin("no-poison")
def sources_agree(case: Case, seed: int) -> Case:
    """Three sources with labels of the same quality."""
    return served(case, seed)


# ── planted faults ───────────────────────────────────────────────────────────────────────────────────────────────


def _second_half(rows: Table) -> Mask:
    return np.arange(rows.rows) >= rows.rows // 2


def _lead(case: Case) -> str:
    """The first number that the model reads."""
    names = set(case["model"].features.columns)
    parts: Parts = case["parts"]
    schema = parts.holdout.schema
    return next(column.name for column in schema.columns if column.kind == "number" and column.name in names)


def changed(case: Case, change: Callable[[Table], Table]) -> Case:
    """The case whose traffic was changed before it was scored."""
    return tallied(with_grid(case), **logged(case["model"], change(fresh_rows(case, 0))))


def turned(rows: Table, model: Model, where: Mask) -> Table:
    """The rows with their outcome turned round where marked."""
    target = model.sheet.target
    if not model.classes:
        values = rows.numbers(target)
        return rows.with_column(target, np.where(where, 2 * np.nanmean(values) - values, values))
    truth = np.where(where, (model.truth(rows) + 1) % len(model.classes), model.truth(rows))
    return rows.with_column(target, pa.array([model.classes[int(code)] for code in truth]))


@sabotage("nan-flood", check="column-drift")
def nan_flood(case: Case) -> Case:
    """60 % of one column go missing half way."""
    name, random = _lead(case), np.random.default_rng(0)

    def change(rows: Table) -> Table:
        gone = _second_half(rows) & (random.random(rows.rows) < 0.6)
        return rows.with_column(name, pa.array(rows.numbers(name), mask=gone | np.isnan(rows.numbers(name))))

    return changed(case, change)


@sabotage("hundredfold", check="column-drift")
def hundredfold(case: Case) -> Case:
    """One column comes a hundred times too large half way."""
    name = _lead(case)
    return changed(case, lambda rows: rows.with_column(
        name, np.where(_second_half(rows), 100.0, 1.0) * rows.numbers(name)))


@sabotage("unit-change", check="column-drift")
def unit_change(case: Case) -> Case:
    """One row in two of the second half carries another unit, as °F for °C."""
    name, random = _lead(case), np.random.default_rng(0)
    return changed(case, lambda rows: rows.with_column(name, np.where(
        _second_half(rows) & (random.random(rows.rows) < 0.5), 32 + 1.8 * rows.numbers(name), rows.numbers(name))))


@sabotage("labels-hidden", check="estimated-performance")
def labels_hidden(case: Case) -> Case:
    """Traffic moves to where the model is unsure, and no label tells."""
    model: Model = case["model"]

    def change(rows: Table) -> Table:
        score = model.score(rows)
        if model.task == "regression":
            return rows.take(np.argsort(score)[-rows.rows // 5 :])
        sure = score.max(axis=1) if score.ndim == 2 else np.maximum(score, 1 - score)
        return rows.take(np.sort(np.argsort(sure)[: rows.rows // 3]))

    found = changed(case, change)
    return tallied(found, log=found["log"])


@sabotage("silent-accuracy-loss", check="harm")
def silent_accuracy_loss(case: Case) -> Case:
    """The same rows, but in the second half three outcomes in ten are turned round."""
    random = np.random.default_rng(0)
    return changed(case, lambda rows: turned(
        rows, case["model"], _second_half(rows) & (random.random(rows.rows) < 0.3)))


@sabotage("labels-swapped", check="harm")
def labels_swapped(case: Case) -> Case:
    """From half way the labels name the other class."""
    return changed(case, lambda rows: turned(rows, case["model"], _second_half(rows)))


@sabotage("bad-news-late", check="late-labels")
def bad_news_late(case: Case) -> Case:
    """Labels of wrong answers take twenty days longer."""
    found = served(case, 0)
    log, labels = found["log"], found["labels"]
    wrong = log.words("decision") != labels.words("label")
    if not case["model"].classes:
        gap = np.abs(log.numbers("score") - labels.numbers("label"))
        wrong = gap > np.median(gap)
    at = (labels.numbers("observed_at") * 1e6).astype(np.int64) + np.where(wrong, 20 * DAY, 0)
    return tallied(found, log=log, labels=labels.with_column("observed_at", _times(at)))


@sabotage("outcomes-more-frequent", check="prediction-bias")
def outcomes_more_frequent(case: Case) -> Case:
    """One row in seven of the last class did not use to be."""
    random, model = np.random.default_rng(0), case["model"]

    def change(rows: Table) -> Table:
        hit = random.random(rows.rows) < 1 / 7
        target = model.sheet.target
        if not model.classes:
            return rows.with_column(target, rows.numbers(target) + hit * 3 * np.nanstd(rows.numbers(target)))
        words = rows.words(target)
        words[hit] = model.classes[-1]
        return rows.with_column(target, pa.array(words, pa.string()))

    return changed(case, change)


@sabotage("far-rows", check="outlier-rate")
def far_rows(case: Case) -> Case:
    """Two rows in a hundred lie far outside in every number."""
    return changed(case, lambda rows: _far(case, rows, 0.02))


def _far(case: Case, rows: Table, share: float) -> Table:
    hit = np.random.default_rng(0).random(rows.rows) < share
    names = set(case["model"].features.columns)
    for column in case["parts"].holdout.schema.columns:
        if column.kind == "number" and column.name in names:
            values = rows.numbers(column.name)
            far = np.nanmax(values) + 2 * (np.nanmax(values) - np.nanmin(values))
            rows = rows.with_column(column.name, np.where(hit, far, values))
    return rows


@sabotage("relation-turned", check="concept-drift")
def relation_turned(case: Case) -> Case:
    """The rows stay, but above the median of one column the outcome is mostly the other one from half way."""
    name, random = _lead(case), np.random.default_rng(0)

    def change(rows: Table) -> Table:
        values = rows.numbers(name)
        above = _second_half(rows) & (values > np.nanmedian(values))
        return turned(rows, case["model"], above & (random.random(rows.rows) < 0.6))

    return changed(case, change)


@sabotage("decides-its-own-labels", check="feedback")
def decides_its_own_labels(case: Case) -> Case:
    """Four labels in five exist only because of the decision."""
    found = served(case, 0)
    log: Table = found["log"]
    hit = np.random.default_rng(0).random(log.rows) < 0.8
    return tallied(found, log=log.with_column("influenced", pa.array(hit)), labels=found["labels"])


@sabotage("trained-without-propensity", check="feedback")
def trained_without_propensity(case: Case) -> Case:
    """One labelled row in ten has no propensity."""
    found = served(case, 0)
    log: Table = found["log"]
    gone = np.random.default_rng(0).random(log.rows) < 0.1
    log = log.with_column("propensity", pa.array(np.full(log.rows, 0.9), mask=gone))
    return tallied(found, log=log, labels=found["labels"])


@sabotage("one-source-turned", check="no-poison")
def one_source_turned(case: Case) -> Case:
    """One source turns its labels round where the model was surest, eight in a hundred of them."""
    found = served(case, 0)
    log, labels, model = found["log"], found["labels"], case["model"]
    place = np.flatnonzero(labels.words("source") == "south")
    score = log.numbers("score")[place]
    surest = place[np.argsort(-np.abs(score - np.median(score)))[: max(1, int(0.08 * len(place)))]]
    if not model.classes:
        values = labels.numbers("label").copy()
        values[surest] += 5 * np.nanstd(values)
        return {**found, "labels": labels.with_column("label", values)}
    words, names = labels.words("label"), list(model.classes)
    for row in surest:
        words[row] = names[(names.index(words[row]) + 1) % len(names)]
    return {**found, "labels": labels.with_column("label", pa.array(words, pa.string()))}


@sabotage("blind-reference", check="alarm-drill")
def blind_reference(case: Case) -> Case:
    """The reference was made from rows whose columns were all missing."""
    parts: Parts = case["parts"]

    def blank(table: Table) -> Table:
        for name in case["model"].features.columns:
            table = table.with_column(name, pa.nulls(table.rows, table.column(name).type))
        return table

    return {**case, "grid": case["steps"].reference(case["model"], blank(parts.tune), blank(parts.holdout))}


@sabotage("deaf-reference", check="alarm-drill")
def deaf_reference(case: Case) -> Case:
    """The reference was made with labels of other rows, so that any error looks normal."""
    return {**case, "grid": _with_other_labels(case)}


@sabotage("dirty-calibration", check="outlier-drill")
def dirty_calibration(case: Case) -> Case:
    """One calibration row in twenty was an outlier itself."""
    parts: Parts = case["parts"]
    return {**case, "grid": case["steps"].reference(case["model"], parts.tune, _far(case, parts.holdout, 0.05))}


@sabotage("wrong-reference-risk", check="drift-drill")
def wrong_reference_risk(case: Case) -> Case:
    """The reference's risk is that of turned labels."""
    return {**case, "grid": _with_other_labels(case)}


def _with_other_labels(case: Case) -> Any:
    parts: Parts = case["parts"]
    holdout = turned(parts.holdout, case["model"], np.ones(parts.holdout.rows, np.bool_))
    return case["steps"].reference(case["model"], parts.tune, holdout)
