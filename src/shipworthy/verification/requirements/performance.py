"""Does every requirement hold at its pessimistic end, on rows that nothing was chosen by?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shipworthy.core.evidence import Finding, Verdict, held, say, settled
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project, Requirement
from shipworthy.core.rows import also_in
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.errors import BadProject, one_of
from shipworthy.marks import check
from shipworthy.metrics import METRICS, Metric
from shipworthy.metrics.arrays import Array
from shipworthy.metrics.classification import auc
from shipworthy.metrics.intervals import auc_difference, auc_interval, bootstrap, paired_mean_difference
from shipworthy.metrics.losses import row_losses
from shipworthy.metrics.regression import r2
from shipworthy.verification.requirements.trivial import trivial

LEAST = 50
NEW_ROWS = {
    "time": "newer rows, with later dates in [split] learn_until, tune_until and holdout_until (a seed changes nothing "
            "where rows are split in time)",
    "grouped": "new groups, or others by another [split] seed",
    "stratified": "new rows, or others by another [split] seed",
    "random": "new rows, or others by another [split] seed",
}
SINGLE = 20_000
TRIVIAL = 30_000
MOST = 20_000


@check("requirements", row="verification.performance")
def requirements(
    project: Project, model: Model, parts: Parts, metrics: Mapping[str, Metric] = METRICS, *, draws: int = 1000
) -> Finding:
    """Whether every declared requirement holds at the pessimistic end of its 95 % interval on the holdout.

    AUC of two classes by DeLong, everything else by bootstrap, whole groups redrawn where the schema names a group.
    metrics: those that a requirement may name.
    """
    if not project.requirement:
        return say("not-applicable", "No requirement is declared, so the model is held to beating a trivial rule only.",
                   remedy="declare one: [[requirement]] metric = \"auc\", at_least = 0.8")
    figures = [_figure(model, parts.holdout, one, metrics, draws) for one in project.requirement]
    verdicts = [verdict for verdict, *_ in figures]
    order: tuple[Verdict, ...] = ("fail", "unknown", "pass")
    worst = next(v for v in order if v in verdicts)
    first = next(n for n, verdict in enumerate(verdicts) if verdict == worst)
    _, _, value, low, high, limit, rows = figures[first]
    told = " ".join(figure[1] for figure in figures)
    bars = {"kind": "bars", "name": [one.metric for one in project.requirement], "value": [f[2] for f in figures],
            "low": [f[3] for f in figures], "high": [f[4] for f in figures], "limit": [f[5] for f in figures]}
    return say(worst, told, value=value, low=low, high=high, limit=limit, n=rows, chart=bars,
               remedy="" if worst == "pass" else "give it more rows or better features, or argue the requirement: "
                                                 "shipworthy checklist verification.performance")


def _figure(
    model: Model, holdout: Table, one: Requirement, metrics: Mapping[str, Metric], draws: int
) -> tuple[Verdict, str, float, float, float, float, int]:
    metric = metrics.get(one.metric)
    if metric is None:
        raise BadProject(f'there is no metric "{one.metric}"', where="[[requirement]]",
                         hint=one_of(one.metric, metrics))
    if model.task not in metric.task:
        raise BadProject(f"{one.metric} is not defined for a {model.task} target", where="[[requirement]]",
                         hint="use one of "
                              f"{', '.join(sorted(m.name for m in metrics.values() if model.task in m.task))}")
    rows, name, (limit, at_most) = _segment(holdout, one), _name(one), _limit(one, metric)
    if rows.rows < LEAST:
        few = f"{name} rests on {rows.rows} rows, fewer than {LEAST}."
        return "unknown", few, np.nan, np.nan, np.nan, limit, rows.rows
    truth, answer = model.truth(rows), asked(model, model.score(rows), metric.needs)
    value = metric.function(truth, answer)
    low, high = _ends(metric, truth, answer, _groups(rows), draws)
    verdict = held(value, limit=limit, low=low, high=high, at_most=at_most)
    end, sign = (high, "at most") if at_most else (low, "at least")
    verb = "holds" if verdict == "pass" else "does not hold" if verdict == "fail" else "cannot be told"
    side = "up to" if at_most else "down to"
    return verdict, (f"{name} is {value:.3f}, {side} {end:.3f}, on {rows.rows:,} holdout rows; "
                     f"{sign} {limit:g} {verb}."), value, low, high, limit, rows.rows


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
    metric: Metric, truth: Floats | Ints, answer: Floats | Ints, groups: Array | None, draws: int
) -> tuple[float, float]:
    if metric.name == "auc" and np.ndim(answer) == 1:
        return auc_interval(truth, answer, groups=groups)
    kept = slice(None) if len(truth) <= MOST else np.random.default_rng(0).permutation(len(truth))[:MOST]
    chosen = None if groups is None else groups[kept]
    return bootstrap(metric.function, np.asarray(truth)[kept], np.asarray(answer)[kept], seed=0, draws=draws,
                     groups=chosen)


def _segment(rows: Table, one: Requirement) -> Table:
    kept = np.ones(rows.rows, np.bool_)
    for column, value in one.segment.items():
        kept &= rows.words(column) == value
    return rows.take(kept)


def _name(one: Requirement) -> str:
    where = " and ".join(f"{column} = {value}" for column, value in one.segment.items())
    return f"{one.metric} where {where}" if where else one.metric


def _groups(rows: Table) -> Array | None:
    """(n,) the group of every row, whose rows are not independent; None where the schema names no group."""
    column = rows.schema.one("group")
    return None if column is None else np.array([str(word) for word in rows.words(column.name)])


@check("beats-trivial", row="verification.performance")
def beats_trivial(model: Model, parts: Parts) -> Finding:
    """Whether the loss is lower than that of every trivial rule, at the pessimistic end of the paired difference.

    Loss: log loss, or squared error. Rules: the prior (or mean), and the best split of one input, fitted on learn rows.
    """
    holdout = parts.holdout
    if holdout.rows < LEAST:
        return say("unknown", f"The holdout has {holdout.rows} rows, fewer than {LEAST}.", n=holdout.rows)
    truth = model.truth(holdout)
    own = row_losses(model.score(holdout), truth, model.task)
    learn = parts.learn.spread(TRIVIAL)
    rules = trivial(model, model.inputs(learn), model.truth(learn), model.inputs(holdout))
    theirs = {name: row_losses(score, truth, model.task) for name, score in rules.items()}
    name = min(theirs, key=lambda rule: float(theirs[rule].mean()))
    gain, low, high = paired_mean_difference(theirs[name], own, groups=_groups(holdout))
    scale = float(theirs[name].mean()) or 1.0
    verdict: Verdict = "unknown" if low != low else "pass" if low > 0 else "fail"
    loss = "squared error" if model.task == "regression" else "log loss"
    than = f"{abs(gain / scale):.1%} {'lower' if gain >= 0 else 'higher'} than that of the best trivial rule ({name})"
    return say(verdict, f"The model's {loss} is {than}, {_at_least(low / scale)}, on {holdout.rows:,} holdout rows.",
               value=gain, low=low, high=high, limit=0.0, n=holdout.rows,
               remedy="" if verdict == "pass" else _to_blame(model, parts, gain))


def _at_least(low: float) -> str:
    return f"at the least {low:.1%}" if not low < 0 else f"at the worst {-low:.1%} higher"


def _to_blame(model: Model, parts: Parts, gain: float) -> str:
    """The model where one input alone does better on the holdout than it, and than chance would; else rows or data."""
    value, n = _skill(model, model.truth(parts.holdout), model.score(parts.holdout)), parts.holdout.rows
    name, alone = _best_single(model, parts)
    chance = 10 / n if model.task == "regression" else 0.5 + 3 / np.sqrt(3 * n)
    if alone > max(value, chance):
        what = "R²" if model.task == "regression" else "AUC"
        return (f"the model is at fault, not the data: {name} alone reaches {alone:.3f} {what}, the model "
                f'{value:.3f}; try others: [learning] learners = ["trivial", "linear", "boosted"], or more seconds')
    if gain > 0:
        return "too few rows to be sure of the gain: hold out more, [split] holdout, or collect more"
    return ("the features do not carry the target: look for better columns with shipworthy discover, and at the labels "
            "with shipworthy profile")


@check("not-worse-than-champion", row="verification.performance")
def not_worse_than_champion(
    model: Model, champion: Model, learnt: Table, arrived: Table, *, limit: float = -0.005
) -> Finding:
    """Whether the model is no worse than the one in production by more than the limit.

    Each reads the holdout as it arrived, by its own cleaning. Rows that the champion learnt from do not count: on them
    a champion that fits by heart cannot be beaten. AUC for two classes, share of right decisions for more; for a
    regression the loss relative to the champion's. A difference within the limit whose interval is not is unknown: the
    holdout is too small to tell.
    """
    known = also_in(arrived, learnt)
    rows = arrived.take(~known)
    more = f" ({known.sum():,} more were learnt by the champion)" if known.any() else ""
    told = f"{rows.rows:,} holdout rows{more}"
    if rows.rows < LEAST:
        return say("unknown", f"Against the champion there are {told}, fewer than {LEAST}.", n=rows.rows,
                   remedy="hold out rows that are newer than the champion, or more of them: [split]")
    what, (gap, low, high) = _against(model, champion, rows)
    verdict = settled(gap, limit=limit, low=low, high=high, at_most=False)
    return say(verdict, f"Against the champion the {what} changes by {gap:+.4f}, at the worst {low:+.4f}, on {told}; "
               f"{limit:+g} is allowed.", value=gap, low=low, high=high, limit=limit,
               n=rows.rows, remedy="" if verdict == "pass" else "keep the champion, or hold out more rows")


def _against(model: Model, champion: Model, rows: Table) -> tuple[str, tuple[float, float, float]]:
    """What is compared, and how much higher it is for the model, with its interval; groups of rows count as one."""
    truth, new, old, groups = model.truth(rows), model.score(rows), champion.score(rows), _groups(rows)
    if model.task == "binary":
        return "AUC", auc_difference(truth, new, old, groups=groups)
    if model.task == "multiclass":
        right = [np.asarray(one.decide(score) == truth, np.float64) for one, score in ((model, new), (champion, old))]
        return "share of right decisions", paired_mean_difference(right[0], right[1], groups=groups)
    loss = [row_losses(score, truth, model.task) for score in (old, new)]
    scale = float(loss[0].mean()) or 1.0
    return "relative squared error", paired_mean_difference(loss[0] / scale, loss[1] / scale, groups=groups)


@check("holdout-untouched", row="verification.performance")
def holdout_untouched(book: int, project: Project, *, limit: int = 1) -> Finding:
    """Whether the holdout has judged no other model before: rows that helped to choose cannot judge.

    book: how many different models these rows have judged, this one included.
    Source: Dwork et al. (2015), The reusable holdout.
    """
    verdict: Verdict = "pass" if book <= limit else "fail"
    told = "this model alone" if book == 1 else f"{book} different models"
    return say(verdict, f"These holdout rows have judged {told}; {limit} is allowed.", value=float(book),
               limit=float(limit), n=1, remedy="" if verdict == "pass" else "hold out rows that were never read: "
               f"{NEW_ROWS[project.split.kind]}; if the score had no part in what you changed, as when a leak is "
               f"set aside, say so: [checks.holdout-untouched] limit = {book}")


@check("too-good", row="verification.performance")
def too_good(model: Model, parts: Parts, *, limit: float = 0.99, alone: float = 0.98) -> Finding:
    """Whether the model is too good to be true: AUC or R² above the limit, or one input alone nearly as good.

    limit: of the whole model. alone: of the best single input, ordered by its mean target on the learning rows.
    """
    holdout = parts.holdout
    if holdout.rows < LEAST:
        return say("unknown", f"The holdout has {holdout.rows} rows, fewer than {LEAST}.", n=holdout.rows)
    truth = model.truth(holdout)
    value, what = _skill(model, truth, model.score(holdout)), "R²" if model.task == "regression" else "AUC"
    name, strength = _best_single(model, parts)
    if value > limit or strength > alone:
        best_one = f"the best single input, {name}, reaches {strength:.3f}"
        who = f"{name} alone reaches {strength:.3f}" if strength > alone else best_one
        return say("fail", f"The {what} of {value:.3f} is too good to be true on {holdout.rows:,} rows; {who}.",
                   value=value,
                   limit=limit, n=holdout.rows, remedy="look at the check no-leak: a column written after the outcome "
                   f'was known must go to set_aside; if {value:.3f} is real, raise [checks.too-good] limit')
    verdict: Verdict = "unknown" if value != value else "pass"
    return say(verdict, f"{what} is {value:.3f} and the best single input, {name}, reaches {strength:.3f}: "
               f"nothing is too good to be true on {holdout.rows:,} rows.", value=value, limit=limit, n=holdout.rows)


def _skill(model: Model, truth: Floats | Ints, score: Floats) -> float:
    return r2(truth, score) if model.task == "regression" else auc(truth, score)


def _best_single(model: Model, parts: Parts) -> tuple[str, float]:
    """The input that alone does best on the holdout, by its mean target on learn rows, and its AUC or R²."""
    learn, ask = parts.learn.spread(SINGLE), parts.holdout.spread(SINGLE)
    seen = (model.inputs(learn), model.truth(learn), model.inputs(ask), model.truth(ask))
    single = [_single(model, seen, place) for place in range(len(model.program.inputs))]
    best = int(np.nanargmax([-1.0 if s != s else s for s in single]))
    return model.program.inputs[best].name, single[best]


def _single(model: Model, rows: tuple[Floats, Floats | Ints, Floats, Floats | Ints], place: int) -> float:
    learn, seen, ask, truth = rows[0][:, place], rows[1], rows[2][:, place], rows[3]
    edges = np.unique(learn[np.isfinite(learn)]) if model.program.inputs[place].categorical else np.unique(
        np.quantile(learn[np.isfinite(learn)], np.linspace(0, 1, 65))) if np.isfinite(learn).any() else np.zeros(1)
    cell, there = (np.where(np.isnan(x), 0, 1 + np.searchsorted(edges, x)).astype(np.int64) for x in (learn, ask))
    size = len(edges) + 2
    count = np.bincount(cell, minlength=size)
    outcomes = [seen] if model.task == "regression" else [seen == c for c in range(len(model.classes))]
    means = [(np.bincount(cell, weights=np.asarray(y, np.float64), minlength=size) + np.mean(y)) / (count + 1)
             for y in outcomes]
    if model.task == "multiclass":
        return auc(truth, np.stack([mean[there] for mean in means], axis=1))
    return r2(truth, means[0][there]) if model.task == "regression" else auc(truth, means[1][there])
