"""Explainable boosting machines as tables over one or two inputs.

Source: Nori et al. (2019), InterpretML; `ExplainableBoostingClassifier.bins_` and `term_scores_`. In its axes the
first cell is for missing and the last for unseen values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.core.features import Input
from shipworthy.core.program import Linear, Lookup, Term


def lower_ebm(ebm: Any, kinds: tuple[Input, ...], outputs: int) -> tuple[Term, ...]:
    """Terms equal to the machine's margin; categories were given to it as codes in text ("0", "1", …)."""
    constant = Term(Linear(), {
        "place": np.empty(0, np.int64), "fill": np.empty(0), "weight": np.empty((0, outputs)),
        "missing": np.empty((0, outputs)), "intercept": np.reshape(np.asarray(ebm.intercept_, np.float64), outputs),
    })
    terms = [constant]
    for features, scores in zip(ebm.term_features_, ebm.term_scores_, strict=True):
        values = np.asarray(scores, np.float64)
        values = values if values.ndim == len(features) + 1 else values[..., None]
        cuts = {}
        for axis, place in enumerate(features):
            bins = ebm.bins_[place]
            table = bins[min(len(bins), len(features)) - 1]
            values, cuts[f"cuts{axis}"] = _axis(values, axis, table, kinds[place])
        terms.append(Term(Lookup(tuple(int(place) for place in features)), {**cuts, "values": values}))
    return tuple(terms)


def _axis(values: Any, axis: int, table: Any, kind: Input) -> tuple[Any, Any]:
    """One axis in the program's order: missing, then cells in order; unseen codes count as missing."""
    if not kind.categorical:
        cuts = np.asarray(table, np.float64)
        order = list(range(len(cuts) + 2))
        if not len(cuts):
            cuts, order = np.array([np.inf]), [0, 1, 1]
        return np.take(values, order, axis=axis), cuts
    unseen = values.shape[axis] - 1
    places = {int(float(word)): place for word, place in table.items()}
    order = [0, *(places.get(code, unseen) for code in range(kind.levels))]
    return np.take(values, order, axis=axis), np.empty(0)
