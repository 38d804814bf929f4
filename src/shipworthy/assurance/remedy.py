"""What helps against membership inference: train again with little room to remember, and say what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shipworthy.core.learned import CAUTIOUS, Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Table
from shipworthy.metrics.losses import row_losses


def remedied(case: Mapping[str, Any]) -> dict[str, Any]:
    """The subjects of a case that change: `model` and `recipe`; and `price`, a sentence on its loss on the holdout.

    Trees of 7 leaves, of at least 50 rows a leaf, learnt at a rate of 0.05. Raises ShipworthyError.
    """
    parts: Parts = case["parts"]
    model: Model = case["steps"].train(parts.learn, learner=CAUTIOUS.learner, seed=0, settings=dict(CAUTIOUS.settings))
    before, after = (_loss(one, parts.holdout) for one in (case["model"], model))
    gap = after - before
    error = 1.96 * float(gap.std()) / np.sqrt(max(1, len(gap)))
    price = (f"the remedied model's loss on {len(gap):,} new rows is {after.mean():.4f}, {gap.mean():+.4f} "
             f"± {error:.4f} beside the release's")
    return {"model": model, "recipe": CAUTIOUS, "price": price}


def _loss(model: Model, table: Table) -> Floats:
    return np.asarray(row_losses(model.score(table), model.truth(table), model.task), np.float64)
