"""How well one column alone tells the target, cross-fitted, so that noise tells nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from shipworthy.core.table import Floats, Ints, to_numbers
from shipworthy.metrics.classification import auc

BINS = 32
FOLDS = 2
LEVELS = 2_048
SMOOTH = 5.0


def codes_of(values: pa.ChunkedArray, *, bins: int = BINS) -> Ints:
    """(n,) a small whole number for every value: bins of equal mass for numbers and times, levels for the rest.

    Null is 0. At most `bins` + 1 codes for numbers; rare levels beyond 2,048 share one code.
    """
    if pa.types.is_string(values.type) or pa.types.is_boolean(values.type):
        return _levels(values)
    numbers = to_numbers(values)
    return binned(numbers, edges_of(numbers, bins))


def edges_of(numbers: Floats, bins: int = BINS) -> Floats:
    """Cuts into bins of equal mass; each value of a column with few distinct values has its own bin."""
    finite = np.sort(numbers[np.isfinite(numbers)])  # sorted first: the quantiles then cost an eighth
    if not len(finite):
        return np.zeros(0)
    distinct = np.unique(finite)
    if len(distinct) <= bins:
        return distinct[1:]
    return np.unique(np.quantile(finite, np.linspace(0, 1, bins + 1)[1:-1]))


def binned(numbers: Floats, edges: Floats) -> Ints:
    """(n,) the bin of every number, from 1; 0 where it is not finite."""
    place = np.searchsorted(edges, numbers, side="right") + 1
    return np.where(np.isfinite(numbers), place, 0).astype(np.int64)


def mean_elsewhere(codes: Ints, truth: Floats, *, seed: int = 0) -> Floats:
    """(n,) the mean truth of the rows with the same code in the other half, shrunk to the mean of that half.

    truth: (n,) 0 and 1, or values.
    """
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(codes))
    out = np.empty(len(codes))
    size = int(codes.max()) + 1 if len(codes) else 1
    for each in range(FOLDS):
        learn, ask = fold != each, fold == each
        mean = truth[learn].mean() if learn.any() else 0.0
        rows = np.bincount(codes[learn], minlength=size)
        total = np.bincount(codes[learn], truth[learn], minlength=size)
        out[ask] = ((total + SMOOTH * mean) / (rows + SMOOTH))[codes[ask]]
    return out


def strength(codes: Ints, truth: Floats, classes: int) -> float:
    """AUC of one column alone (the best class against the rest), or share of variance explained; never below chance.

    classes: 0 for a regression, else truth holds codes below it. NaN if the truth does not vary.
    """
    if classes == 0:
        spread = float(np.var(truth))
        left = float(np.mean((truth - mean_elsewhere(codes, truth)) ** 2))
        return max(0.0, 1 - left / spread) if spread > 0 else float("nan")
    sides: Sequence[int] = (1,) if classes == 2 else range(classes)
    found = [_against_rest(codes, (truth == side).astype(np.float64)) for side in sides]
    known = [each for each in found if each == each]
    return max(known) if known else float("nan")


def skill(value: float, classes: int) -> float:
    """Strength on one scale, 0 for chance and 1 for certainty: 2 AUC − 1, or the share of variance."""
    return value if classes == 0 else max(0.0, 2 * value - 1)


def _against_rest(codes: Ints, truth: Floats) -> float:
    if not 0 < truth.sum() < len(truth):
        return float("nan")
    return max(0.5, auc(truth, mean_elsewhere(codes, truth)))


def _levels(values: pa.ChunkedArray) -> Ints:
    words = values.combine_chunks().dictionary_encode()
    codes = words.indices.fill_null(len(words.dictionary)).to_numpy()
    counts = np.bincount(codes, minlength=len(words.dictionary) + 1)[:-1]
    rank = np.zeros(len(counts) + 1, np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(1, len(counts) + 1)
    found: Ints = np.minimum(rank, LEVELS)[codes]
    return found
