"""Where does it fail? The worst slice, held to the overall error."""

from __future__ import annotations

import numpy as np

from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Table
from shipworthy.marks import check
from shipworthy.verification.trials.slices import COLUMNS, Found, Literals, find, literals

MOST = 10_000
NAMED = 5


@check("worst-slice", row="verification.edge-cases")
def worst_slice(
    model: Model, parts: Parts, *, limit: float = 2.0, cap: float = 1.0, depth: int = 3, support: int = 50
) -> Finding:
    """Whether the worst significantly weak slice of the holdout has at most `limit` times the error to be expected.

    Error: share of wrong decisions, or absolute error. To be expected: the overall error, or where that is more the
    error that the model's own probabilities foretell in the slice: a slice that is hard, and that the model calls
    hard, is not a fault. Slices: up to `depth` columns, at least `support` rows and 2 %. The point value is held to the
    limit, because only slices that survive Benjamini-Hochberg at 5 % over all slices are considered.
    cap: no slice may have a larger share of wrong decisions than this, whatever is to be expected.
    """
    holdout = parts.holdout if parts.holdout.rows <= MOST else parts.holdout.take(
        np.sort(np.random.default_rng(0).permutation(parts.holdout.rows)[:MOST]))
    least = max(support, int(np.ceil(0.02 * holdout.rows)))
    if holdout.rows < 2 * least:
        return say("unknown", f"The holdout has {holdout.rows} rows, too few for two slices of {least}.",
                   n=holdout.rows)
    told = literals(holdout, _columns(model, parts, error(model, parts.tune)), parts.learn.spread(MOST))
    found = find(error(model, holdout), told, depth=depth, support=least)
    few = told.insufficient(least)
    if not found.slices:
        return say("pass", f"None of {found.tested:,} slices is significantly weak; the overall error is "
                   f"{found.overall:.3f} on {holdout.rows:,} holdout rows.{_thin(few, least)}", value=1.0, limit=limit,
                   n=holdout.rows, counterexample={"insufficient": few} if few else {})
    return _held(found, _foretold(model, holdout, told, found), model, limit=limit, cap=cap,
                 few=few, note=_thin(few, least))


def _thin(few: tuple[str, ...], least: int) -> str:
    more = f", and {len(few) - NAMED} more" if len(few) > NAMED else ""
    return f" Under {least} rows, so that nothing can be said of them: {', '.join(few[:NAMED])}{more}." if few else ""


def _held(
    found: Found, foretold: Floats, model: Model, *, limit: float, cap: float, few: tuple[str, ...], note: str
) -> Finding:
    """The finding about the weak slices; the worst is the one furthest above what is to be expected in it."""
    expected = np.maximum(foretold, found.overall)
    loss = np.array([one.loss for one in found.slices])
    times = np.divide(loss, expected, out=np.full(len(loss), np.inf), where=expected > 0)
    over = np.flatnonzero(loss > cap) if model.task != "regression" else np.zeros(0, np.int64)
    at = int(over[0]) if len(over) else int(times.argmax())
    worst, bar = found.slices[at], float(expected[at])
    verdict: Verdict = "fail" if len(over) or times[at] > limit else "pass"
    source = "that the model foretells there" if foretold[at] > found.overall else "of all rows"
    top = np.argsort(-times, kind="stable")[:8]
    return say(verdict, f"The worst of {found.tested:,} slices is {worst}: error {worst.loss:.3f} on {worst.rows:,} "
               f"rows, {times[at]:.2f} times the {bar:.3f} {source}; {limit:g} times is allowed.{note}",
               value=float(times[at]), low=worst.low / bar if bar else None, high=worst.high / bar if bar else None,
               limit=limit, n=worst.rows,
               counterexample={"slice": dict(worst.told), "rows": worst.rows, "error": worst.loss, "p": worst.p,
                               "survived": found.survived, "insufficient": few},
               chart={"kind": "bars", "name": [str(found.slices[n]) for n in top],
                      "value": [float(loss[n]) for n in top], "low": [found.slices[n].low for n in top],
                      "high": [found.slices[n].high for n in top], "limit": [limit * float(expected[n]) for n in top]},
               remedy="" if verdict == "pass" else f"look at the rows where {worst}: their labels first, then add rows "
               "or a column that tells them apart; or accept it for a time: "
               "shipworthy waive verification.edge-cases --by WHO --reason WHY --until DAY")


def _foretold(model: Model, rows: Table, told: Literals, found: Found) -> Floats:
    """The mean error in every slice if the model's own probabilities hold, (slices,); 0 for a regression."""
    if model.task == "regression":
        return np.zeros(len(found.slices))
    score = model.score(rows)
    sure = score.max(axis=1) if score.ndim == 2 else np.where(model.decide(score), score, 1 - score)
    inside = np.stack([told.mask(each.places) for each in found.slices])
    return np.asarray(inside @ (1 - sure) / inside.sum(axis=1), np.float64)


def error(model: Model, rows: Table) -> Floats:
    """1 for every wrong decision, else 0; absolute error for a regression, (n,)."""
    truth, score = model.truth(rows), model.score(rows)
    if model.task == "regression":
        return np.asarray(np.abs(score - truth), np.float64)
    return np.asarray(model.decide(score) != truth, np.float64)


def _columns(model: Model, parts: Parts, loss: Floats) -> tuple[str, ...]:
    """The model's columns and the protected ones; over 40, those whose slices differ most by the loss of tune rows."""
    schema = parts.holdout.schema
    asked = dict.fromkeys((*model.features.columns, *(column.name for column in schema.protected)))
    names = tuple(name for name in asked if name in schema and schema[name].kind != "text")
    if len(names) <= COLUMNS:
        return names
    return tuple(sorted(names, key=lambda name: -_differs(parts, name, loss))[:COLUMNS])


def _differs(parts: Parts, name: str, loss: Floats) -> float:
    told = literals(parts.tune, [name], parts.learn.spread(MOST))
    masks = [told.mask((place,)) for place in range(len(told.names))]
    return max((float(abs(loss[mask].mean() - loss.mean()) * np.sqrt(mask.sum())) for mask in masks), default=0.0)
