"""Relations that must hold without knowing the right answer: order, company and repetition change nothing.

Source: Chen, Cheung and Yiu (1998), metamorphic testing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Table
from shipworthy.errors import ShipworthyError
from shipworthy.marks import check

ROWS = 1_000


@check("metamorphic", row="verification.edge-cases")
def metamorphic(model: Model, parts: Parts, *, limit: float = 1e-9) -> Finding:
    """Whether scores stay the same under row order, column order, repetition, an extra column, another unit that the
    schema declares, and one row at a time.

    limit: largest difference of a score on up to 1,000 holdout rows.
    """
    rows = parts.holdout.head(ROWS)
    if not rows.rows:
        return say("unknown", "The holdout is empty.", n=0)
    base = model.score(rows)
    gaps = {name: _gap(base, relation, model, rows) for name, relation in RELATIONS.items()}
    broken = {name: gap for name, gap in gaps.items() if not gap <= limit}
    worst = max(gaps, key=lambda name: np.inf if gaps[name] != gaps[name] else gaps[name])
    if broken:
        return say("fail", f"{len(broken)} of {len(gaps)} relations break on {rows.rows:,} rows: "
                   f"{', '.join(sorted(broken))}; a score moves by up to {gaps[worst]:.3g}.", value=gaps[worst],
                   limit=limit, n=rows.rows, counterexample={"relation": worst, "difference": gaps[worst]},
                   remedy="the model reads something beside the row: look for state, order or position in its features")
    return say("pass", f"All {len(gaps)} relations hold on {rows.rows:,} rows; the largest difference is "
               f"{gaps[worst]:.1e}.", value=gaps[worst], limit=limit, n=rows.rows)


def _gap(base: Floats, relation: Callable[[Model, Table], tuple[Floats, slice]], model: Model, rows: Table) -> float:
    try:
        score, kept = relation(model, rows)
    except ShipworthyError:
        return float("inf")
    return float(np.max(np.abs(score - base[kept]), initial=0.0)) if score.shape == base[kept].shape else float("inf")


def _row_order(model: Model, rows: Table) -> tuple[Floats, slice]:
    order = np.random.default_rng(0).permutation(rows.rows)
    out = np.empty_like(model.score(rows))
    out[order] = model.score(rows.take(order))
    return out, slice(None)


def _column_order(model: Model, rows: Table) -> tuple[Floats, slice]:
    return model.score(rows.select(tuple(reversed(rows.schema.names)))), slice(None)


def _twice(model: Model, rows: Table) -> tuple[Floats, slice]:
    both = Table(pa.concat_tables([rows.data, rows.data]), rows.schema, rows.name, rows.origin)
    return model.score(both)[rows.rows :], slice(None)


def _extra(model: Model, rows: Table) -> tuple[Floats, slice]:
    return model.score(rows.with_column("never_declared", np.arange(rows.rows, dtype=np.float64))), slice(None)


def _single(model: Model, rows: Table) -> tuple[Floats, slice]:
    records = rows.select(list(model.features.columns)).records()
    alone = [model.program.score(np.array([model.row(record)]))[0] for record in records]
    return np.array(alone), slice(None)


def _unit(model: Model, rows: Table) -> tuple[Floats, slice]:
    """Every number in a thousandth of the unit in which the model reads it, and the schema says so."""
    told = model.sheet.schema
    for name in model.features.columns:
        if told[name].kind == "number" and rows.schema[name].kind == "number":
            told = told.replace(name, unit="kg")
            rows = rows.with_column(name, pa.array(rows.numbers(name) * 1000, from_pandas=True), unit="g")
    return model.with_sheet(schema=told).score(rows), slice(None)


RELATIONS: dict[str, Callable[[Model, Table], tuple[Floats, slice]]] = {
    "row order": _row_order, "column order": _column_order, "repeated rows": _twice, "an extra column": _extra,
    "one row at a time": _single, "another unit, declared": _unit,
}
