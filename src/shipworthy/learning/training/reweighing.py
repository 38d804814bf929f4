"""Weights under which group and outcome are independent in the learning rows.

Source: Kamiran and Calders (2012), reweighing.
"""

from __future__ import annotations

import numpy as np

from shipworthy.core.groups import LEAST, groupings
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.metrics.arrays import Array


def mitigated(table: Table, truth: Floats | Ints, project: Project) -> Floats | None:
    """The weights of learning rows, (n,), where the project asks for reweighing and has protected columns; else None.

    Groups are those of all protected columns together; rows of groups under 50 weigh 1. A number counts as above or
    not above its median.
    """
    protected = table.schema.protected
    if project.fairness.mitigation == "none" or not protected:
        return None
    way = groupings(table, depth=len(protected))[-1]
    codes = truth if np.issubdtype(truth.dtype, np.integer) else np.asarray(truth > np.median(truth), np.int64)
    return reweighing(np.where(way.kept, way.label, ""), np.asarray(codes, np.int64))


def reweighing(group: Array, outcome: Ints, *, least: int = LEAST) -> Floats:
    """Expected over observed share of every group and outcome, (n,); 1 in groups of fewer rows than `least`.

    group: (n,) labels. outcome: (n,) codes.

    >>> reweighing(np.array(["a", "a", "b", "b"]), np.array([1, 1, 1, 0]), least=1).tolist()
    [0.75, 0.75, 1.5, 0.5]
    """
    _, place = np.unique(group, return_inverse=True)
    classes = int(outcome.max(initial=0)) + 1
    cell = np.bincount(place * classes + outcome, minlength=(int(place.max(initial=0)) + 1) * classes)
    count = cell.reshape(-1, classes)
    rows, each = count.sum(axis=1), count.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = rows[:, None] * each[None, :] / (len(outcome) * count)
    weight = np.where((rows >= least)[:, None] & (count > 0), weight, 1.0)
    return np.asarray(weight[place, outcome], np.float64)
