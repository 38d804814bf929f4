"""How much of the model do its answers give away? Copies are made with as many answers as one caller may have.

Source: Tramèr et al. (2016), "Stealing machine learning models via prediction APIs".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from shipworthy.assurance.trees import grown
from shipworthy.core.evidence import Finding, Verdict, say, settled
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Mask, Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import paired_mean_difference

CLIP = 1e-3
NEAR = 0.1
LEAST, ASKED, PUBLIC = 100, 4_000, 5_000
ROUNDS, LEAVES, LEAST_LEAF = 200, 31, 5
Learner = Callable[[Floats, Floats, Model], Callable[[Floats], Floats]]


class Copy(NamedTuple):
    """A copy of the model. learner: which, by what answers. queries: natural or drawn. agrees, before: (n,) where its
    decision is the model's, and where that of somebody is who never asked."""

    learner: str
    queries: str
    agrees: Mask
    before: Mask

    @property
    def advantage(self) -> tuple[float, float, float]:
        """What asking adds to the share of decisions that agree, and its 95 % interval over the rows asked."""
        return paired_mean_difference(self.agrees.astype(np.float64), self.before.astype(np.float64))


@check("extraction", row="security.stealing")
def extraction(
    project: Project, model: Model, parts: Parts, quota: int, *, limit: float = 0.02, days: int = 1,
    queries: int = 4_000
) -> Finding:
    """Whether a copy made from as many answers as one caller may have decides as the model does no more often than one
    made without asking, by at most the limit at the upper end.

    quota: rows a day of whoever may ask most; 0 is without limit. Copies are a line and boosted trees on the scores,
    and trees on the decisions, of natural rows and of rows whose columns are drawn one by one. Without asking one has
    the most frequent decision, and a line and trees on labelled rows where every source is declared public. Of more
    than `queries` answers only so many are tried: that can fail, but not pass. days: for how long somebody asks.
    """
    if project.serve.open_weights:
        return say("not-applicable", "The model itself is published, [serve] open_weights = true, so nothing is left "
                   "to steal.")
    if min(parts.learn.rows, parts.holdout.rows) < LEAST:
        return say("unknown", f"{min(parts.learn.rows, parts.holdout.rows)} rows are fewer than {LEAST}.",
                   n=parts.holdout.rows)
    allowed = quota * days
    asked = min(queries, allowed) if quota else queries
    public = bool(project.source) and all(source.public for source in project.source)
    found = copies(model, parts, asked, public=public)
    best = max(found, key=lambda one: one.advantage[0])
    gain, low, high = best.advantage
    verdict: Verdict = settled(gain, limit=limit, low=low, high=high, at_most=True)
    verdict = "unknown" if verdict == "pass" and asked != allowed else verdict
    before = "of a model of public rows" if public else "of the most frequent decision"
    told = "" if quota else "Nothing limits how many rows one caller may ask for, so the model can be copied. "
    means = f"{quota:,} rows a day" if quota else "no limit"
    return say(verdict, f"{told}With {asked:,} answers ({means}) the best copy, {best.learner} on {best.queries} rows, "
               f"decides as the model does on {best.agrees.mean():.1%} of {len(best.agrees):,} new rows, {gain:+.1%} "
               f"beside {best.before.mean():.1%} {before}, at the most {high:+.1%} ({limit:+.0%} is allowed).",
               value=gain, low=low, high=high, limit=limit, n=len(best.agrees),
               counterexample={"copy": [f"{one.learner}, {one.queries}" for one in found],
                               "agrees": [round(float(one.agrees.mean()), 4) for one in found]},
               remedy="" if verdict == "pass" else _defence(quota))


def _defence(quota: int) -> str:
    """What helps against copies: a budget of answers, or to own that the model can be copied."""
    if not quota:
        return ("limit what one caller may ask: [serve] rows_a_day = 500, and open = false, so that everybody needs a "
                "token; rounding the scores is no defence")
    return (f"ask for less than {quota:,} a day: [serve] rows_a_day, and the budgets of the tokens; a simple model is "
            "copied all the same: then own that it is public, [serve] open_weights = true, or accept it for a time: "
            "shipworthy waive security.stealing --by WHO --reason WHY --until DAY")


def copies(model: Model, parts: Parts, asked: int, *, public: bool = False) -> list[Copy]:
    """Every kind of copy from `asked` answers, and where each agrees with the model on new rows, 4,000 at most."""
    random = np.random.default_rng(0)
    order = random.permutation(parts.learn.rows)
    natural = parts.learn.take(order[:asked])
    sides = {"natural": natural, "drawn": marginal(parts.learn, asked, random)}
    new = parts.holdout.take(random.permutation(parts.holdout.rows)[:ASKED])
    inputs, wanted = model.inputs(new), decided(model, model.score(new))
    guesses = [np.full(len(wanted), _usual(wanted))]
    guesses += _unasked(model, parts.learn.take(order[:PUBLIC]), inputs) if public else []
    alone = [agree(guess, wanted, model) for guess in guesses]
    before = max(alone, key=lambda one: float(one.mean()))
    found = []
    for name, learner in LEARNERS.items():
        for side, rows in sides.items():
            copy = learner(model.inputs(rows), model.score(rows), model)
            found.append(Copy(name, side, agree(copy(inputs), wanted, model), before))
    return found


