"""Does the model beat a trivial rule and the champion, on rows that nothing was chosen by, and is it credible?"""

from __future__ import annotations

import numpy as np

from shipworthy.core.case import Book
from shipworthy.core.evidence import Finding, Verdict, say, settled
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.rows import also_in, groups
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.core.words import counted
from shipworthy.marks import check
from shipworthy.metrics.classification import auc
from shipworthy.metrics.intervals import auc_difference, paired_mean_difference
from shipworthy.metrics.losses import row_losses
from shipworthy.metrics.regression import r2
from shipworthy.verification.requirements.trivial import LAST, last_value, trivial

LEAST = 50
ONE_ERROR = 0.6827  # the level of an interval of one standard error either way
LATE = ("give the model the last answer as a column, if it is known in time; if it is not, say how late answers come: "
        "[checks.beats-trivial] delay_hours")
SINGLE = 20_000
TRIVIAL = 30_000


@check("beats-trivial", row="verification.performance")
def beats_trivial(model: Model, parts: Parts, project: Project, *, delay_hours: float = 0.0) -> Finding:
    """Whether the loss is lower than that of every trivial rule, at the pessimistic end of the paired difference.

    Loss: log loss, or squared error. Rules: the prior (or mean), the best split of one input, both fitted on learn
    rows; and where rows are split in time, the last answer known, of the same group where the schema names one.
    delay_hours: how long after its row an answer becomes known.
    """
    holdout = parts.holdout
    if holdout.rows < LEAST:
        return say("unknown", f"The holdout has {holdout.rows} rows, fewer than {LEAST}.", n=holdout.rows)
    truth = model.truth(holdout)
    own = row_losses(model.score(holdout), truth, model.task)
    learn = parts.learn.spread(TRIVIAL)
    rules = trivial(model, model.inputs(learn), model.truth(learn), model.inputs(holdout))
    if project.split.kind == "time":
        rules |= last_value(model, parts, delay_seconds=3_600 * delay_hours)
    theirs = {name: row_losses(score, truth, model.task) for name, score in rules.items()}
    name = min(theirs, key=lambda rule: float(theirs[rule].mean()))
    gain, low, high = paired_mean_difference(theirs[name], own, groups=groups(holdout))
    scale = float(theirs[name].mean()) or 1.0
    verdict: Verdict = "unknown" if low != low else "pass" if low > 0 else "fail"
    loss = "squared error" if model.task == "regression" else "log loss"
    than = f"{abs(gain / scale):.1%} {'lower' if gain >= 0 else 'higher'} than that of the best trivial rule ({name})"
    return say(verdict, f"The model's {loss} is {than}, {_at_least(low / scale)}, on {holdout.rows:,} holdout rows.",
               value=gain, low=low, high=high, limit=0.0, n=holdout.rows,
               remedy="" if verdict == "pass" else LATE if name == LAST else _to_blame(model, parts, gain))


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
    truth, new, old, alike = model.truth(rows), model.score(rows), champion.score(rows), groups(rows)
    if model.task == "binary":
        return "AUC", auc_difference(truth, new, old, groups=alike)
    if model.task == "multiclass":
        right = [np.asarray(one.decide(score) == truth, np.float64) for one, score in ((model, new), (champion, old))]
        return "share of right decisions", paired_mean_difference(right[0], right[1], groups=alike)
    loss = [row_losses(score, truth, model.task) for score in (old, new)]
    scale = float(loss[0].mean()) or 1.0
    return "relative squared error", paired_mean_difference(loss[0] / scale, loss[1] / scale, groups=alike)


@check("holdout-untouched", row="verification.performance")
def holdout_untouched(
    book: Book, project: Project, model: Model, parts: Parts, *, limit: int = 1, ladder: bool = False
) -> Finding:
    """Whether the holdout has judged no other model before: rows that helped to choose cannot judge.

    limit: different models that one holdout may judge, this one included. ladder: a model beyond the limit counts all
    the same if its loss is lower than that of the best before it by more than one standard error of the difference.
    Source: Dwork et al. (2015), The reusable holdout; Blum and Hardt (2015), The Ladder.
    """
    told = "this model alone" if book.models == 1 else f"{book.models} different models"
    life = f"the project has read {counted(book.holdouts, 'holdout')} in its lifetime"
    about = f"These holdout rows have judged {told}; {limit} is allowed, and {life}."
    if book.models <= limit:
        return say("pass", about, value=float(book.models), limit=float(limit), n=1)
    if ladder and book.best is not None:
        return _rung(about, model, book.best, parts.holdout)
    return say("fail", about, value=float(book.models), limit=float(limit), n=1, remedy=_new_rows(project, book.models))


def _new_rows(project: Project, models: int) -> str:
    """How other rows come to judge."""
    kind, seed = project.split.kind, project.split.seed
    other = ("take newer rows, with later dates in [split] learn_until, tune_until and holdout_until (a seed changes "
             "nothing where rows are split in time)" if kind == "time" else
             f"hold out others by the next seed: [split] seed = {seed + 1}; or add new "
             f"{'groups' if kind == 'grouped' else 'rows'}")
    return (f"{other}; then: shipworthy run. If the score had no part in what you changed, as when a leak is set "
            f"aside, say so: [checks.holdout-untouched] limit = {models}")


def _rung(about: str, model: Model, best: Model, holdout: Table) -> Finding:
    """The finding by the Ladder: whether the loss fell below that of the best before by one standard error."""
    truth = model.truth(holdout)
    loss = [row_losses(one.score(holdout), truth, model.task) for one in (best, model)]
    gain, low, _ = paired_mean_difference(loss[0], loss[1], groups=groups(holdout), level=ONE_ERROR)
    verdict: Verdict = "pass" if low > 0 else "fail"
    more = "more" if low > 0 else "not more"
    return say(verdict, f"{about} By the Ladder it counts if its loss is lower than that of the best before by one "
               f"standard error: it is lower by {gain:.4f}, which is {more} than that.", value=gain, low=low, limit=0.0,
               n=len(truth), remedy="" if verdict == "pass" else "keep the best before, or hold out rows that were "
               "never read")


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
