"""Where does it fail? The worst slice, held to the overall error."""

from __future__ import annotations

import numpy as np

from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Table
from shipworthy.marks import check
from shipworthy.verification.trials.slices import COLUMNS, find, literals, thin_slices

MOST = 10_000


@check("worst-slice", row="verification.edge-cases")
def worst_slice(
    model: Model, parts: Parts, *, limit: float = 2.0, cap: float = 1.0, depth: int = 2, support: int = 50
) -> Finding:
    """Whether the worst significantly weak slice of the holdout has at most `limit` times the overall error.

    Error: share of wrong decisions, or squared error. Slices: up to `depth` columns, at least `support` rows and 2 %.
    The point value is held to the limit, because only slices that survive Benjamini-Hochberg at 5 % over all slices
    are considered. cap: no slice may have a larger share of wrong decisions than this, whatever the overall error.
    """
    holdout = parts.holdout if parts.holdout.rows <= MOST else parts.holdout.take(
        np.sort(np.random.default_rng(0).permutation(parts.holdout.rows)[:MOST]))
    least = max(support, int(np.ceil(0.02 * holdout.rows)))
    if holdout.rows < 2 * least:
        return say("unknown", f"The holdout has {holdout.rows} rows, too few for two slices of {least}.",
                   n=holdout.rows)
    loss = error(model, holdout)
    told = literals(holdout, _columns(model, parts), parts.learn.spread(MOST))
    found = find(loss, told, depth=depth, support=least)
    few = thin_slices(told, least)
    note = f" {len(few)} single-column slices have under {least} rows: nothing can be said of them." if few else ""
    if not found.slices:
        return say("pass", f"None of {found.tested:,} slices is significantly weak; the overall error is "
                   f"{found.overall:.3f} on {holdout.rows:,} holdout rows.{note}", value=1.0, limit=limit,
                   n=holdout.rows)
    worst = found.slices[0]
    times = worst.loss / found.overall if found.overall else np.inf
    capped = model.task != "regression" and worst.loss > cap
    verdict: Verdict = "fail" if times > limit or capped else "pass"
    top = found.slices[:8]
    return say(verdict, f"The worst of {found.tested:,} slices is {worst}: error {worst.loss:.3f} on {worst.rows:,} "
                        "rows, "
               f"{times:.2f} times the overall {found.overall:.3f}; {limit:g} times is allowed.{note}", value=times,
               low=worst.low / found.overall, high=worst.high / found.overall, limit=limit, n=holdout.rows,
               counterexample={"slice": dict(worst.told), "rows": worst.rows, "error": worst.loss},
               chart={"kind": "bars", "name": [str(one) for one in top], "value": [one.loss for one in top],
                      "low": [one.low for one in top], "high": [one.high for one in top],
                      "limit": [limit * found.overall] * len(top)},
               remedy="" if verdict == "pass" else f"look at the rows where {worst}: their labels first, then add "
                                                   "rows or a "
               "column that tells them apart, or declare abstention there")


def error(model: Model, rows: Table) -> Floats:
    """1 for every wrong decision, else 0; squared error for a regression, (n,)."""
    truth, score = model.truth(rows), model.score(rows)
    if model.task == "regression":
        return np.asarray((score - truth) ** 2, np.float64)
    chosen = score.argmax(axis=1) if score.ndim == 2 else (score >= model.sheet.threshold).astype(np.int64)
    return np.asarray(chosen != truth, np.float64)


def _columns(model: Model, parts: Parts) -> tuple[str, ...]:
    """The model's columns and the protected ones; over 40, those whose slices differ most on the tune rows."""
    schema = parts.holdout.schema
    asked = dict.fromkeys((*model.features.columns, *(column.name for column in schema.protected)))
    names = tuple(name for name in asked if name in schema and schema[name].kind != "text")
    if len(names) <= COLUMNS:
        return names
    loss = error(model, parts.tune)
    return tuple(sorted(names, key=lambda name: -_differs(parts, name, loss))[:COLUMNS])


def _differs(parts: Parts, name: str, loss: Floats) -> float:
    rows = literals(parts.tune, [name], parts.learn.spread(MOST)).rows
    count = rows.sum(axis=0)
    gap = np.abs(rows.T @ loss / np.maximum(count, 1) - loss.mean()) * np.sqrt(count)
    return float(gap.max()) if len(gap) else 0.0
