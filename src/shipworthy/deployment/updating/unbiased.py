"""Training rows from a log that the model itself has chosen: which may be learnt from, and how much each weighs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shipworthy.core.table import Floats, Mask, Table
from shipworthy.metrics.loops import effective_rows, inverse_weights

WEIGHT = "loop_weight"
SELF = frozenset({"model", "prediction", "shipworthy"})  # sources that say that nobody looked
LEAST = 0.2
MOST = 20.0


@dataclass(frozen=True)
class Weighed:
    """Logged rows with their labels and the column `loop_weight`. own: rows left out that the model labelled itself.

    effective: rows of equal weight that they are worth. cut: what no weight is above.
    """

    rows: Table
    own: int
    effective: float
    cut: float


def unbiased(found: Table, *, most: float = MOST, least: float = LEAST) -> Weighed:
    """Labelled rows of a log, without those that the model labelled itself, weighed by how likely they were to be seen.

    found: with the log's columns and label_source; each propensity that is logged is above 0. A row that chance let in
    weighs 1 / propensity, for it stands for the rows like it that had no label; a row that the model let in weighs 1.
    No weight is above `most`, or half or a quarter of it and so on, until the effective rows are the share `least` of
    all. Where nothing is influenced by decisions, every label would have come anyway, and all weigh 1.
    """
    own = _self_labelled(found)
    rows, cut = found.take(~own), most
    weights = _weights(rows, cut)
    while effective_rows(weights) < least * rows.rows:
        cut /= 2
        weights = np.minimum(weights, cut)
    return Weighed(rows.with_column(WEIGHT, pa.array(weights)), int(own.sum()), effective_rows(weights), cut)


def _self_labelled(found: Table) -> Mask:
    source = np.array([(word or "").lower() for word in found.words("label_source")], object)
    named = np.isin(source.astype(str), sorted(SELF))
    if "release" not in found.schema:
        return np.asarray(named, np.bool_)
    by = [bool(one) and str(release).startswith(one) and len(one) >= 8
          for one, release in zip(source, found.words("release"), strict=True)]
    return np.asarray(named | np.array(by, np.bool_), np.bool_)


def _weights(rows: Table, most: float) -> Floats:
    if "propensity" not in rows.schema or not rows.rows:
        return np.ones(rows.rows)
    told = rows.numbers("influenced") if "influenced" in rows.schema else np.full(rows.rows, np.nan)
    if np.isfinite(told).any() and not (told > 0).any():
        return np.ones(rows.rows)
    drawn = rows.numbers("explored") > 0 if "explored" in rows.schema else np.ones(rows.rows, np.bool_)
    return np.where(drawn, inverse_weights(rows.numbers("propensity"), most=most), 1.0)
