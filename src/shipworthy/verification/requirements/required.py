"""Does every declared requirement hold at its pessimistic end, over all rows and in every segment named?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from shipworthy.core.evidence import Finding, Verdict, held, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project, Requirement
from shipworthy.core.rows import groups
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.errors import BadProject, one_of
from shipworthy.marks import check
from shipworthy.metrics import METRICS, Metric
from shipworthy.metrics.arrays import Array
from shipworthy.metrics.intervals import auc_interval, benjamini_hochberg, bootstrap, clopper_pearson, normal_tail

LEAST = 50
MOST = 20_000
EVERY = "*"
ORDER: tuple[Verdict, ...] = ("fail", "unknown", "pass")


class Figure(NamedTuple):
    """One metric on one segment, held to its limit. told: the sentence."""

    verdict: Verdict
    told: str
    name: str
    value: float
    low: float
    high: float
    limit: float
    rows: int


@check("requirements", row="verification.performance")
def requirements(
    project: Project, model: Model, parts: Parts, metrics: Mapping[str, Metric] = METRICS, *, draws: int = 2000
) -> Finding:
    """Whether every declared requirement holds at the pessimistic end of its 95 % interval on the holdout.

    AUC of two classes by DeLong, shares by Clopper and Pearson, everything else by bootstrap; whole groups are redrawn
    where the schema names a group. A segment whose value is "*" is a family: every value of that column with 50 rows or
    more must hold; those under the limit by more than chance, Benjamini and Hochberg at 5 %, fail, the others that do
    not hold are unknown. metrics: those that a requirement may name.
    """
    if not project.requirement:
        return say("not-applicable", "No requirement is declared, so the model is held to beating a trivial rule only.",
                   remedy="declare one: [[requirement]] metric = \"auc\", at_least = 0.8")
    figures = [figure for one in project.requirement for figure in _figures(model, parts.holdout, one, metrics, draws)]
    first = min(figures, key=lambda figure: ORDER.index(figure.verdict))
    told = " ".join(figure.told for figure in figures if figure.told)
    bars = {"kind": "bars", "name": [f.name for f in figures], "value": [f.value for f in figures],
            "low": [f.low for f in figures], "high": [f.high for f in figures], "limit": [f.limit for f in figures]}
    return say(first.verdict, told, value=first.value, low=first.low, high=first.high, limit=first.limit, n=first.rows,
               chart=bars,
               remedy="" if first.verdict == "pass" else "give it more rows or better features, or argue the "
                                                         "requirement: shipworthy checklist verification.performance")


def _figures(model: Model, holdout: Table, one: Requirement, metrics: Mapping[str, Metric], draws: int) -> list[Figure]:
    """The figure of a requirement, or one for every value of the column that it names with a star."""
    metric = _metric(model, one, metrics)
    stars = [column for column, value in one.segment.items() if value == EVERY]
    if not stars:
        return [_figure(model, holdout, one, metric, draws)]
    levels = [dict(zip(stars, found, strict=True)) for found in sorted(
        set(zip(*(map(str, holdout.words(column)) for column in stars), strict=True)))]
    each = [msgspec.structs.replace(one, segment={**one.segment, **level}) for level in levels]
    seen = [_figure(model, holdout, part, metric, draws) for part in each
            if _segment(holdout, part).rows >= LEAST]
    thin = len(each) - len(seen)
    if not seen:
        return [_figure(model, holdout.head(0), one, metric, draws)]
    return _family(seen, at_most=metric.direction == "lower", thin=thin)


def _family(seen: list[Figure], *, at_most: bool, thin: int) -> list[Figure]:
    """Segments as one family: those that fail by more than chance over all of them fail, the other weak ones are
    unknown. Only weak segments are told one by one."""
    sign = 1.0 if at_most else -1.0
    away = np.array([sign * (one.value - one.limit) / max((one.high - one.low) / 3.92, 1e-12) for one in seen])
    sure = benjamini_hochberg(np.array([normal_tail(z) for z in away]), q=0.05)
    judged = [one if one.verdict == "pass" else one._replace(
        verdict="fail" if bad else "unknown",
        told=one.told if bad else one.told.replace("does not hold", "cannot be told"))
        for one, bad in zip(seen, sure, strict=True)]
    few = f", {thin} with fewer than {LEAST} rows were not judged" if thin else ""
    fine = sum(one.verdict == "pass" for one in judged)
    weak = [one._replace(told="") if one.verdict == "pass" else one for one in judged]
    last = f"{seen[0].name.split(' = ')[0]}: {fine} of {len(seen)} segments hold{few}."
    return [*weak[:-1], weak[-1]._replace(told=f"{weak[-1].told} {last}".strip())]


def _metric(model: Model, one: Requirement, metrics: Mapping[str, Metric]) -> Metric:
    metric = metrics.get(one.metric)
    if metric is None:
        raise BadProject(f'there is no metric "{one.metric}"', where="[[requirement]]",
                         hint=one_of(one.metric, metrics))
    if model.task not in metric.task:
        raise BadProject(f"{one.metric} is not defined for a {model.task} target", where="[[requirement]]",
                         hint="use one of "
                              f"{', '.join(sorted(m.name for m in metrics.values() if model.task in m.task))}")
    return metric


def _figure(model: Model, holdout: Table, one: Requirement, metric: Metric, draws: int) -> Figure:
    rows, name, (limit, at_most) = _segment(holdout, one), _name(one), _limit(one, metric)
    if rows.rows < LEAST:
        few = f"{name} rests on {rows.rows} rows, fewer than {LEAST}."
        return Figure("unknown", few, name, np.nan, np.nan, np.nan, limit, rows.rows)
    truth, answer = model.truth(rows), asked(model, model.score(rows), metric.needs)
    value = metric.function(truth, answer)
    low, high = _ends(metric, truth, answer, groups(rows), draws)
    verdict = held(value, limit=limit, low=low, high=high, at_most=at_most)
    end, sign = (high, "at most") if at_most else (low, "at least")
    verb = "holds" if verdict == "pass" else "does not hold" if verdict == "fail" else "cannot be told"
    side = "up to" if at_most else "down to"
    return Figure(verdict, f"{name} is {value:.3f}, {side} {end:.3f}, on {rows.rows:,} holdout rows; "
                  f"{sign} {limit:g} {verb}.", name, value, low, high, limit, rows.rows)


def _limit(one: Requirement, metric: Metric) -> tuple[float, bool]:
    """The one limit of a requirement, and whether it is the most allowed.

    Raises BadProject for none, for two, and for one on the wrong side, which every bad model would keep.
    """
    side, other = ("at_least", "at_most") if metric.direction == "higher" else ("at_most", "at_least")
    limit: float | None = getattr(one, side)
    against: float | None = getattr(one, other)
    if limit is None and against is None:
        raise BadProject(f"{one.metric} has no limit", where="[[requirement]]", hint=f"add {side}")
    if limit is None:
        raise BadProject(f"of {one.metric} {metric.direction} is better: {other} = {against:g} asks for a bad model",
                         where="[[requirement]]", hint=f"write {side} = {against:g}")
    if against is not None:
        raise BadProject(f"{one.metric} has two limits, {side} = {limit:g} and {other} = {against:g}",
                         where="[[requirement]]", hint=f"keep {side}: of {one.metric} {metric.direction} is better")
    return limit, side == "at_most"


def asked(model: Model, score: Floats, needs: str) -> Floats | Ints:
    """The answer that a metric needs: probabilities, class codes at the deployed threshold, or values."""
    if needs != "decision":
        return score
    return model.decide(score)


def _ends(
    metric: Metric, truth: Floats | Ints, answer: Floats | Ints, alike: Array | None, draws: int
) -> tuple[float, float]:
    if metric.name == "auc" and np.ndim(answer) == 1:
        return auc_interval(truth, answer, groups=alike)
    share = None if alike is not None else _share(metric.name, np.asarray(truth), np.asarray(answer))
    if share is not None:
        return clopper_pearson(*share)
    kept = slice(None) if len(truth) <= MOST else np.random.default_rng(0).permutation(len(truth))[:MOST]
    chosen = None if alike is None else alike[kept]
    return bootstrap(metric.function, np.asarray(truth)[kept], np.asarray(answer)[kept], seed=0, draws=draws,
                     groups=chosen)


def _share(metric: str, truth: Array, answer: Array) -> tuple[int, int] | None:
    """How many of how many a metric counts, for those that are the share of rows; None for all others."""
    of = {"accuracy": np.ones(len(truth), np.bool_), "recall": truth == 1, "precision": answer == 1,
          "false_positive_rate": truth == 0}.get(metric)
    if of is None:
        return None
    hit = answer == truth if metric != "false_positive_rate" else answer == 1
    return int(np.sum(hit & of)), int(np.sum(of))


def _segment(rows: Table, one: Requirement) -> Table:
    kept = np.ones(rows.rows, np.bool_)
    for column, value in one.segment.items():
        kept &= rows.words(column) == value
    return rows.take(kept)


def _name(one: Requirement) -> str:
    where = " and ".join(f"{column} = {value}" for column, value in one.segment.items())
    return f"{one.metric} where {where}" if where else one.metric
