"""How many labels can at most have been flipped at random: the noise that remains where a model is surest.

Where the true answer is certain, what still disagrees is noise. So the share of disagreement among the surest rows is
at least the share of labels flipped at random. Scott (2015), "A rate of convergence for mixture proportion
estimation"; Liu and Tao (2016), "Classification with noisy labels by importance reweighting". The bound is loose where
the model is never sure, and sees no flips that follow the features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shipworthy.core.table import Floats, Ints
from shipworthy.metrics.intervals import clopper_pearson

REGIONS = (0.02, 0.05, 0.1, 0.2)
LEAST = 50


@dataclass(frozen=True)
class Floor:
    """Disagreement among the surest rows. share, low, high: with a 95 % interval over every region tried.

    rows: in the region. code: the class of which they were surest.
    """

    share: float
    low: float
    high: float
    rows: int
    code: int


def floor(codes: Ints, expected: Floats) -> Floor | None:
    """The region of surest rows with the least upper end of disagreement; None with too few rows.

    codes: (n,) labels. expected: (n, k) probabilities by models that did not see the row.
    """
    tried = []
    for code in range(expected.shape[1]):
        order = np.argsort(-expected[:, code], kind="stable")
        for share in REGIONS:
            rows = int(share * len(codes))
            if rows >= LEAST and (codes[order[:rows]] == code).mean() > 0.5:
                tried.append((rows, int((codes[order[:rows]] != code).sum()), code))
    if not tried:
        return None
    level = 1 - 0.05 / len(tried)
    found = []
    for rows, wrong, code in tried:
        low, high = clopper_pearson(wrong, rows, level=level)
        found.append(Floor(wrong / rows, low, high, rows, code))
    return min(found, key=lambda each: each.high)
