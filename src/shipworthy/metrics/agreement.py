"""How far people, labelling functions or rankings agree."""

from __future__ import annotations

import numpy as np

from shipworthy.errors import Misuse
from shipworthy.metrics.arrays import Array, columns, ratio
from shipworthy.metrics.ranks import midranks


def krippendorff_alpha(codes: Array) -> float:
    """Agreement beyond chance on unordered classes, at most 1; 0 is chance; higher is better.

    codes: (n units, raters) of class codes ≥ 0; −1 where a rater was silent. A unit with one does not count.
    NaN if no unit has two ratings, or only one class was ever used.
    Source: Krippendorff (2011), "Computing Krippendorff's alpha-reliability", nominal data.
    """
    if np.ndim(codes) != 2:
        raise Misuse("codes must be a table of units by raters", where=f"shape {np.shape(codes)}",
                     hint="give an array with one row a unit and one column a rater")
    classes = np.unique(codes[codes >= 0])
    counts = np.zeros((len(codes), len(classes)))
    for place, code in enumerate(classes):
        counts[:, place] = (codes == code).sum(axis=1)
    counts = counts[counts.sum(axis=1) >= 2]
    given = counts.sum(axis=1)
    total = given.sum()
    observed = float(((given**2 - (counts**2).sum(axis=1)) / (given - 1)).sum())
    expected = float(total**2 - (counts.sum(axis=0) ** 2).sum())
    return 1 - ratio(float(total - 1) * observed, expected)


def spearman(left: Array, right: Array) -> float:
    """Correlation of ranks, in [−1, 1]; 1 is the same order. Ties share their mean rank.

    left, right: (n,). NaN if n < 2, a value is NaN, or either side is constant. Source: Spearman (1904).
    """
    one, other = columns(left, right)
    if len(one) < 2 or np.isnan(one).any() or np.isnan(other).any():
        return float("nan")
    middle = (len(one) + 1) / 2
    a, b = midranks(one) - middle, midranks(other) - middle
    return float(np.clip(ratio(float(a @ b), float(np.sqrt((a @ a) * (b @ b)))), -1, 1))
