"""Planted faults in labels, their delay, the audit and the groups of traffic, and twins without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from shipworthy.core.chosen import level_of, levels
from shipworthy.core.clock import DAY
from shipworthy.core.model import Model
from shipworthy.core.table import Table
from shipworthy.errors import BadData
from shipworthy.marks import sabotage, twin
from shipworthy.sabotage.deployment_monitoring import fresh_rows, logged, served, tallied, turned, with_grid

Case = Mapping[str, Any]
AUDIT = 0.5
TIMES = 4


@twin("audited-performance")
def half_of_all_is_audited(case: Case, seed: int) -> Case:
    """Labels that err as on the holdout, for half of all answers, chosen by chance."""
    return audited(case, seed, lambda rows, model: rows)


@sabotage("errors-that-only-an-audit-sees", check="audited-performance")
def errors_that_only_an_audit_sees(case: Case) -> Case:
    """Three outcomes in ten are turned round; only answers that the audit chose are ever labelled."""
    random = np.random.default_rng(0)
    return audited(case, 0, lambda rows, model: turned(rows, model, random.random(rows.rows) < 0.3))


def audited(case: Case, seed: int, change: Callable[[Table, Model], Table]) -> Case:
    """The case with an audit declared, and labels of nothing else."""
    watch = msgspec.structs.replace(case["project"].watch, audit=AUDIT)
    project = msgspec.structs.replace(case["project"], watch=watch)
    rows = many(case, seed)
    found = logged(case["model"], change(rows, case["model"]), seed)
    chosen = levels(found["labels"].words("prediction_id")) <= level_of(AUDIT)
    return tallied({**with_grid(case), "project": project}, log=found["log"], labels=found["labels"].take(chosen))


def many(case: Case, seed: int) -> Table:
    """Several times the usual traffic."""
    rows = [fresh_rows(case, TIMES * seed + k) for k in range(TIMES)]
    return Table(pa.concat_tables([one.data for one in rows]), rows[0].schema, rows[0].name, rows[0].origin)


@sabotage("one-outcome-late", check="late-labels")
def one_outcome_late(case: Case) -> Case:
    """Labels of the second of two classes take twenty days longer, whether or not the answer was right."""
    if len(case["model"].classes) != 2:
        raise BadData("outcomes of two classes are needed", where="the ground", hint="plant it in another table")
    found = served(case, 0)
    labels: Table = found["labels"]
    slow = labels.words("label") == case["model"].classes[1]
    at = (labels.numbers("observed_at") * 1e6).astype(np.int64) + np.where(slow, 20 * DAY, 0)
    return tallied(found, log=found["log"],
                   labels=labels.with_column("observed_at", pa.array(at, pa.timestamp("us", "UTC"))))


@sabotage("only-one-outcome-told", check="late-labels")
def only_one_outcome_told(case: Case) -> Case:
    """Only cases of the last class are ever reported."""
    if not case["model"].classes:
        raise BadData("classes are needed", where="the ground", hint="plant it in another table")
    found = served(case, 0)
    labels: Table = found["labels"]
    return tallied(found, log=found["log"], labels=labels.take(labels.words("label") == case["model"].classes[-1]))


@sabotage("one-decile-off", check="prediction-bias")
def one_decile_off(case: Case) -> Case:
    """Where the model is in doubt half of the outcomes turn round, so that the mean of all hardly moves."""
    model, random = case["model"], np.random.default_rng(0)
    rows = many(case, 0)
    score = model.score(rows)
    if score.ndim > 1:
        score = score.max(axis=1)
    edge = np.quantile(score, (0.8, 0.9))
    hit = (score > edge[0]) & (score <= edge[1]) & (random.random(rows.rows) < 0.7)
    return tallied(with_grid(case), **logged(model, turned(rows, model, hit)))


@twin("fairness-over-time")
def groups_alike(case: Case, seed: int) -> Case:
    """Two groups whose answers differ by chance alone."""
    return grouped(case, seed, 0.0)


@sabotage("a-group-is-turned-away", check="fairness-over-time")
def a_group_is_turned_away(case: Case) -> Case:
    """In the second half most of one group's favourable answers become unfavourable before they leave."""
    return grouped(case, 0, 0.6)


def grouped(case: Case, seed: int, share: float) -> Case:
    """The case with two protected groups in its traffic, one of them turned away in the second half."""
    model, project = case["model"], case["project"]
    if len(model.classes) != 2:
        raise BadData("two classes are needed", where="the ground", hint="plant it in another table")
    fair = msgspec.structs.replace(project.fairness, criterion="impact-ratio", limit=0.8, favourable="")
    project = msgspec.structs.replace(project, fairness=fair,
                                      data=msgspec.structs.replace(project.data, protected=("band",)))
    random, parts, rows = np.random.default_rng([17, seed]), case["parts"], many(case, seed)
    banded = [band(part, random) for part in (parts.learn, parts.tune, parts.holdout, rows)]
    grid = case["steps"].reference(model, banded[1], banded[2])
    found = logged(model, rows, seed)
    log, group = found["log"], np.array(banded[3].words("band"), np.str_)
    said = log.words("decision")
    hit = ((np.arange(log.rows) >= log.rows // 2) & (group == "b") & (said == model.classes[1])
           & (random.random(log.rows) < share))
    said = np.where(hit, model.classes[0], said)
    log = log.with_column("band", pa.array(group)).with_column("decision", pa.array(list(said), pa.string()))
    tallies = case["steps"].tally(model, grid, log, found["labels"], project=project)
    return {**case, "project": project, "grid": grid, "log": log, "labels": found["labels"], "tallies": tallies}


def band(rows: Table, random: np.random.Generator) -> Table:
    """The rows with a protected column of two groups that has nothing to do with anything."""
    found = rows.with_column("band", pa.array(random.choice(["a", "b"], rows.rows)))
    return found.with_schema(found.schema.replace("band", role="ignored", protected=True))
