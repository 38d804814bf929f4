"""The reference grid of a model: what its rows, scores and errors looked like when it was judged."""

from __future__ import annotations

import numpy as np

from shipworthy.core.grid import FIXED, SCORE_CELLS, Cells, Facts, Grid, Plan, Reference, cells_of, plan, score_cells
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.deployment.monitoring.chance import chance_loss, drawn_coins
from shipworthy.deployment.monitoring.forest import depth, grow
from shipworthy.errors import BadData

SAMPLE_ROWS, SAMPLE_CELLS = 20_000, 1_000_000
STRANGE_ROWS = 20_000
TRIED_ROWS = 1_000


def reference(model: Model, edges: Table, sample: Table, *, learnt: Table | None = None, seed: int = 0) -> Reference:
    """What live traffic of a model will be compared with.

    edges: rows that cut the cells (tune). sample: other rows, with the target, that the model did not learn from
    (holdout): counts, scores and errors come from them. Two different splits keep the tests at their level.
    learnt: the rows that the model learnt from, which say what was ever seen in training.
    Raises BadData when the model reads nothing but times.
    """
    schema = edges.schema.only([name for name in model.features.columns if name in edges.schema])
    values = model.score(edges) if model.task == "regression" else None
    planned = plan(edges, schema, classes=model.classes, scores=values, learnt=learnt)
    if not planned.columns:
        raise BadData("no column of this model can be watched", where=edges.name,
                      hint="times alone have no cells; give the model a number or a category")
    by_coin = coin_is_fairer(model, sample)
    score, decision, outcome, loss, cap = judged_rows(model, sample, by_coin=by_coin)
    where = score_cells(planned, score, decision)
    cells, cut = cells_of(sample, planned), cells_of(edges, planned)
    before = _grid(planned, cut, np.zeros(0, np.int64), edges.rows)
    forest = grow(planned, before, cut, seed=seed)
    outcomes = np.stack([np.bincount(where, minlength=planned.score_cells),
                         np.bincount(where, weights=np.rint(outcome * FIXED), minlength=planned.score_cells)], axis=1)
    strange = np.sort(np.rint(strangeness(planned, before, cells) * FIXED)).astype(np.int64)
    isolated = np.sort(depth(forest, planned, before, cells))
    order = np.random.default_rng(seed).permutation(sample.rows)
    surprise = np.clip((model.truth(sample) - score) / cap, -1, 1) if planned.value else outcome - score
    facts = Facts(planned, _importance(model, sample, planned, order[:TRIED_ROWS]), sample.rows,
                  int(loss.sum()) if model.classes else 0, cap, float(surprise.mean()),
                  float(surprise.std() / np.sqrt(max(1, sample.rows))), model.digest, edges.rows, by_coin,
                  groups=protected(edges, planned, learnt))
    kept = order[: max(TRIED_ROWS, min(SAMPLE_ROWS, SAMPLE_CELLS // len(planned.columns)))]
    came = surprise if planned.value else outcome
    whole = np.rint(np.stack([loss, came], axis=1) * FIXED).astype(np.int64)
    rows = np.stack([*(codes[kept] for codes in cells.values()), where[kept], whole[kept, 0]], axis=1)
    counted = outcomes.astype(np.int64)
    return Reference(facts, before, _grid(planned, cells, where, sample.rows), counted,
                     np.rint(calibrated(counted, planned) * FIXED).astype(np.int64), _thin(strange), rows,
                     whole[kept, 1], confused(model, sample, decision), _thin(isolated), forest)


def calibrated(outcomes: Ints, plan: Plan) -> Floats:
    """The expected outcome per calibration cell, isotonic for a classification; the mean loss for a regression.

    outcomes: (score cells, 2), as in `Reference`. Cells that no reference row reached are read between neighbours.
    Source: Zadrozny and Elkan (2002), isotonic calibration.
    """
    if plan.value:
        rows, total = outcomes[:, 0], outcomes[:, 1] / FIXED
        mean = total.sum() / max(1, rows.sum())
        return np.asarray((total + mean) / (rows + 1))
    both = (outcomes[:SCORE_CELLS] + outcomes[SCORE_CELLS : 2 * SCORE_CELLS]).astype(np.float64)
    return isotonic(both[:, 0], both[:, 1] / FIXED)


def isotonic(rows: Floats, total: Floats) -> Floats:
    """Non-decreasing mean of `total / rows` over cells in order, read at every cell; 0.5 where there are no rows."""
    from sklearn.isotonic import isotonic_regression

    seen = np.flatnonzero(rows > 0)
    if not seen.size:
        return np.full(len(rows), 0.5)
    fitted = isotonic_regression(total[seen] / rows[seen], sample_weight=rows[seen], y_min=0.0, y_max=1.0)
    return np.asarray(np.interp(np.arange(len(rows)), seen, fitted), np.float64)


def protected(edges: Table, planned: Plan, learnt: Table | None) -> tuple[Cells, ...]:
    """The cells of protected categories that the plan lacks, since the model does not read them."""
    schema = edges.schema
    names = [one.name for one in schema.protected if one.name not in planned.names]
    for name in names:
        schema = schema.replace(name, role="feature")
    found = plan(edges, schema.only(names), learnt=learnt).columns if names else ()
    return tuple(one for one in found if one.kind == "category")


def confused(model: Model, sample: Table, decision: Ints) -> Ints:
    """Rows by decided and true class, (classes, classes); empty unless there are more than two."""
    many = len(model.classes) if len(model.classes) > 2 else 0
    if not many:
        return np.zeros((0, 0), np.int64)
    return np.bincount(decision * many + model.truth(sample), minlength=many * many).reshape(many, many)


def strangeness(plan: Plan, planned: Grid, cells: dict[str, Ints]) -> Floats:
    """How strange every row is against the planned counts, (n,), higher is stranger.

    The sum over columns of how far out the value lies, to whichever side. A value more than one full range outside
    counts twice. Source: Li et al. (2022), ECOD, on cells instead of ranks.
    """
    total = np.zeros(len(next(iter(cells.values()))) if cells else 0)
    for column in plan.columns:
        total += tails(column, planned.columns[column.name])[cells[column.name]]
    return total


def tails(column: Cells, counts: Ints) -> Floats:
    """How strange every cell of a column is, (size,), in nats: the rarer of the rows up to it and of those from it on.

    A category, and what is missing, is as strange as it is rare.
    """
    n = int(counts.sum())
    out = np.asarray(-np.log((counts + 0.5) / (n + 1)))
    if column.kind == "category":
        return out
    line = np.r_[column.size - 4, 0 : column.size - 4, column.size - 3]
    up = np.cumsum(counts[line])
    out[line] = -np.log((np.minimum(up, up[-1] - up + counts[line]) + 0.5) / (n + 1))
    for far in (0, column.size - 5, column.size - 4, column.size - 3):
        out[far] *= 2
    return out


def coin_is_fairer(model: Model, sample: Table) -> bool:
    """Whether a coin of the model's probability errs less than its threshold: costs have moved the threshold far."""
    if model.task != "binary":
        return False
    plain, coin = (judged_rows(model, sample, by_coin=by_coin)[3].mean() for by_coin in (False, True))
    return bool(coin < plain)


def judged_rows(
    model: Model, sample: Table, *, cap: float | None = None, by_coin: bool = False
) -> tuple[Floats, Ints, Floats, Floats, float]:
    """Score, decision code, outcome, loss in [0, 1], and the cap of a regression's loss, of labelled rows.

    cap: the absolute error at which the loss is 1; by default the 99 % point of these rows.
    """
    scores = model.score(sample)
    truth = model.truth(sample)
    if model.task == "regression":
        error = np.abs(truth - scores)
        cap = cap or float(np.quantile(error, 0.99)) or 1.0
        loss = np.minimum(error / cap, 1.0)
        return scores, np.zeros(len(scores), np.int64), loss, loss, cap
    if model.task == "binary":
        decision = model.decide(scores)
        coin = chance_loss(scores, truth, drawn_coins(len(scores)))
        loss = coin if by_coin else (decision != truth).astype(np.float64)
        return scores, decision, truth.astype(np.float64), loss, 1.0
    decision = model.decide(scores)
    right = (decision == truth).astype(np.float64)
    return scores.max(axis=1), decision, right, 1.0 - right, 1.0


def _grid(plan: Plan, cells: dict[str, Ints], score: Ints, rows: int) -> Grid:
    columns = {c.name: np.bincount(cells[c.name], minlength=c.size).astype(np.int64) for c in plan.columns}
    return Grid(plan.digest, columns, np.bincount(score, minlength=plan.score_cells).astype(np.int64), rows)


def _importance(model: Model, sample: Table, plan: Plan, rows: Ints) -> tuple[float, ...]:
    """How far the score moves when a column is shuffled, as shares that add up to 1. Source: Breiman (2001)."""
    inputs = model.inputs(sample.take(rows))
    score, mixed = model.program.score(inputs), np.random.default_rng(1).permutation(len(inputs))
    moved = []
    for name in plan.names:
        places = [p for p, encoder in enumerate(model.features.encoders) if encoder.column == name]
        changed = inputs.copy()
        changed[:, places] = inputs[mixed][:, places]
        moved.append(float(np.abs(model.program.score(changed) - score).mean()))
    total = sum(moved)
    return tuple(m / total for m in moved) if total > 0 else tuple(1 / len(moved) for _ in moved)


def _thin(ordered: Ints) -> Ints:
    if len(ordered) <= STRANGE_ROWS:
        return ordered
    return ordered[np.unique(np.linspace(0, len(ordered) - 1, STRANGE_ROWS).astype(np.int64))]