def _unasked(model: Model, known: Table, asked: Floats) -> list[Floats]:
    """Decisions of a line and of trees that learnt from what came true, at the model's own threshold."""
    inputs, truth = model.inputs(known), np.asarray(model.truth(known), np.float64)
    if model.task == "regression":
        each = [linear(inputs, truth[:, None], model)(asked), _trees(inputs, truth, model)(asked)[:, None]]
        return [column[:, 0] for column in each]
    one = np.eye(len(model.classes))[np.asarray(truth, np.int64)]
    grew = grown(inputs, truth, classes=len(model.classes), codes=_codes(model), rounds=ROUNDS // 2)
    shares = (linear(inputs, one, model)(asked), grew(asked))
    return [decided(model, each if model.task == "multiclass" else each[:, 1]) for each in shares]


def marginal(table: Table, rows: int, random: np.random.Generator) -> Table:
    """Rows whose every column is drawn by itself from those of a table: what somebody without any real row can ask."""
    columns = [table.data.column(place).take(pa.array(random.integers(table.rows, size=rows)))
               for place in range(table.data.num_columns)]
    return Table(pa.table(columns, schema=table.data.schema), table.schema, "drawn")


def agree(guess: Floats, wanted: Floats, model: Model) -> Mask:
    """(n,) where two decisions are the same; of a regression, where they lie within a tenth of the spread."""
    if model.task == "regression":
        return np.asarray(np.abs(guess - wanted) <= NEAR * (float(np.std(wanted)) or 1.0), np.bool_)
    return np.asarray(guess == wanted, np.bool_)


def _line(inputs: Floats, score: Floats, model: Model) -> Callable[[Floats], Floats]:
    """A line on the log-odds of every class, or on the value."""
    fitted = linear(inputs, _odds(score, model), model)
    return lambda asked: decided(model, _score(fitted(asked), model))


def linear(inputs: Floats, target: Floats, model: Model) -> Callable[[Floats], Floats]:
    """Least squares of a target (n, k) on standardised numbers and on every level of a category."""
    usual = np.nan_to_num(np.nanmean(np.vstack([inputs, np.zeros_like(inputs[:1])]), axis=0))
    spread = np.nanstd(np.vstack([inputs, np.zeros_like(inputs[:1])]), axis=0)
    kinds = [kind.levels for kind in model.program.inputs]

    def wide(asked: Floats) -> Floats:
        columns = [np.ones((len(asked), 1))]
        for place, levels in enumerate(kinds):
            one = asked[:, place]
            columns.append((one[:, None] == np.arange(levels)).astype(np.float64) if levels else np.column_stack(
                [(np.nan_to_num(one, nan=usual[place]) - usual[place]) / (spread[place] or 1.0), np.isnan(one)]))
        return np.hstack(columns)

    known = wide(inputs)
    weights = np.linalg.solve(known.T @ known + 1e-6 * np.eye(known.shape[1]), known.T @ target)
    return lambda asked: np.asarray(wide(asked) @ weights, np.float64)


def _trees(inputs: Floats, score: Floats, model: Model) -> Callable[[Floats], Floats]:
    """Boosted trees on the log-odds of every class, or on the value."""
    target, codes = _odds(score, model), _codes(model)
    grew = [grown(inputs, column, classes=0, codes=codes, rounds=ROUNDS, leaves=LEAVES, least=LEAST_LEAF)
            for column in target.T]
    return lambda asked: decided(model, _score(np.column_stack([each(asked) for each in grew]), model))


def _trees_on_decisions(inputs: Floats, score: Floats, model: Model) -> Callable[[Floats], Floats]:
    """Boosted trees on what was decided; of a regression, on the value."""
    if model.task == "regression":
        return _trees(inputs, score, model)
    grew = grown(inputs, decided(model, score), classes=len(model.classes), codes=_codes(model), rounds=ROUNDS,
                 leaves=LEAVES, least=LEAST_LEAF)
    return lambda asked: np.asarray(grew(asked).argmax(axis=1), np.float64)


LEARNERS: dict[str, Learner] = {"a line on scores": _line, "trees on scores": _trees,
                                "trees on decisions": _trees_on_decisions}


def _codes(model: Model) -> list[int]:
    return [place for place, kind in enumerate(model.program.inputs) if kind.categorical]


def _odds(score: Floats, model: Model) -> Floats:
    """(n, k) what a copy is fitted to: values, log-odds of the second class, or logarithms of every class."""
    if model.task == "regression":
        return score[:, None]
    share = np.clip(score, CLIP, 1 - CLIP)
    return np.log(share) if score.ndim == 2 else np.log(share / (1 - share))[:, None]


def _score(odds: Floats, model: Model) -> Floats:
    """The score that such numbers stand for, as the model gives it."""
    if model.task == "regression":
        return np.asarray(odds[:, 0], np.float64)
    return odds if odds.shape[1] > 1 else np.asarray(1 / (1 + np.exp(-np.clip(odds[:, 0], -30, 30))), np.float64)


def decided(model: Model, score: Floats) -> Floats:
    """(n,) codes of what is decided, or values."""
    return score if model.task == "regression" else np.asarray(model.decide(score), np.float64)


def _usual(wanted: Floats) -> float:
    values, counts = np.unique(wanted, return_counts=True)
    return float(values[counts.argmax()]) if len(values) < len(wanted) // 2 else float(np.median(wanted))
