"""How much each learning row weighs: by a column of the table, and by what lessens a gap between groups."""

from __future__ import annotations

import numpy as np

from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.errors import BadData
from shipworthy.learning.training.reweighing import mitigated


def row_weights(table: Table, truth: Floats | Ints, project: Project) -> Floats | None:
    """The weights of learning rows, (n,), with a mean of 1 over those of the column; None where all weigh the same.

    Raises BadData for a weight that is no number or below 0.
    """
    fair, name = mitigated(table, truth, project), project.data.weight
    if not name or name not in table.schema:
        return fair
    own = table.numbers(name)
    if not (np.isfinite(own) & (own >= 0)).all() or not own.any():
        raise BadData(f'"{name}" holds a weight that is no number or below 0, or none above it', where="[data] weight",
                      hint="give every row a weight of 0 or more")
    own = np.asarray(own / own.mean(), np.float64)
    if np.ptp(own) == 0:
        return fair
    return own if fair is None else own * fair
