"""Debt that no linter sees, because it lies in tables, tokens and the model: what nothing needs, and who feeds on what.

Source: Sculley et al. (2015), "Hidden technical debt in machine learning systems": epsilon features, undeclared
consumers, correction cascades, pipeline jungles, dead experimental flags.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.evidence import Finding, say
from shipworthy.core.found import Catalogue
from shipworthy.core.learned import Parts
from shipworthy.core.ledger import same
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import auc_difference, paired_mean_difference

ROW = "deployment.anti-patterns"
ANSWERS = frozenset({"prediction_id", "propensity"})  # columns that only a log of answers has
STEPS_AFTER = 2  # cleaning and encoding, behind whatever joins
MOST_ROWS, LEAST = 5_000, 200


@check("epsilon-features", row=ROW)
def epsilon_features(model: Model, parts: Parts, *, limit: float = 0.25, gain: float = 0.0005) -> Finding:
    """Whether few of the inputs are such that nothing is lost without them: at most the limit, as a share.

    An input is idle where drawing its values at random costs less AUC than `gain` on new rows, and the interval of the
    cost holds 0. For other targets the loss of accuracy, or of R². It fails on the point value; two inputs that tell
    the same may both look idle, so take out one at a time.
    """
    table = parts.holdout.take(np.arange(min(parts.holdout.rows, MOST_ROWS)))
    if table.rows < LEAST:
        return say("unknown", f"{table.rows} holdout rows are fewer than {LEAST}.", n=table.rows)
    inputs, truth = model.inputs(table), model.truth(table)
    score, random = model.program.score(inputs), np.random.default_rng(0)
    idle = []
    for place, each in enumerate(model.program.inputs):
        drawn = inputs.copy()
        drawn[:, place] = drawn[random.permutation(len(drawn)), place]
        cost, low, _ = _cost(model, np.asarray(truth), score, model.program.score(drawn))
        if cost < gain and (low <= 0 or low != low):
            idle.append(each.name)
    share = len(idle) / max(1, len(model.program.inputs))
    told = f": {', '.join(idle[:8])}" if idle else ""
    helps = f"take out {idle[0]}: [data] set_aside, and see whether a requirement suffers" if share > limit else ""
    return say("fail" if share > limit else "pass", f"Without {len(idle)} of {len(model.program.inputs)} inputs "
               f"nothing is lost{told} ({limit:.0%} is allowed; {table.rows:,} new rows).", value=share, limit=limit,
               n=table.rows, counterexample={"idle": idle}, remedy=helps)


@check("undeclared-consumers", row=ROW)
def undeclared_consumers(project: Project, holders: tuple[str, ...]) -> Finding:
    """Whether everybody who may ask for answers is declared in [project] consumers, by the holder of the token.

    holders: of the tokens that are good today, and "anonymous" where anybody may ask without one.
    """
    declared = project.project.consumers
    unknown = [who for who in holders if not any(same(who, one) for one in declared)]
    if not holders:
        return say("not-applicable", "Nobody may ask for answers: there is no token, and the server is not open.")
    if unknown and not declared and holders == ("anonymous",):
        return say("unknown", "Anybody who reaches the server may ask, so nobody knows who uses the answers.",
                   n=len(holders), remedy="shipworthy token create, and [project] consumers with the holders' names")
    if unknown:
        return say("fail", f"{len(unknown)} of {len(holders)} who may ask are not declared: {', '.join(unknown[:5])}.",
                   value=float(len(unknown)), limit=0.0, n=len(holders),
                   remedy=f'[project] consumers = ["{unknown[0]}"], or: shipworthy token revoke')
    return say("pass", f"All {len(holders)} who may ask are declared.", value=0.0, limit=0.0, n=len(holders))


@check("correction-cascades", row=ROW)
def correction_cascades(project: Project, model: Model, catalogue: Catalogue) -> Finding:
    """Whether no input of the model is the answer of a model: a column of a log of answers, or one declared as such.

    Declared are [data] answers; a table with a prediction id is a log of answers.
    """
    logs = {table.name for table in catalogue.tables if ANSWERS & set(table.columns)}
    fed = [column for column in model.features.columns
           if catalogue.trace.get(column) in logs or column in project.data.answers]
    if fed:
        return say("fail", f"{len(fed)} inputs are answers of a model: {', '.join(fed[:5])}; when that one changes, "
                   "this one is wrong.", value=float(len(fed)), limit=0.0, n=len(model.features.columns),
                   counterexample={"inputs": fed}, remedy=f"learn from what {fed[0]} was made of; "
                   f'or [data] set_aside = ["{fed[0]}"]')
    return say("pass", f"None of {len(model.features.columns)} columns that the model reads is known to be the answer "
               "of a model.", value=0.0, limit=0.0, n=len(model.features.columns))


@check("jungle-depth", row=ROW)
def jungle_depth(project: Project, model: Model, catalogue: Catalogue, *, limit: int = 5) -> Finding:
    """Whether no column comes to the model by more steps than the limit: joins, then cleaning, then encoding."""
    base = project.data.table or (project.source[0].called if project.source else "")
    hops = {base: 0}
    joins = [join for join in catalogue.joins if join.used]
    for _ in joins:
        hops |= {join.right: hops[join.left] + 1 for join in joins if join.left in hops and join.right not in hops}
    depth = {column: hops.get(catalogue.trace.get(column, base), 0) + STEPS_AFTER for column in model.features.columns}
    deepest = max(depth, key=lambda column: depth[column], default="")
    most = depth.get(deepest, 0)
    return say("pass" if most <= limit else "fail", f"{deepest} comes to the model by {most} steps, "
               f"{most - STEPS_AFTER} of them joins ({limit} are allowed).", value=float(most), limit=float(limit),
               n=len(depth), remedy="" if most <= limit else f"write {deepest} into a table nearer to "
               f"{base or 'the first'}, once, with an owner")


@check("dead-flags", row=ROW)
def dead_flags(model: Model, table: Table, *, days: int = 90) -> Finding:
    """Whether every column with two values that the model reads still varied in the last days: else it is a dead flag.

    A flag that varies before and stands still for so long only costs. Needs a time column that spans more.
    """
    time = table.schema.one("time")
    if time is None:
        return say("not-applicable", "No column says when a row came to be, [data] time, so nothing stands still.")
    at = table.data[time.name]
    last, first = pc.max(at).as_py(), pc.min(at).as_py()
    if last is None or last - first <= timedelta(days=days):
        return say("not-applicable", f"The rows span no more than {days} days.")
    recent = np.asarray(pc.greater(at, pa.scalar(last - timedelta(days=days), at.type)).to_numpy(), np.bool_)
    flags = [name for name in model.features.columns if len(_values(table, name)) == 2]
    dead = [name for name in flags if len(_values(table.take(np.flatnonzero(recent)), name)) == 1]
    if dead:
        return say("fail", f"{len(dead)} of {len(flags)} flags did not change in the last {days} days: "
                   f"{', '.join(dead[:5])}.", value=float(len(dead)), limit=0.0, n=int(recent.sum()),
                   counterexample={"flags": dead}, remedy=f'take it out: [data] set_aside = ["{dead[0]}"]')
    return say("pass", f"None of {len(flags)} flags stood still in the last {days} days.", value=0.0, limit=0.0,
               n=int(recent.sum()))


def _cost(model: Model, truth: Floats, score: Floats, drawn: Floats) -> tuple[float, float, float]:
    """What the drawn values cost, with the interval: AUC, accuracy, or R²."""
    if model.task == "binary":
        return auc_difference(truth, score, drawn)
    if model.task == "multiclass":
        return paired_mean_difference(model.decide(score) == truth, model.decide(drawn) == truth)
    spread = float(np.var(truth)) or 1.0
    return paired_mean_difference((drawn - truth) ** 2 / spread, (score - truth) ** 2 / spread)


def _values(table: Table, name: str) -> set[str]:
    return {str(value) for value in pc.unique(table.data[name]).to_pylist() if value is not None}
